"""Worlds for searches: a rough one driven by hashes, one written out by hand, and a log of what was asked."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rstar.core.execution import ROOT_STATE, Status, StepResult
from rstar.core.verdict import Judgement, Verdict
from rstar.engine.scripted import ScriptedWorld
from rstar.search.calls import Call, Completion, Execute, Generate, Reply, Score, Search, Verify, drive

OPINIONS = ("Sure.", "likely", "impossible", "no idea")


@dataclass(frozen=True)
class RoughWorld:
    """A scripted world in which, besides, policies fall silent, steps run out of time and answers cannot be graded.

    Like the world inside it, every reply is a function of the call alone; the shares are probabilities.
    """

    inner: ScriptedWorld = field(default_factory=ScriptedWorld)
    silent: float = 0.0
    slow: float = 0.0
    undecided: float = 0.0

    def __call__(self, call: Call) -> Reply:
        replies: Any = self.inner(call)
        match call:
            case Generate(prompt=prompt):
                if self._unit("silent", prompt) < self.silent:
                    return []
                if prompt.endswith("Verdict:"):
                    words = [f" {w}" for w in (("continue", "end") if "continue:" in prompt else OPINIONS)]
                    said = [int(self._unit(prompt, str(call.seed + i)) * len(words)) for i in range(call.n)]
                    return [Completion(words[i], 2) for i in said]
                return [replace(r, logprob=round(-5 * self._unit("logprob", prompt, r.text), 6)) for r in replies]
            case Execute(state=state, codes=codes):
                slow = StepResult(Status.TIMEOUT_CPU, error="5 s of CPU time are used up")
                return [
                    slow if self._unit("slow", state, code) < self.slow else result
                    for code, result in zip(codes, replies, strict=True)
                ]
            case Verify(answers=answers):
                undecided = Judgement(Verdict.UNVERIFIABLE, "guard:length")
                return [
                    undecided if self._unit("undecided", answer.text) < self.undecided else judgement
                    for answer, judgement in zip(answers, replies, strict=True)
                ]
        return replies

    def _unit(self, *parts: str) -> float:
        digest = hashlib.sha256("\x1f".join((str(self.inner.seed), *parts)).encode()).digest()
        return int.from_bytes(digest[:6], "big") / 2**48


@dataclass
class HandWorld:
    """A world in which every reply is written down by the test.

    `texts` gives the completions behind a solution text (what follows the prompt's head), `results` the outcome of a
    code (default: ok, in a state named `after <code>`), `scores` the value of a solution text (of `ROLE: text` for one
    role alone), `verdicts` that of an answer (default: a comparison of strings), `logprobs` that of a completion. A
    text that was not written down is a KeyError.
    """

    head: str
    texts: Mapping[str, Sequence[str]]
    results: Mapping[str, StepResult] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    logprobs: Mapping[str, float] = field(default_factory=dict)

    def __call__(self, call: Call) -> Reply:
        match call:
            case Generate():
                texts = self.texts[call.prompt.removeprefix(self.head)]
                return [Completion(text, len(text), logprob=self.logprobs.get(text)) for text in texts]
            case Execute():
                return [self.results.get(code, StepResult(Status.OK, f"after {code}")) for code in call.codes]
            case Score():
                texts = [prefix.removeprefix(self.head) for prefix in call.prefixes]
                own = [f"{call.role}: {text}" for text in texts]
                return [self.scores[key if key in self.scores else text] for key, text in zip(own, texts, strict=True)]
            case Verify():
                return [
                    Judgement(
                        self.verdicts.get(
                            answer.text,
                            Verdict.EQUIVALENT if answer.text == call.reference else Verdict.DIFFERENT,
                        ),
                        "string",
                    )
                    for answer in call.answers
                ]


def printing(text: str, state: str = ROOT_STATE) -> StepResult:
    """A step that ran and printed `text`."""
    return StepResult(Status.OK, state, stdout=f"{text}\n")


def logged(search: Search[Any], world: Callable[[Call], Reply]) -> tuple[Any, list[tuple[Call, Reply]]]:
    """Drive a search by hand; returns its result and every call with its reply."""
    log: list[tuple[Call, Reply]] = []

    def listening(call: Call) -> Reply:
        reply = world(call)
        log.append((call, reply))
        return reply

    return drive(search, listening), log


def of_kind(log: list[tuple[Call, Reply]], kind: type) -> list[Any]:
    """The logged calls of one kind."""
    return [call for call, _ in log if isinstance(call, kind)]


def with_seed(world: RoughWorld, seed: int) -> RoughWorld:
    return replace(world, inner=replace(world.inner, seed=seed))
