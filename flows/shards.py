"""Searches in shards on a Ray cluster, through Prefect's task runner for Ray."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from prefect import Task

from rstar.config.run import TasksConfig
from rstar.errors import InputError
from rstar.pipeline.search import Shard, Spread, elsewhere


@contextmanager
def spread(how: TasksConfig, search: Task[[Shard], tuple[float, float]]) -> Iterator[None]:
    """Let searches in the block run where `runtime.tasks` says, each shard as a task run of `search`."""
    if how.kind == "local":
        yield
        return
    token = elsewhere.set(_on_ray(how, search))
    try:
        yield
    finally:
        elsewhere.reset(token)


def _on_ray(how: TasksConfig, search: Task[[Shard], tuple[float, float]]) -> Spread:
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
            futures = [runner.submit(search, {"shard": shard}) for shard in shards]
            for future in futures:
                yield future.result()

    return run
