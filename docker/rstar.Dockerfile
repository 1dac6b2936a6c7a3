# The worker: searches, sandbox, grading, training. No vLLM in it (docs/engines.md).
#   docker build -f docker/rstar.Dockerfile -t rstar .
#   docker build -f docker/rstar.Dockerfile -t rstar --build-arg CONSTRAINTS= .      # CUDA build of torch
FROM python:3.11-slim
ARG CONSTRAINTS="-c constraints-cpu.txt"
ARG PIP_ARGS=""
RUN apt-get update && apt-get install -y --no-install-recommends git && rm -rf /var/lib/apt/lists/*
WORKDIR /rstar
COPY pyproject.toml constraints-cpu.txt README.md LICENSE ./
COPY rstar rstar
COPY flows flows
COPY configs configs
RUN pip install --no-cache-dir ${PIP_ARGS} ${CONSTRAINTS} -e '.[train,plots]'
# The sandbox drops to an unprivileged user by itself; its layers need no capability (`rstar doctor`).
ENV DO_NOT_TRACK=1
ENTRYPOINT ["rstar"]
CMD ["--help"]
