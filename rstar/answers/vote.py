"""Groups answers into equivalence classes and lets them vote."""

from collections.abc import Awaitable, Callable, Sequence

from rstar.answers.grader import Grader
from rstar.answers.normal import normal_form as normal_form
from rstar.core.verdict import Verdict

NO_ANSWER = -1
AsyncEqual = Callable[[str, str], Awaitable[bool]]
Equal = Callable[[str, str], bool]


def classes(answers: Sequence[str | None], equal: Equal) -> list[int]:
    """The class of each answer, numbered by first appearance; NO_ANSWER for None and empty ones.

    Answers of one normal form share a class; classes merge where `equal` holds between an answer and a class's first.
    """
    found: dict[str, int] = {}
    heads: list[str] = []
    result = []
    for answer in answers:
        key = normal_form(answer) if answer is not None else ""
        if answer is None or not key:
            result.append(NO_ANSWER)
            continue
        if key not in found:
            found[key] = next((number for number, head in enumerate(heads) if equal(head, answer)), len(heads))
            if found[key] == len(heads):
                heads.append(answer)
        result.append(found[key])
    return result


async def equal_classes(answers: Sequence[str | None], grader: Grader) -> list[int]:
    """`classes` by the grader's verdict. Raises GraderUnavailable."""
    found: dict[str, int] = {}
    heads: list[str] = []
    result = []
    for answer in answers:
        key = normal_form(answer) if answer is not None else ""
        if answer is None or not key:
            result.append(NO_ANSWER)
            continue
        if key not in found:
            judgements = await _against(heads, answer, grader)
            found[key] = next((number for number, equal in enumerate(judgements) if equal), len(heads))
            if found[key] == len(heads):
                heads.append(answer)
        result.append(found[key])
    return result


async def _against(heads: list[str], answer: str, grader: Grader) -> list[bool]:
    import asyncio

    judgements = await asyncio.gather(*(grader.grade(head, answer) for head in heads))
    return [judgement.verdict is Verdict.EQUIVALENT for judgement in judgements]


def weighted_vote(numbers: Sequence[int], weights: Sequence[float]) -> int | None:
    """The class with the greatest total weight, the earliest on a tie; None where nobody answered.

    Raises ValueError where the two lengths differ.
    """
    totals: dict[int, float] = {}
    for number, weight in zip(numbers, weights, strict=True):
        if number != NO_ANSWER:
            totals[number] = totals.get(number, 0.0) + weight
    return max(totals, key=lambda number: (totals[number], -number)) if totals else None


def majority(numbers: Sequence[int]) -> int | None:
    """The most frequent class, the earliest on a tie; None where nobody answered."""
    return weighted_vote(numbers, [1.0] * len(numbers))
