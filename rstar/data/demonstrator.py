"""A scripted policy that replays demonstrations with noise: the bootstrap teacher for people's own problems."""

import ast
import random
import re
from collections.abc import Sequence

from rstar.core.problem import Demonstration
from rstar.errors import RolloutError
from rstar.search.calls import Completion, Generate
from rstar.text.grammar import END_STEP, PROMPT_HEAD, PROMPT_TAIL, written

_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")
_OPERATOR = re.compile(r" [-+*/] ")
_LABEL = re.compile(r"#.*")


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
        numbers = _NUMBER.findall(text)
        return [self._one(step, numbers, rng) for _ in range(call.n)]

    def _one(self, step: str, numbers: list[str], rng: random.Random) -> Completion:
        text = spoil(step, numbers, rng) if rng.random() < self.noise else step
        return Completion(text, tokens=len(text.split()))


def spoil(step: str, numbers: Sequence[str], rng: random.Random) -> str:
    """The step with one operator or number of its code exchanged; unchanged when there is nothing to exchange."""
    comment = max((m.end() for m in _LABEL.finditer(step)), default=0)
    head, code = step[:comment], step[comment:]
    places = [(m, [op for op in (" + ", " - ", " * ", " / ") if op != m.group()]) for m in _OPERATOR.finditer(code)]
    places += [(m, [n for n in numbers if n != m.group()]) for m in _NUMBER.finditer(code)]
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
