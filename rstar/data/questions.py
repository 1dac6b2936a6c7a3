"""New questions out of given ones, as searches: the policy is asked to write and to solve them like everything else.

MetaMath (2309.12284): rephrasing, self-verification, FOBAR, answer augmentation. MuggleMath (2310.05506): other
numbers, another condition. rStar-Math: new problems from seeds, kept if at least 3 of 10 solutions agree.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rstar.answers.grade import unverifiable
from rstar.answers.vote import NO_ANSWER, grouping
from rstar.config.augment import CheckConfig, Method, QuestionsConfig
from rstar.config.search import BestOfNConfig, SelfConsistencyConfig
from rstar.core.problem import Problem
from rstar.core.tree import Tree
from rstar.core.verdict import Verdict
from rstar.data.tasks import problem_row
from rstar.data.wording import latex_form
from rstar.search.calls import Answer, Generate, Search, Seeds, generate, verify
from rstar.search.chains import best_of_n, self_consistency
from rstar.search.expand import last_line
from rstar.text.prompts import Prompts

_NUMBER = re.compile(r"(?<![\w.\\^_{])\d+(?:,\d{3})*(?:\.\d+)?(?![\w}]|\.\d)")
"""A number that stands by itself, not a part of a formula's command, exponent or index."""
_LETTERS = "xyzuvw"
_STOP = ("\n\n", "\nProblem:")


@dataclass(frozen=True, slots=True)
class Unit:
    """One question to be made: of a problem, by a method, for the `number`-th time."""

    method: Method
    parent: Problem
    number: int
    seeds: tuple[Problem, ...] = ()
    """What is shown beside the parent for a `new` one."""

    @property
    def key(self) -> str:
        return f"{self.method}:{self.number}:{self.parent.id}"


@dataclass(frozen=True, slots=True)
class Made:
    """What became of a unit. `reason` says why there is no new problem, or why it is not kept."""

    unit: Unit
    problem: Problem | None = None
    reason: str | None = None
    solved: int = 0
    """Solutions that answered (and that the value model did not refuse)."""
    agreeing: int = 0
    solutions: tuple[tuple[str, str], ...] = ()
    """(answer, text) of the distinct solutions that agree."""

    def row(self) -> dict[str, Any]:
        """As a line of the stage's journal."""
        return {
            "key": self.unit.key,
            "method": self.unit.method,
            "parent": self.unit.parent.id,
            "kept": self.problem is not None and self.reason is None,
            "reason": self.reason,
            "problem": None if self.problem is None else problem_row(self.problem),
            "solved": self.solved,
            "agreeing": self.agreeing,
            "solutions": [list(solution) for solution in self.solutions],
        }


def units(cfg: QuestionsConfig, problems: Sequence[Problem]) -> list[Unit]:
    """All questions to make, in order. The seeds of a `new` one are drawn with the run's seed."""
    made = []
    for method in cfg.methods:
        for at, parent in enumerate(problems):
            for number in range(cfg.each):
                seeds: tuple[Problem, ...] = ()
                if method == "new":
                    rng = random.Random(f"{cfg.seed}|{parent.id}|{number}")
                    others = [i for i in rng.sample(range(len(problems)), min(cfg.seeds, len(problems))) if i != at]
                    seeds = tuple(problems[i] for i in others[: cfg.seeds - 1])
                made.append(Unit(method, parent, number, seeds))
    return made


def make(unit: Unit, cfg: QuestionsConfig, prompts: Prompts) -> Search[Made]:
    """Write the question, solve it several times, and keep it if enough solutions agree."""
    seeds = Seeds(cfg.seed, unit.key)
    written = yield from _question(unit, cfg, prompts, seeds)
    if isinstance(written, str):
        return Made(unit, reason=written)
    text, answer = written
    same = latex_form(text) == latex_form(unit.parent.text)
    if unit.method != "answers" and (same or any(latex_form(text) == latex_form(one.text) for one in unit.seeds)):
        return Made(unit, reason="nothing new")
    name = unit.parent.id if unit.method == "answers" else f"{unit.parent.id}/{unit.method}-{unit.number}"
    parent = unit.parent.parent if unit.method == "answers" else unit.parent.id
    source = unit.parent.source if unit.method == "answers" else unit.method
    problem = replace(unit.parent, id=name, text=text, answer=answer, source=source, parent=parent)
    return (yield from _checked(unit, problem, cfg, prompts, seeds))


def _question(unit: Unit, cfg: QuestionsConfig, prompts: Prompts, seeds: Seeds) -> Search[tuple[str, str | None] | str]:
    """(text, reference where it is known), or why there is no question."""
    parent, reference = unit.parent, unit.parent.answer or ""
    match unit.method:
        case "answers":
            return parent.text, reference
        case "rephrase":
            text = yield from _write(prompts.rephrase(parent), cfg, seeds)
            return (text, reference) if text else "nothing written"
        case "fobar":
            masked = mask(parent.text, parent.text, f"{cfg.seed}|{unit.key}")
            if masked is None:
                return "no number"
            text, letter, number = masked
            asked = f"If we know the answer to the above question is {reference}, what is the value of the unknown"
            return f"{text}\n{asked} variable {letter}?", number
        case "self_verification":
            if not _NUMBER.search(parent.text):
                return "no number"
            statement = yield from _write(prompts.statement(parent), cfg, seeds)
            masked = mask(statement, parent.text, f"{cfg.seed}|{unit.key}")
            if masked is None:
                return "the number is lost"
            text, letter, number = masked
            return f"{text} What is the value of the unknown variable {letter}?", number
        case _:
            text = yield from _write(prompts.varied(unit.method, parent, unit.seeds), cfg, seeds)
            return (text, None) if text else "nothing written"


def mask(text: str, question: str, draw: str) -> tuple[str, str, str] | None:
    """(text with one of the question's numbers under a letter, the letter, the number); None where there is none.

    The number is drawn among those that stand once in the text, so that the letter says all of it.
    """
    asked = set(_NUMBER.findall(question))
    found = [match for match in _NUMBER.finditer(text) if match[0] in asked]
    once = [match for match in found if sum(other[0] == match[0] for other in found) == 1]
    letter = next((each for each in _LETTERS if not re.search(rf"(?<![A-Za-z]){each}(?![A-Za-z])", text)), None)
    if not once or letter is None:
        return None
    drawn = random.Random(draw).choice(once)
    return text[: drawn.start()] + letter + text[drawn.end() :], letter, drawn[0].replace(",", "")


def _write(prompt: str, cfg: QuestionsConfig, seeds: Seeds) -> Search[str]:
    ask = Generate(prompt, 1, seeds.next(), _STOP, cfg.temperature, 1.0, cfg.max_tokens)
    completions = yield from generate(ask)
    text = completions[0].text if completions else ""
    for stop in _STOP:
        text = text.removesuffix(stop)
    return " ".join(text.split())


def _checked(unit: Unit, problem: Problem, cfg: QuestionsConfig, prompts: Prompts, seeds: Seeds) -> Search[Made]:
    """Solve the problem, its reference hidden, and count which answers agree."""
    tree = yield from _solved(problem.hidden(), cfg, prompts, seeds.fork(1))
    leaves = [
        at
        for at in tree.leaves()
        if tree.nodes[at].answer and (cfg.value is None or (tree.nodes[at].score or 0.0) >= cfg.check.min_score)
    ]
    said = [Answer(tree.nodes[at].answer or "", last_line(tree.nodes[at].printed)) for at in leaves]
    answer, right = problem.answer, list[bool]()
    if answer is None:
        numbers = yield from classes([each.text for each in said])
        best = max(set(numbers) - {NO_ANSWER}, key=lambda number: (numbers.count(number), -number), default=None)
        right = [number == best and best is not None for number in numbers]
        answer = next((each.text for each, agrees in zip(said, right, strict=True) if agrees), None)
    elif said:
        right = [judged.verdict is Verdict.EQUIVALENT for judged in (yield from verify(answer, said))]
    agreeing = sum(right)
    texts = {tree.prefix(at): tree.nodes[at].answer or "" for at, agrees in zip(leaves, right, strict=True) if agrees}
    reason = None
    if agreeing < cfg.check.agree:
        reason = f"{agreeing} of {cfg.check.solutions} agree"
    elif answer is None or (rule := unverifiable(answer)) is not None:
        reason = "no answer" if answer is None else f"unverifiable: {rule}"
    solutions = tuple((answer, text) for text, answer in texts.items())
    return Made(unit, replace(problem, answer=answer), reason, len(leaves), agreeing, solutions)


def _solved(problem: Problem, cfg: QuestionsConfig, prompts: Prompts, seeds: Seeds) -> Search[Tree]:
    """So many solutions apart from one another; scored where there is a value model."""
    check: CheckConfig = cfg.check
    bounds = {"max_depth": check.max_depth, "max_tokens": check.max_tokens, "temperature": check.temperature}
    if cfg.value is None:
        how = SelfConsistencyConfig(n=check.solutions, **bounds)
        return (yield from self_consistency(problem, prompts, how, seeds))
    return (yield from best_of_n(problem, prompts, BestOfNConfig(n=check.solutions, **bounds), seeds))


def classes(answers: Sequence[str]) -> Search[list[int]]:
    """The class of each answer, as `rstar.answers.vote.classes` has it, by the verifier's word either way round."""
    made = grouping(answers)
    try:
        heads, answer = next(made)
        while True:
            equal = None
            for number, head in enumerate(heads):
                for left, right in ((head, answer), (answer, head)):
                    (judged,) = yield from verify(left, [Answer(right)])
                    equal = number if judged.verdict is Verdict.EQUIVALENT else equal
                if equal is not None:
                    break
            heads, answer = made.send(equal)
    except StopIteration as done:
        return list(done.value)
