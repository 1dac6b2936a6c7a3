"""A problem's setup: code that runs before the first step, which the policy neither writes nor sees."""

from dataclasses import replace
from typing import TypeVar

from rstar.core.execution import ROOT_STATE, StateId, Status
from rstar.core.problem import Problem
from rstar.errors import RolloutError
from rstar.search.calls import Call, Execute, Search, execute, relayed

T = TypeVar("T")


def set_up(problem: Problem, search: Search[T]) -> Search[T]:
    """The same search with the problem's setup under its root: whatever it runs first runs behind that.

    Strategies do not know of it, so it is no step and no node. What it prints is shown nowhere.
    """
    return search if problem.setup is None else _behind(problem, problem.setup, search)


def _behind(problem: Problem, setup: str, search: Search[T]) -> Search[T]:
    (result,) = yield from execute(ROOT_STATE, [setup])
    if result.state is None:
        boundary = "sandbox" if result.status is Status.INFRA else "setup"
        raise RolloutError(boundary, f"the setup of {problem.id!r} failed ({result.status}): {result.error}")
    root = result.state
    return (yield from relayed(search, lambda call: (_to(call, root),)))


def _to(call: Call, root: StateId) -> Call:
    """What is asked, with `root` in the place of the state before the first step."""
    return replace(call, state=root) if isinstance(call, Execute) and call.state == ROOT_STATE else call
