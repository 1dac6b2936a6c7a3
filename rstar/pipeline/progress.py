"""How a stage says how far it is, without knowing who listens; and how fast that is, for those who do."""

import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta

Progress = Callable[[str, int, int], None]
"""(stage, done, total): called often; whoever shows it thins it out."""
WINDOW_S = 60.0
"""Seconds that a rate looks back."""


def silent(stage: str, done: int, total: int) -> None:
    """Nobody listens."""


class Pace:
    """How fast one stage is, from what it said in the last minute. What was done before it began does not count."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()

    def heard(self, done: int, now: float | None = None) -> None:
        """Note how far the stage is (`now` in seconds, of the monotonic clock if absent)."""
        now = time.monotonic() if now is None else now
        if len(self._points) > 1 and now - self._points[-2][0] < 1.0:
            self._points.pop()  # a point a second is enough; the newest counts
        self._points.append((now, done))
        while len(self._points) > 2 and now - self._points[1][0] > WINDOW_S:
            self._points.popleft()

    @property
    def rate(self) -> float | None:
        """Units per second, or None while nothing is known."""
        if len(self._points) < 2:
            return None
        (since, first), (now, done) = self._points[0], self._points[-1]
        return (done - first) / (now - since) if done > first and now > since else None

    def words(self, done: int, total: int) -> str:
        """As `233 of 600, 4.1/s, 0:01:29 left`."""
        told = f"{done} of {total}"
        if (rate := self.rate) is None:
            return told
        told += f", {rate:.1f}/s" if rate >= 1 else f", {60 * rate:.1f}/min"
        return told if done >= total else f"{told}, {timedelta(seconds=round((total - done) / rate))} left"
