"""An exploration floor: part of what a search asks its policy for comes from another generator."""

from dataclasses import replace
from typing import TypeVar

from rstar.search.calls import Call, Generate, Search, relayed

T = TypeVar("T")

EXPLORER = "explorer"
"""The role that is asked for its share."""


def explored(search: Search[T], share: float) -> Search[T]:
    """The same search, in which EXPLORER writes a share of each expansion's candidates and the policy the others.

    A policy that was fine-tuned on few kinds of solutions proposes little else; what it never tries, no search can
    find. The explorer's candidates stand behind the policy's own, and are run, graded and merged like these.
    """
    return relayed(search, lambda call: _parts(call, share))


def _parts(call: Call, share: float) -> tuple[Call, ...]:
    """What is asked of the policy and of the explorer, where the policy is asked."""
    if not isinstance(call, Generate) or call.role != "policy":
        return (call,)
    own = round(share * call.n)
    asked = [replace(call, n=n, role=role) for role, n in (("policy", call.n - own), (EXPLORER, own)) if n]
    return (call,) if own == 0 else tuple(asked)
