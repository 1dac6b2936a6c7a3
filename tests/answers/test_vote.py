"""Classes of equal answers, and votes over them."""

import asyncio

import pytest

from rstar.answers import Grader, classes, compare, equal_classes, equality, majority, weighted_vote
from rstar.core.verdict import Verdict


def equal(left: str, right: str) -> bool:
    return compare(left, right).verdict is Verdict.EQUIVALENT


def test_classes_by_equality() -> None:
    answers = ["1/2", "0.5", None, "x+1", r"\frac{2}{4}", "1+x", "", "7"]
    assert classes(answers, equal) == [0, 0, -1, 1, 0, 1, -1, 2]


def test_the_grader_gives_the_same_classes() -> None:
    async def run() -> list[int]:
        async with Grader() as grader:
            return await equal_classes(["1/2", r"\sqrt{2}", "0.5", None, r"\frac{2}{\sqrt2}"], grader)

    assert asyncio.run(run()) == [0, 1, 0, -1, 1]


def test_it_does_not_matter_which_of_two_equal_answers_came_first() -> None:
    async def run(answers: list[str]) -> list[int]:
        async with Grader() as grader:
            return await equal_classes(answers, grader)

    for answers in (["[2, 3]", "3, 2"], ["3, 2", "[2, 3]"]):
        assert asyncio.run(run(answers)) == [0, 0]
        with equality() as same:
            assert classes(answers, same) == [0, 0]


def test_the_grader_s_equality_without_an_event_loop() -> None:
    with equality() as same:
        assert classes([r"2\sqrt{3}", "12", r"\sqrt{12}", None, "12.0", "x"], same) == [0, 1, 0, -1, 1, 2]


def test_nobody_asked_means_classes_of_one_normal_form() -> None:
    assert classes(["1,000", "x+1", "1000.0", "1+x", " x + 1"]) == [0, 1, 0, 2, 1]
    assert classes([]) == []


def test_equal_spellings_ask_nobody() -> None:
    def never(left: str, right: str) -> bool:
        raise AssertionError((left, right))

    assert classes(["1,000", "1000", "1000.0", "1000"], never) == [0, 0, 0, 0]


def test_majority() -> None:
    assert majority([0, 1, 1, -1, -1, -1]) == 1
    assert majority([2, 0, 2, 0]) == 0
    assert majority([-1, -1]) is None
    assert majority([]) is None


def test_weighted_vote() -> None:
    assert weighted_vote([0, 0, 1], [0.1, 0.2, 0.9]) == 1
    assert weighted_vote([0, 0, 1], [0.5, 0.5, 0.9]) == 0
    assert weighted_vote([-1], [5.0]) is None
    assert weighted_vote([0, 1], [0.0, 0.0]) == 0
    with pytest.raises(ValueError, match="negative"):
        weighted_vote([0], [-1.0])
    with pytest.raises(ValueError, match=r"shorter|longer"):
        weighted_vote([0], [])
