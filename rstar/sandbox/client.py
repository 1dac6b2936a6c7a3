"""The sandbox as the rest of rstar sees it: an asyncio client that remembers every state and can always rebuild it."""

import asyncio
import hashlib
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal

from rstar.core.execution import ROOT_STATE, StateId, Status, StepResult
from rstar.sandbox.config import SandboxConfig
from rstar.sandbox.interpreter import fingerprint
from rstar.sandbox.link import BrokerLost, Link
from rstar.sandbox.wire import COUNTERS, STATUSES, digest

Keep = Literal["auto", "never"]

RETRIES = 2
"""How often an execution that the machine spoiled is repeated before it is returned as `infra`."""

STATUS = tuple(Status(name) for name in STATUSES)


@dataclass(slots=True)
class SandboxStats:
    """Counts and seconds since the start; `known`, `live` and `queued` are of now."""

    executions: int = 0
    """Steps that ran; `step_cpu_s` is their own CPU time."""
    step_cpu_s: float = 0.0
    statuses: Counter[Status] = field(default_factory=Counter)
    cached: int = 0
    """Steps that were answered without running."""
    retries: int = 0
    """Steps run again because the machine spoiled them."""
    restarts: int = 0
    """Brokers replaced."""
    known: int = 0
    """States that can be built upon, as a process or by replay."""
    live: int = 0
    """States kept as processes (snapshots)."""
    queued: int = 0
    """Steps that wait in a broker."""
    forks: int = 0
    """Processes made; `fork_s` is the time on the clock from the request to the child's pid."""
    fork_s: float = 0.0
    evictions: int = 0
    replays: int = 0
    """Steps of prefixes run again; `replay_cpu_s` is their CPU time."""
    replay_cpu_s: float = 0.0
    broker_cpu_s: float = 0.0
    """CPU time of the brokers themselves."""


class _Known:
    """A step that ran: its result, and how to make its state again."""

    __slots__ = ("code", "link", "parent", "result")

    def __init__(self, parent: "_Known | None", code: str, result: StepResult, link: Link):
        self.parent = parent
        self.code = code
        self.result = result
        self.link = link


class Sandbox:
    """Runs steps. An async context manager; every method belongs to the event loop that entered it.

    `remember` bounds the results kept for steps that were asked for outside any group. Those that a group asked for are
    kept until its `release`, from the moment it asks: another group's release in the meantime takes nothing away.
    """

    def __init__(self, config: SandboxConfig | None = None, *, remember: int = 100_000, without: Sequence[str] = ()):
        self.config = config or SandboxConfig()
        self.fingerprint = fingerprint(self.config)
        self.remember = remember
        self._without = tuple(without)
        self._links: list[Link] = []
        self._known: dict[StateId, _Known] = {}
        self._loose: OrderedDict[StateId, None] = OrderedDict()
        self._groups: dict[str, set[StateId]] = {}
        self._claims: Counter[StateId] = Counter()
        self._flying: dict[StateId, asyncio.Future[StepResult]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stats = SandboxStats()
        self._salt = self.fingerprint.encode()

    async def __aenter__(self) -> "Sandbox":
        """Start the brokers. Raises SandboxUnavailable, naming the layer that is missing and the way to get it."""
        self._links = [Link(self.config, number, self._without) for number in range(Link.count(self.config))]
        try:
            await asyncio.gather(*(link.start() for link in self._links))
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def _stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(link.stop() for link in self._links))
        self.stats()
        self._links = []

    @property
    def layers(self) -> dict[str, tuple[bool, str]]:
        """Each isolation layer: whether it is in force, and a detail."""
        return dict(self._links[0].layers) if self._links else {}

    async def run(self, parent: StateId, code: str, keep: Keep = "auto", *, group: str | None = None) -> StepResult:
        """Run one step on top of `parent`. Raises KeyError when `parent` is no state of this sandbox (any more)."""
        (result,) = await self.run_many(parent, [code], keep, group=group)
        return result

    async def run_many(
        self, parent: StateId, codes: Sequence[str], keep: Keep = "auto", *, group: str | None = None
    ) -> list[StepResult]:
        """Run the siblings of one expansion, each on top of `parent`, and give their results in order.

        The same code under the same parent runs once. `keep="never"` does not hold the resulting states as processes
        (they stay valid and are rebuilt on demand). `group` (a problem's id, say) says what `release` may forget.
        Raises KeyError when `parent` is no state of this sandbox (any more).
        """
        origin = None if parent == ROOT_STATE else self._state(parent)
        states = [self.state_id(parent, code) for code in codes]
        self._claim(parent, states, group)
        owed: dict[StateId, str] = {}
        for state, code in zip(states, codes, strict=True):
            if state not in self._known and state not in self._flying:
                owed.setdefault(state, code)
        if owed:
            loop = asyncio.get_running_loop()
            for state in owed:
                self._flying[state] = loop.create_future()
            task = loop.create_task(self._execute(parent, origin, owed, keep == "auto", group))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        waits = [self._flying.get(state) or self._known[state].result for state in states]
        results = []
        for state, found in zip(states, waits, strict=True):
            result = found if isinstance(found, StepResult) else await asyncio.shield(found)
            if owed.pop(state, None) is None:
                self._stats.cached += 1
                result = _as_cached(result)
            results.append(result)
        return results

    async def release(self, name: StateId | str) -> None:
        """Forget a group, or one state: its processes end, its results are dropped unless another group has them.

        Names that are unknown are ignored."""
        members = self._groups.pop(name, None)
        gone: dict[Link, list[StateId]] = {}
        for state in [name] if members is None else members:
            if members is None:
                self._loose.pop(state, None)
                for others in self._groups.values():
                    others.discard(state)
            else:
                self._claims[state] -= 1
                if self._claims[state] > 0 or state in self._loose:
                    continue
            self._claims.pop(state, None)
            known = self._known.pop(state, None)
            if known is not None:
                gone.setdefault(known.link, []).append(state)
        for link, dropped in gone.items():
            link.send(("drop", dropped))

    def stats(self) -> SandboxStats:
        """What happened so far."""
        stats = self._stats
        if not self._links:  # closed: as it was then
            return stats
        stats.known = len(self._known)
        stats.restarts = sum(link.restarts for link in self._links)
        for name, *values in zip(COUNTERS, *(link.counters for link in self._links), strict=True):
            setattr(stats, name, sum(values))
        return stats

    def state_id(self, parent: StateId, code: str) -> StateId:
        """The name of the state after `code` on top of `parent`."""
        text = f"{parent}\n{len(code)}\n{code}".encode("utf-8", "surrogatepass")
        return hashlib.sha256(self._salt + text).hexdigest()

    # ------------------------------------------------------------------------------------------------------------

    def _state(self, state: StateId) -> _Known:
        known = self._known.get(state)
        if known is None:
            raise KeyError(f"state {state[:12]}… is unknown: released, or {self.remember} came after it")
        if known.result.status is not Status.OK:
            raise KeyError(f"state {state[:12]}… does not exist: its step ended as {known.result.status}")
        return known

    async def _execute(
        self, parent: StateId, origin: _Known | None, owed: dict[StateId, str], keep: bool, group: str | None
    ) -> None:
        """Have `owed` run and fill the waiting futures; what the machine spoils is tried again."""
        left = dict(owed)
        try:
            link = origin.link if origin is not None else self._choose(group)
            for attempt in range(RETRIES + 1):
                try:
                    rows = await self._ask(link, parent, origin, left, keep, group or "")
                except BrokerLost as lost:
                    rows = [(STATUSES.index("infra"), "", None, str(lost), False, 0.0, 0.0, 0)] * len(left)
                for (state, code), row in zip(list(left.items()), rows, strict=True):
                    result = _result(state, row)
                    if result.status is Status.INFRA and attempt < RETRIES:
                        continue
                    del left[state]
                    self._arrived(state, _Known(origin, code, result, link))
                if not left:
                    return
                self._stats.retries += len(left)
        except Exception as failure:  # of whatever kind: those who wait must hear of it
            for state in left:
                future = self._flying.pop(state)
                if not future.done():
                    future.set_exception(failure)
        finally:
            for state in left:
                lonely = self._flying.pop(state, None)
                if lonely is not None:
                    lonely.cancel()

    async def _ask(
        self, link: Link, parent: StateId, origin: _Known | None, steps: dict[StateId, str], keep: bool, group: str
    ) -> list[Any]:
        request = (parent, list(steps.items()), keep, group)
        chain = _chain(origin, parent, self) if self.config.keep == "never" else None
        rows = await link.ask(*request, chain)
        if rows is None:
            rows = await link.ask(*request, _chain(origin, parent, self))
        assert rows is not None
        return rows

    def _arrived(self, state: StateId, known: _Known) -> None:
        result = known.result
        stats = self._stats
        stats.executions += 1
        stats.step_cpu_s += result.cpu_s
        stats.statuses[result.status] += 1
        if result.status is not Status.INFRA:
            self._known[state] = known
            if not self._claims[state]:
                self._loosen(state)
        future = self._flying.pop(state)
        if not future.done():
            future.set_result(result)

    def _claim(self, parent: StateId, states: Sequence[StateId], group: str | None) -> None:
        """These are wanted: by a group until its release, without one as long as `remember` allows."""
        if group is None:
            if parent in self._loose:
                self._loose.move_to_end(parent)
            for state in states:
                self._loosen(state)
            return
        members = self._groups.setdefault(group, set())
        new = {parent, *states} - members - {ROOT_STATE}
        members |= new
        self._claims.update(new)

    def _loosen(self, state: StateId) -> None:
        self._loose[state] = None
        self._loose.move_to_end(state)
        while len(self._loose) > self.remember:
            old, _ = self._loose.popitem(last=False)
            if not self._claims[old]:
                self._known.pop(old, None)
                del self._claims[old]

    def _choose(self, group: str | None) -> Link:
        """A group stays with one broker; anything else goes where least is waiting."""
        if group is not None and len(self._links) > 1:
            return self._links[int(hashlib.sha256(group.encode()).hexdigest()[:8], 16) % len(self._links)]
        return min(self._links, key=lambda link: link.waiting)


def _chain(origin: _Known | None, parent: StateId, sandbox: Sandbox) -> list[tuple[StateId, str, int]]:
    """How to make `parent` from the root: state, code and what its replay must show, for each step."""
    chain = []
    at = origin
    while at is not None:
        result = at.result
        check = digest(0, result.stdout, result.value)
        chain.append((result.state or "", at.code, check))
        at = at.parent
    return chain[::-1]


def _result(state: StateId, row: tuple[Any, ...]) -> StepResult:
    status, stdout, value, error, truncated, cpu_s, wall_s, replayed = row
    named = state if status == 0 else None
    return StepResult(STATUS[status], named, stdout, value, error, truncated, cpu_s, wall_s, replayed)


def _as_cached(result: StepResult) -> StepResult:
    return StepResult(
        result.status, result.state, result.stdout, result.value, result.error, result.truncated,
        result.cpu_s, result.wall_s, result.replayed, True,
    )  # fmt: skip
