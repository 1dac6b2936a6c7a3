"""The one scheduler: it advances thousands of searches and batches what they ask for, without timers or barriers."""

import asyncio
import gc
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from rstar.errors import EngineDown, RolloutError
from rstar.search.calls import Call, Completion, Execute, Generate, Reply, Score, Search, Together, Verify

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ticket:
    """One call and the key (the problem's id) of the search that asked."""

    key: str
    call: Call


Worker = Callable[[Sequence[Ticket]], Awaitable[Sequence["Reply | RolloutError"]]]
"""Answers a batch: one reply a ticket, in order; a RolloutError in a place fails that ticket's search alone."""


@dataclass(slots=True)
class LaneStats:
    """What a lane did: calls answered, batches sent, seconds calls waited, seconds at least one batch was running;
    `items` are the tokens it generated, the steps it ran, the prefixes it scored or the answers it graded.

    Of now: calls that are waiting, batches that are running, and since when any is.
    """

    calls: int = 0
    batches: int = 0
    items: int = 0
    queue_s: float = 0.0
    busy_s: float = 0.0
    waiting: int = 0
    running: int = 0
    since: float = 0.0

    def busy(self, now: float) -> float:
        """`busy_s`, and what has passed of the batches that are running."""
        return self.busy_s + (now - self.since if self.running else 0.0)


@dataclass(slots=True)
class Lane:
    """A queue in front of one worker: at most `max_concurrent` batches of at most `max_batch` calls are running."""

    worker: Worker
    max_batch: int = 1
    max_concurrent: int = 1
    stats: LaneStats = field(default_factory=LaneStats)
    device: str = "cpu"
    """What kind of device answers: seconds of a lane on a `cuda` device are GPU-seconds."""


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """How one search ended: with its result, or with the error that stopped it."""

    key: str
    result: T | None
    error: RolloutError | None = None


def lane_name(call: Call) -> str:
    """Where a call goes: one lane for each kind and role (`generate:policy`, `score:ppm`, `execute`, `verify`)."""
    match call:
        case Generate(role=role):
            return f"generate:{role}"
        case Score(role=role):
            return f"score:{role}"
        case Execute():
            return "execute"
        case Verify():
            return "verify"


class Driver:
    """Runs searches over lanes, at most `max_live` at a time.

    A lane with a free slot takes everything that waits for it, up to its `max_batch`: busy lanes accumulate, free ones
    drain. A worker that fails a batch is asked again one call at a time, so that an error stays with its problem.
    """

    def __init__(self, lanes: dict[str, Lane], max_live: int = 256):
        self.lanes = lanes
        self.max_live = max_live

    async def run(self, searches: Iterable[tuple[str, Search[T]]]) -> AsyncIterator[Outcome[T]]:
        """Yield each search's outcome as it ends. Leaving the iterator early cancels what is still running."""
        run = _Run[T](self, iter(searches))
        with collecting_seldom():
            try:
                async for outcome in run.outcomes():
                    yield outcome
            finally:
                await run.cancel()


@contextmanager
def collecting_seldom() -> Iterator[None]:
    """Live trees are many small objects without cycles: looking through them for cycles took a third of the time."""
    before = gc.get_threshold()
    gc.set_threshold(max(before[0], 50_000), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@dataclass(slots=True)
class _Asked(Generic[T]):
    """What one search waits for: a call, or several at once, and the replies that are there."""

    key: str
    search: Search[T]
    single: bool
    replies: list[Any]
    missing: int


@dataclass(slots=True)
class _Waiting(Generic[T]):
    ticket: Ticket
    asked: _Asked[T]
    place: int
    since: float


class _Run(Generic[T]):
    def __init__(self, driver: Driver, source: Any):
        self.driver = driver
        self.source = source
        self.live = 0
        self.queues: dict[str, deque[_Waiting[T]]] = {name: deque() for name in driver.lanes}
        for lane in driver.lanes.values():
            lane.stats.waiting = lane.stats.running = 0
        self.tasks: set[asyncio.Task[None]] = set()
        self.done: asyncio.Queue[Outcome[T] | BaseException] = asyncio.Queue()

    async def outcomes(self) -> AsyncIterator[Outcome[T]]:
        self._admit()
        while self.live or not self.done.empty():
            outcome = await self.done.get()
            if isinstance(outcome, BaseException):
                raise outcome
            yield outcome

    async def cancel(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def _admit(self) -> None:
        """Start searches until `max_live` wait for something, then let every free lane drain."""
        while self.live < self.driver.max_live:
            try:
                key, search = next(self.source)
            except StopIteration:
                break
            self.live += 1
            self._advance(key, search, None)
        self._pump()

    def _advance(self, key: str, search: Search[T], reply: Any) -> None:
        """Hand a search its reply (or the error) and file the call it asks next."""
        try:
            call = search.throw(reply) if isinstance(reply, RolloutError) else search.send(reply)
        except StopIteration as stop:
            self._finish(Outcome(key, stop.value))
        except RolloutError as error:
            self._finish(Outcome(key, None, error))
        except Exception as error:  # a search's own bug on one problem must not end the other thousands
            self._finish(Outcome(key, None, RolloutError("search", f"{type(error).__name__}: {error}")))
        else:
            self._file(key, search, call)

    def _file(self, key: str, search: Search[T], call: Call | Together) -> None:
        """Put what a search asks into the queues of the lanes."""
        calls = call.calls if isinstance(call, Together) else (call,)
        names = [lane_name(one) for one in calls]
        unknown = [name for name in names if name not in self.queues]
        if unknown or not calls:
            search.close()
            reason = f"nothing answers {unknown[0]} calls" if unknown else "a search asked for nothing"
            self._finish(Outcome(key, None, RolloutError("driver", reason)))
            return
        asked = _Asked(key, search, not isinstance(call, Together), [None] * len(calls), len(calls))
        now = time.monotonic()
        for place, (name, one) in enumerate(zip(names, calls, strict=True)):
            self.queues[name].append(_Waiting(Ticket(key, one), asked, place, now))
            self.driver.lanes[name].stats.waiting += 1

    def _arrived(self, waiting: _Waiting[T], reply: Any) -> None:
        """File a reply; the search goes on when it has all that it waits for. One error is enough to fail it."""
        asked = waiting.asked
        asked.replies[waiting.place] = reply
        asked.missing -= 1
        if not asked.missing:
            errors = [its for its in asked.replies if isinstance(its, RolloutError)]
            whole = asked.replies[0] if asked.single else asked.replies
            self._advance(asked.key, asked.search, errors[0] if errors else whole)

    def _finish(self, outcome: Outcome[T]) -> None:
        self.live -= 1
        self.done.put_nowait(outcome)

    def _pump(self) -> None:
        for name, lane in self.driver.lanes.items():
            queue, stats = self.queues[name], lane.stats
            while queue and stats.running < lane.max_concurrent:
                batch = [queue.popleft() for _ in range(min(len(queue), lane.max_batch))]
                now = time.monotonic()
                stats.queue_s += sum(now - waiting.since for waiting in batch)
                stats.waiting -= len(batch)
                if not stats.running:
                    stats.since = now
                stats.running += 1
                task = asyncio.ensure_future(self._serve(name, lane, batch))
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)

    async def _serve(self, name: str, lane: Lane, batch: list[_Waiting[T]]) -> None:
        try:
            replies = await _ask(name, lane, [waiting.ticket for waiting in batch])
            stats = lane.stats
            stats.calls += len(batch)
            stats.batches += 1
            stats.items += sum(map(_items, replies))
            stats.running -= 1
            if not stats.running:
                stats.busy_s += time.monotonic() - stats.since
            for waiting, reply in zip(batch, replies, strict=True):
                self._arrived(waiting, reply)
            self._admit()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # the driver's own failure: no search may be left waiting for ever
            self.done.put_nowait(error)


def _items(reply: Reply | RolloutError) -> int:
    """How much a lane made: the tokens of completions, else the number of replies to the call's items."""
    if isinstance(reply, RolloutError):
        return 0
    return sum(one.tokens if isinstance(one, Completion) else 1 for one in reply)


def _checked(name: str, call: Call, reply: Reply | RolloutError) -> Reply | RolloutError:
    """The reply, if it has the form the call asks for: a malformed one is the lane's fault, not the search's."""
    if isinstance(reply, RolloutError):
        return reply
    match call:
        case Generate(n=wanted):
            fits = len(reply) <= wanted
        case Execute(codes=items) | Score(prefixes=items) | Verify(answers=items):
            wanted, fits = len(items), len(reply) == len(items)
    if not fits:
        return RolloutError(name, f"a reply of {len(reply)} items where {wanted} were asked for")
    if isinstance(call, Score) and not all(isinstance(item, float) and -1 <= item <= 1 for item in reply):
        return RolloutError(name, "a score that is not a number between -1 and 1")
    return reply


async def _ask(name: str, lane: Lane, tickets: list[Ticket]) -> Sequence[Reply | RolloutError]:
    """A batch's replies; when the worker fails as a whole, each ticket is asked alone and keeps its own error."""
    try:
        replies = await lane.worker(tickets)
        if len(replies) != len(tickets):
            raise RolloutError(name, f"{len(replies)} replies to {len(tickets)} calls")
        return [_checked(name, ticket.call, reply) for ticket, reply in zip(tickets, replies, strict=True)]
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise  # the driver is leaving
        failure = RolloutError(name, f"{type(error).__name__}: {error}")  # something of the worker's own was cancelled
    except EngineDown:
        raise  # it would be the same for every problem
    except RolloutError as error:
        failure = error
    except Exception as error:  # the lane boundary: whatever a worker raises is attributed to it
        failure = RolloutError(name, f"{type(error).__name__}: {error}")
    if len(tickets) == 1:
        return [failure]
    return [reply for ticket in tickets for reply in await _ask(name, lane, [ticket])]
