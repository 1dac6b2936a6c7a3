"""Groups answers into equivalence classes and lets them vote."""

from collections.abc import Callable, Generator, Sequence

from rstar.answers.grader import Grader
from rstar.answers.normal import normal_form as normal_form
from rstar.core.verdict import Verdict

NO_ANSWER = -1
Equal = Callable[[str, str], bool]


def distinct(left: str, right: str) -> bool:
    """The `Equal` of those who ask nobody: what differs in its normal form is not equal."""
    return False


def classes(answers: Sequence[str | None], equal: Equal = distinct) -> list[int]:
    """The class of each answer, numbered by first appearance; NO_ANSWER for None and empty ones.

    Answers of one normal form share a class; classes merge where `equal` holds between an answer and a class's first.
    """
    made = grouping(answers)
    try:
        heads, answer = next(made)
        while True:
            heads, answer = made.send(next((n for n, head in enumerate(heads) if equal(head, answer)), None))
    except StopIteration as done:
        return list(done.value)


async def equal_classes(answers: Sequence[str | None], grader: Grader) -> list[int]:
    """`classes` by the grader's verdict. Raises GraderUnavailable."""
    import asyncio

    made = grouping(answers)
    try:
        heads, answer = next(made)
        while True:
            found = await asyncio.gather(*(_either_way(head, answer, grader) for head in heads))
            heads, answer = made.send(found.index(True) if True in found else None)
    except StopIteration as done:
        return list(done.value)


async def _either_way(left: str, right: str, grader: Grader) -> bool:
    """Nobody is the reference: a bare list and one in brackets are equal whichever came first."""
    for gold, candidate in ((left, right), (right, left)):
        if (await grader.grade(gold, candidate)).verdict is Verdict.EQUIVALENT:
            return True
    return False


def grouping(answers: Sequence[str | None]) -> Generator[tuple[list[str], str], int | None, list[int]]:
    """The loop of both: yields each new form with the first answers of the classes so far, is sent which it equals."""
    found: dict[str, int] = {}
    heads: list[str] = []
    result = []
    for answer in answers:
        key = normal_form(answer) if answer is not None else ""
        if answer is None or not key:
            result.append(NO_ANSWER)
            continue
        if key not in found:
            equal_to = (yield heads, answer) if heads else None
            if equal_to is None:
                heads.append(answer)
            found[key] = len(heads) - 1 if equal_to is None else equal_to
        result.append(found[key])
    return result


def weighted_vote(numbers: Sequence[int], weights: Sequence[float]) -> int | None:
    """The class with the greatest total weight, the earliest on a tie; None where nobody answered.

    Weights are not negative: more of the same answer must not count against it. Raises ValueError where one is, and
    where the two lengths differ.
    """
    if any(weight < 0 for weight in weights):
        raise ValueError("a vote of negative weight")
    totals: dict[int, float] = {}
    for number, weight in zip(numbers, weights, strict=True):
        if number != NO_ANSWER:
            totals[number] = totals.get(number, 0.0) + weight
    return max(totals, key=lambda number: (totals[number], -number)) if totals else None


def majority(numbers: Sequence[int]) -> int | None:
    """The most frequent class, the earliest on a tie; None where nobody answered."""
    return weighted_vote(numbers, [1.0] * len(numbers))
