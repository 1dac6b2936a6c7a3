"""Searches in shards on a Ray cluster, through Prefect's task runner for Ray."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from flows.tasks import stage
from rstar.config.run import TasksConfig
from rstar.errors import InputError
from rstar.pipeline.search import Shard, Spread, elsewhere, search_shard


@stage("shard")
def shard_task(shard: Shard) -> tuple[float, float]:
    """Search a part of a stage's problems, on a cluster."""
    return search_shard(shard)


@contextmanager
def spread(how: TasksConfig) -> Iterator[None]:
    """Let searches in the block run where `runtime.tasks` says, each shard a task run."""
    if how.kind == "local":
        yield
        return
    token = elsewhere.set(_on_ray(how))
    try:
        yield
    finally:
        elsewhere.reset(token)


def _on_ray(how: TasksConfig) -> Spread:
    # Ray's defaults send statistics out, and let its workers stand back behind everything else on the machine.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")
    try:
        from prefect_ray import RayTaskRunner
        from prefect_ray.context import remote_options
    except ImportError as error:
        raise InputError(
            f"runtime.tasks.kind: ray needs the extra `ray`: pip install 'rstar[ray]' ({error})"
        ) from error

    def run(shards: Sequence[Shard]) -> Iterator[tuple[float, float]]:
        options: dict[str, Any] = {} if how.address else {"include_dashboard": False}
        with (
            RayTaskRunner(address=how.address, init_kwargs=options) as runner,
            remote_options(num_cpus=how.cpus, num_gpus=how.gpus),
        ):
            # Ray is left only when every shard has ended: none may write any more when the stage goes on.
            futures = [runner.submit(shard_task, {"shard": shard}) for shard in shards]
            for future in futures:
                yield future.result()

    return run
