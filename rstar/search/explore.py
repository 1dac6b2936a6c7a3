"""An exploration floor: part of what a search asks its policy for comes from another generator."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

from rstar.search.calls import Call, Generate, Search, Together

T = TypeVar("T")

EXPLORER = "explorer"
"""The role that is asked for its share."""


def explored(search: Search[T], share: float) -> Search[T]:
    """The same search, in which EXPLORER writes a share of each expansion's candidates and the policy the others.

    A policy that was fine-tuned on few kinds of solutions proposes little else; what it never tries, no search can
    find. The explorer's candidates stand behind the policy's own, and are run, graded and merged like these.
    """
    reply: Any = None
    while True:
        try:
            asked = search.throw(reply) if isinstance(reply, Exception) else search.send(reply)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        calls = asked.calls if isinstance(asked, Together) else (asked,)
        parts = [_parts(call, share) for call in calls]
        try:
            if parts == [(call,) for call in calls]:
                reply = yield asked
                continue
            told = iter((yield Together(tuple(call for part in parts for call in part))))
        except Exception as error:
            reply = error
            continue
        replies = [_joined([next(told) for _ in part]) for part in parts]
        reply = replies if isinstance(asked, Together) else replies[0]


def _parts(call: Call, share: float) -> tuple[Call, ...]:
    """What is asked of the policy and of the explorer, where the policy is asked."""
    if not isinstance(call, Generate) or call.role != "policy":
        return (call,)
    own = round(share * call.n)
    asked = [replace(call, n=n, role=role) for role, n in (("policy", call.n - own), (EXPLORER, own)) if n]
    return (call,) if own == 0 else tuple(asked)


def _joined(replies: list[Any]) -> Sequence[Any]:
    return replies[0] if len(replies) == 1 else [one for reply in replies for one in reply]
