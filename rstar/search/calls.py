"""The four things a search can ask for, and how a search is driven by hand."""

import hashlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar, cast

from rstar.core.execution import StateId, StepResult
from rstar.core.verdict import Judgement

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Generate:
    """Sample `n` continuations of `prompt`; each stops behind the first of `stop`, which it keeps.

    Temperature 0 is greedy.
    """

    prompt: str
    n: int
    seed: int
    stop: tuple[str, ...]
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 512
    role: str = "policy"


class Finish(StrEnum):
    """Why a completion ended."""

    STOP = "stop"
    LENGTH = "length"


@dataclass(frozen=True, slots=True)
class Completion:
    """One sampled continuation; `logprob` is the sum over its tokens, where the lane knows it."""

    text: str
    tokens: int
    finish: Finish = Finish.STOP
    logprob: float | None = None


@dataclass(frozen=True, slots=True)
class Execute:
    """Run each of `codes` on top of the interpreter state `state`, apart from one another."""

    state: StateId
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """What the value model `role` says of each prefix (prompt and solution text), in [-1, 1]."""

    prefixes: tuple[str, ...]
    role: str = "ppm"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a solution says: the answer as written, and the executed value where code printed one."""

    text: str
    printed: str | None = None


@dataclass(frozen=True, slots=True)
class Verify:
    """Grade answers against the reference."""

    reference: str
    answers: tuple[Answer, ...]


Call: TypeAlias = Generate | Execute | Score | Verify
Reply: TypeAlias = Sequence[Completion] | Sequence[StepResult] | Sequence[float] | Sequence[Judgement]


@dataclass(frozen=True, slots=True)
class Together:
    """Several calls of one search at once; the reply is the list of their replies."""

    calls: tuple[Call, ...]


Search: TypeAlias = Generator[Call | Together, Any, T]


def generate(call: Generate) -> Search[list[Completion]]:
    return cast(list[Completion], (yield call))


def execute(state: StateId, codes: Sequence[str]) -> Search[list[StepResult]]:
    return cast(list[StepResult], (yield Execute(state, tuple(codes))))


def score(prefixes: Sequence[str], role: str = "ppm") -> Search[list[float]]:
    return cast(list[float], (yield Score(tuple(prefixes), role)))


def verify(reference: str, answers: Sequence[Answer]) -> Search[list[Judgement]]:
    return cast(list[Judgement], (yield Verify(reference, tuple(answers))))


def together(searches: Sequence[Search[T]]) -> Search[list[T]]:
    """Run parts of one search side by side: what all of them ask next goes out at once. Their results, in order.

    The parts take turns in their order, so what they do to a tree they share does not depend on who answers first.
    """
    if len(searches) == 1:
        return [(yield from searches[0])]
    results: dict[int, T] = {}
    replies: dict[int, Any] = dict.fromkeys(range(len(searches)))
    while replies:
        asked: dict[int, Call | Together] = {}
        for i, reply in replies.items():
            try:
                asked[i] = searches[i].send(reply)
            except StopIteration as stop:
                results[i] = stop.value
        calls = [call.calls if isinstance(call, Together) else (call,) for call in asked.values()]
        if not calls:
            break
        answers = iter((yield Together(tuple(call for group in calls for call in group))))
        taken = [[next(answers) for _ in group] for group in calls]
        replies = {
            i: own if isinstance(call, Together) else own[0]
            for (i, call), own in zip(asked.items(), taken, strict=True)
        }
    return [results[i] for i in range(len(searches))]


def relayed(search: Search[T], parts: Callable[[Call], Sequence[Call]]) -> Search[T]:
    """The same search, in which some calls stand in the place of each: their replies, joined, are the call's own."""
    reply: Any = None
    while True:
        try:
            asked = search.throw(reply) if isinstance(reply, Exception) else search.send(reply)
        except StopIteration as stop:
            return cast(T, stop.value)
        told = [parts(call) for call in (asked.calls if isinstance(asked, Together) else (asked,))]
        try:
            if not isinstance(asked, Together) and len(told[0]) == 1:
                reply = yield told[0][0]
                continue
            replies = iter((yield Together(tuple(call for part in told for call in part))))
        except Exception as error:
            reply = error
            continue
        joined = [_joined([next(replies) for _ in part]) for part in told]
        reply = joined if isinstance(asked, Together) else joined[0]


def _joined(replies: list[Any]) -> Any:
    return replies[0] if len(replies) == 1 else [one for reply in replies for one in reply]


def drive(search: Search[T], world: Callable[[Call], Reply]) -> T:
    """Run one search by hand against a function from calls to replies: tests, tutorials and replays."""
    try:
        call = next(search)
        while True:
            reply = [world(one) for one in call.calls] if isinstance(call, Together) else world(call)
            call = search.send(reply)
    except StopIteration as stop:
        return cast(T, stop.value)


class Seeds:
    """A stream of 63-bit seeds fixed by (run seed, problem id, attempt).

    Two trees of a problem differ, a rerun does not.
    """

    __slots__ = ("_key", "_ordinal")

    def __init__(self, run_seed: int, problem_id: str, attempt: int = 0):
        self._key = f"{run_seed}\x1f{problem_id}\x1f{attempt}"
        self._ordinal = 0

    def next(self) -> int:
        digest = hashlib.sha256(f"{self._key}\x1f{self._ordinal}".encode()).digest()
        self._ordinal += 1
        return int.from_bytes(digest[:8], "big") >> 1

    def fork(self, branch: int) -> "Seeds":
        """The stream of one part of a search: it does not depend on what the other parts ask. Part 0 is this one."""
        if branch == 0:
            return self
        own = Seeds.__new__(Seeds)
        own._key, own._ordinal = f"{self._key}\x1fbranch {branch}", 0
        return own
