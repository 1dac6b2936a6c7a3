"""Scripted policies of people's own problems: one replays demonstrations with noise, one borrows from them."""

import ast
import random
import re
from collections.abc import Sequence

from rstar.core.problem import Demonstration
from rstar.data.numbers import NAME
from rstar.errors import RolloutError
from rstar.search.calls import Completion, Generate
from rstar.text.grammar import END_STEP, PROMPT_HEAD, PROMPT_TAIL, written

_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?!\w|\.\d)")
_OPERATOR = re.compile(r" [-+*/] ")
_LABEL = re.compile(r"#.*")
_PLACE = re.compile(rf"{NAME.pattern}|(?<![Ss]tep ){_NUMBER.pattern}")


class Demonstrator:
    """Continues a problem's own demonstration; a share `noise` of its steps is spoilt.

    A spoilt step has one operator or one number exchanged (for another of the problem) and its comment kept: it runs,
    but leads to a wrong answer more often than not. That gives the preference model its first wrong siblings. A path
    that was spoilt goes on with the demonstration's later steps.
    """

    def __init__(self, demonstrations: Sequence[Demonstration], noise: float = 0.15):
        self.noise = noise
        self._written = {d.problem.text: written(d.steps) for d in demonstrations}

    def __call__(self, call: Generate) -> list[Completion]:
        """`call.n` continuations by one step each, from the call's seed alone."""
        problem, _, solution = call.prompt.partition(PROMPT_TAIL)
        text = problem.removeprefix(PROMPT_HEAD)
        if text not in self._written:
            raise RolloutError("demonstrations", "there is no demonstration for this problem")
        step = self._written[text][solution.count(END_STEP)]
        rng = random.Random(call.seed)
        numbers = _numbers(text)
        return [self._one(step, numbers, rng) for _ in range(call.n)]

    def _one(self, step: str, numbers: list[str], rng: random.Random) -> Completion:
        text = spoil(step, numbers, rng) if rng.random() < self.noise else step
        return Completion(text, tokens=len(text.split()))


class Borrower:
    """Continues any problem by a step out of a demonstration of another one, with this one's numbers in it.

    The first number of the one problem stands for the first of the other, and so on; with probability `changed`, or
    where there is no such number, for any. What people did most often is tried most often, and nothing of what the
    problem says is understood: an explorer beside a policy that knows too little to try what it has not seen.
    """

    def __init__(self, demonstrations: Sequence[Demonstration], changed: float = 0.25):
        self.changed = changed
        self._shown = [(_numbers(d.problem.text), written(d.steps)) for d in demonstrations]

    def __call__(self, call: Generate) -> list[Completion]:
        """`call.n` continuations by one step each, by the call's seed; none where no demonstration is so long."""
        problem, _, solution = call.prompt.partition(PROMPT_TAIL)
        numbers = _numbers(problem.removeprefix(PROMPT_HEAD))
        done = solution.count(END_STEP)
        longer = [(theirs, steps[done]) for theirs, steps in self._shown if len(steps) > done]
        rng = random.Random(call.seed)
        made = [self._one(*rng.choice(longer), numbers, rng) for _ in range(call.n if longer else 0)]
        return [Completion(text, tokens=len(text.split())) for text in made]

    def _one(self, theirs: list[str], step: str, ours: list[str], rng: random.Random) -> str:
        if not ours:
            return step
        table = {
            number: rng.choice(ours) if i >= len(ours) or rng.random() < self.changed else ours[i]
            for i, number in enumerate(theirs)
        }
        return _PLACE.sub(lambda found: table.get(found.group(), found.group()), step)


def _numbers(text: str) -> list[str]:
    """The names of a problem's numbers, or the numbers themselves, in order."""
    return list(dict.fromkeys(NAME.findall(text) or _NUMBER.findall(text)))


def spoil(step: str, numbers: Sequence[str], rng: random.Random) -> str:
    """The step with one operator or number of its code exchanged; unchanged when there is nothing to exchange."""
    comment = max((m.end() for m in _LABEL.finditer(step)), default=0)
    head, code = step[:comment], step[comment:]
    places = [(m, [op for op in (" + ", " - ", " * ", " / ") if op != m.group()]) for m in _OPERATOR.finditer(code)]
    number = re.compile("|".join([_NUMBER.pattern] + [rf"\b{name}\b" for name in numbers if name.isidentifier()]))
    places += [(m, [n for n in numbers if n != m.group()]) for m in number.finditer(code)]
    places = [(m, others) for m, others in places if others]
    if not places:
        return step
    match, others = rng.choice(places)
    return head + code[: match.start()] + rng.choice(others) + code[match.end() :]


def check(demonstration: Demonstration) -> str | None:
    """Why the steps cannot be replayed (a step that is not Python), or None."""
    for number, step in enumerate(demonstration.steps, start=1):
        try:
            ast.parse(step)
        except SyntaxError as error:
            return f"step {number} is not Python: {error.msg}"
    return None
