"""Listening to a search: what it asks and is told, as it happens."""

from collections.abc import Callable
from typing import TypeVar

from rstar.search.calls import Call, Reply, Search, Together

T = TypeVar("T")

Listener = Callable[[Call, Reply | None], None]
"""Hears of each call twice: when it is asked (no reply yet), and with its reply."""


def watched(search: Search[T], tell: Listener) -> Search[T]:
    """The same search; `tell` hears of all its calls. What the search gets and gives is untouched."""
    try:
        asked = next(search)
        while True:
            calls = asked.calls if isinstance(asked, Together) else (asked,)
            for call in calls:
                tell(call, None)
            try:
                reply = yield asked
            except Exception as error:
                asked = search.throw(error)
                continue
            for call, its in zip(calls, reply if isinstance(asked, Together) else [reply], strict=True):
                tell(call, its)
            asked = search.send(reply)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
