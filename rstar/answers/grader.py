"""Grading for callers: an asynchronous `Grader` and the synchronous `grade_pairs`, both with a verdict cache."""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rstar.answers.grade import Mode, quick
from rstar.answers.pool import GraderUnavailable, WorkerPool
from rstar.core.verdict import Judgement, Verdict

__all__ = ["Grader", "GraderUnavailable", "equality", "grade_pairs"]

_CACHED = 50_000
_LONGEST = 100_000  # characters of a response; the answer stands at its end
_LONGEST_CACHED = 4_000  # characters; a whole response is hardly met twice, and the cache must stay small
_NEVER_CACHED = frozenset({"timeout", "worker_died", "memory"})  # load or chance, not a property of the pair


class VerdictCache:
    """Verdicts by (mode, gold, candidate), least recently used out first. Thread-safe."""

    def __init__(self, size: int = _CACHED):
        self._size = size
        self._lock = threading.Lock()
        self._verdicts: OrderedDict[tuple[str, str, str], Judgement] = OrderedDict()

    def __len__(self) -> int:
        return len(self._verdicts)

    def get(self, key: tuple[str, str, str]) -> Judgement | None:
        """The verdict of an earlier question, or None."""
        with self._lock:
            found = self._verdicts.get(key)
            if found is not None:
                self._verdicts.move_to_end(key)
            return found

    def put(self, key: tuple[str, str, str], judgement: Judgement) -> None:
        """Remembers a verdict, unless it says more about the machine than about the pair, or the pair is long."""
        if judgement.rule in _NEVER_CACHED or len(key[1]) + len(key[2]) > _LONGEST_CACHED:
            return
        with self._lock:
            self._verdicts[key] = judgement
            if len(self._verdicts) > self._size:
                self._verdicts.popitem(last=False)


class _Desk:
    """What both front ends share: cache, cheap path, and threads that each wait on one worker process."""

    def __init__(self, mode: Mode, workers: int, timeout_s: float, cached: int):
        self.mode = mode
        self.cache = VerdictCache(cached)
        self.pool = WorkerPool(workers, timeout_s)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="grader")

    def cheap(self, gold: str, candidate: str | None) -> Judgement | None:
        if candidate is None:
            return Judgement(Verdict.DIFFERENT, "empty")
        found = quick(gold[-_LONGEST:], candidate[-_LONGEST:], self.mode)
        return Judgement(*found) if found is not None else self.cache.get((self.mode, gold, candidate))

    def ask(self, gold: str, candidate: str) -> "Future[Judgement]":
        return self._threads.submit(self._ask, gold, candidate)

    def _ask(self, gold: str, candidate: str) -> Judgement:
        key = (self.mode, gold, candidate)
        found = self.cache.get(key)  # an equal question may have been answered while this one waited
        if found is None:
            ends = gold[-_LONGEST:], candidate[-_LONGEST:]
            found = self.pool.judge(self.mode, *ends)
            if found.rule == "worker_died":  # killed from outside, for all we know; if by this pair, then twice
                found = self.pool.judge(self.mode, *ends)
            self.cache.put(key, found)
        return found

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)
        self.pool.close()


class Grader:
    """Grades answers without ever blocking the event loop or trusting a parser with the caller's process.

    Equal strings and plain numbers are judged at once; the rest goes to `workers` killable processes, each question
    bounded by `timeout_s` seconds (then UNVERIFIABLE by rule `timeout`). Any event loop of any thread may use it.
    """

    def __init__(self, mode: Mode = "strict", workers: int = 1, timeout_s: float = 2.0, cached: int = _CACHED):
        self._desk = _Desk(mode, workers, timeout_s, cached)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def grade(self, gold: str, candidate: str | None) -> Judgement:
        """Whether `candidate` equals `gold`; None is no answer, hence DIFFERENT. Raises GraderUnavailable."""
        found = self._desk.cheap(gold, candidate)
        if found is not None or candidate is None:
            return found if found is not None else Judgement(Verdict.DIFFERENT, "empty")
        return await asyncio.wrap_future(self._desk.ask(gold, candidate))

    async def grade_many(self, gold: str, candidates: Sequence[str | None]) -> list[Judgement]:
        """One judgement per candidate, in order; equal candidates are judged once. Raises GraderUnavailable."""
        unique = list(dict.fromkeys(candidates))
        judgements = dict(zip(unique, await asyncio.gather(*(self.grade(gold, each) for each in unique)), strict=True))
        return [judgements[candidate] for candidate in candidates]

    def pids(self) -> list[int]:
        """Process ids of the idle grading processes."""
        return self._desk.pool.pids()

    async def close(self) -> None:
        """Ends the processes; questions not yet begun are cancelled."""
        await asyncio.to_thread(self._desk.close)


def grade_pairs(
    pairs: Iterable[tuple[str, str | None]], mode: Mode = "strict", workers: int = 1, timeout_s: float = 2.0
) -> Iterator[Judgement]:
    """Judgements of (gold, candidate) pairs, in order and lazily, from any thread and with no event loop.

    Reads ahead of its caller by a bounded number of pairs. Raises GraderUnavailable.
    """
    desk = _Desk(mode, workers, timeout_s, _CACHED)
    ahead: list[Future[Judgement] | Judgement] = []
    try:
        for gold, candidate in pairs:
            found = desk.cheap(gold, candidate)
            ahead.append(found if found is not None or candidate is None else desk.ask(gold, candidate))  # type: ignore[arg-type]
            if len(ahead) > 8 * workers:
                yield _settled(ahead.pop(0))
        for each in ahead:
            yield _settled(each)
    finally:
        desk.close()


@contextmanager
def equality(mode: Mode = "strict", timeout_s: float = 2.0) -> Iterator[Callable[[str, str], bool]]:
    """Whether two answers are equal, whichever is taken as the reference: for votes, where there is none.

    From any thread and with no event loop. The function raises GraderUnavailable.
    """
    desk = _Desk(mode, 1, timeout_s, _CACHED)

    def equal(left: str, right: str) -> bool:
        for gold, candidate in ((left, right), (right, left)):
            found = desk.cheap(gold, candidate) or desk.ask(gold, candidate).result()
            if found.verdict is Verdict.EQUIVALENT:
                return True
        return False

    try:
        yield equal
    finally:
        desk.close()


def _settled(answer: "Future[Judgement] | Judgement") -> Judgement:
    return answer if isinstance(answer, Judgement) else answer.result()
