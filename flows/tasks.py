"""What all tasks have in common: nothing is cached, and another try is made where it could help."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from rstar.errors import Damaged, InputError, RecipeDrift, SandboxUnavailable

P = ParamSpec("P")
R = TypeVar("R")

LIMIT = "gpu"
"""The global concurrency limit that stages with models wait for, where it exists."""


def may_pass(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Whether another try could end better: not with wrong input, another recipe, damaged files or no sandbox."""
    return not isinstance(state.data, (InputError, RecipeDrift, Damaged, SandboxUnavailable))


def stage(name: str, *tags: str) -> Callable[[Callable[P, R]], Task[P, R]]:
    """A task for one stage: nothing cached, two more tries where they could help."""
    return task(
        name=name,
        tags=["rstar", *tags],
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=2,
        retry_delay_seconds=[5, 20],
        retry_condition_fn=may_pass,
    )
