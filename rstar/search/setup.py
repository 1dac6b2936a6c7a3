"""A problem's setup: code that runs before the first step, which the policy neither writes nor sees."""

from dataclasses import replace
from typing import Any, TypeVar

from rstar.core.execution import ROOT_STATE, StateId, Status
from rstar.core.problem import Problem
from rstar.errors import RolloutError
from rstar.search.calls import Call, Execute, Search, Together, execute

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
    reply: Any = None
    while True:
        try:
            asked = search.throw(reply) if isinstance(reply, Exception) else search.send(reply)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        try:
            reply = yield _moved(asked, result.state)
        except Exception as error:
            reply = error


def _moved(asked: Call | Together, root: StateId) -> Call | Together:
    """What is asked, with `root` in the place of the state before the first step."""
    if isinstance(asked, Together):
        return Together(tuple(_to(call, root) for call in asked.calls))
    return _to(asked, root)


def _to(call: Call, root: StateId) -> Call:
    return replace(call, state=root) if isinstance(call, Execute) and call.state == ROOT_STATE else call
