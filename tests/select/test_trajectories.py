"""The best verified trajectories of a problem, and how difficult it was."""

import pytest

from rstar.select.trajectories import Difficulty, best, difficulty, drawn, trajectories
from tests.select.handmade import grow, problem


def texts(found) -> list[str]:
    return [trajectory.text for trajectory in found]


def test_a_trajectory_is_a_path_to_an_answered_leaf():
    tree = problem()
    a = grow(tree, "a", 0.5)
    leaf = grow(tree, "1", 0.25, "right", a)
    tree.nodes[a].observation = "[shown]"
    grow(tree, "2", -1, "wrong", a)
    grow(tree, "e", -1, "error")
    grow(tree, "d", -1, "deep")
    first, second = trajectories(tree)
    assert (first.text, first.path, first.q_values) == ("a[shown]1", (a, leaf), (0.5, 0.25))
    assert (first.answer, first.correct, first.leaf) == ("1", True, leaf)
    assert (first.mean_q, first.min_q) == (0.375, 0.25)
    assert (second.text, second.correct) == ("a[shown]2", False)


def test_the_best_come_by_mean_q():
    tree = problem()
    grow(tree, "low", 0.1, "right")
    grow(tree, "high", 0.9, "right")
    grow(tree, "middle", 0.5, "right")
    assert texts(best([tree], 2)) == ["high", "middle"]
    assert texts(best([tree], 10)) == ["high", "middle", "low"]


def test_ties_in_mean_q_are_broken_by_min_q():
    tree = problem()
    uneven = grow(tree, "u", 0.0)
    grow(tree, "neven", 1.0, "right", uneven)
    even = grow(tree, "e", 0.5)
    grow(tree, "ven", 0.5, "right", even)
    assert texts(best([tree], 2)) == ["even", "uneven"]


def test_the_length_of_a_path_does_not_count():
    tree = problem()
    a = grow(tree, "a", 0.6)
    b = grow(tree, "b", 0.6, under=a)
    grow(tree, "c", 0.6, "right", b)
    grow(tree, "short", 0.5, "right")
    assert texts(best([tree], 1)) == ["abc"]


def test_identical_texts_count_once_with_their_best_q():
    first, second = problem(), problem()
    second.attempt = 1
    grow(first, "same", 0.2, "right")
    grow(first, "other", 0.5, "right")
    grow(second, "same", 0.8, "right")
    found = best([first, second], 3)
    assert texts(found) == ["same", "other"]
    assert (found[0].mean_q, found[0].attempt) == (0.8, 1)


@pytest.mark.parametrize("end", ["wrong", "undecided", "ungraded", "error", "timeout", "deep", "unreadable"])
def test_only_verified_trajectories_are_taken(end):
    tree = problem()
    grow(tree, "x", 0.9, end)
    assert best([tree], 2) == []


def test_drawn_are_verified_distinct_and_the_same_each_time():
    tree = problem()
    for i in range(8):
        grow(tree, f"right {i}", 0.9 - 0.1 * i, "right")
        grow(tree, f"wrong {i}", 1.0, "wrong")
    twin = problem()
    grow(twin, "right 7", 0.0, "right")
    found = texts(drawn([tree, twin], 3))
    assert found == texts(drawn([tree, twin], 3))
    assert len(set(found)) == 3
    assert all(text.startswith("right") for text in found)
    assert found != texts(best([tree, twin], 3))
    assert sorted(texts(drawn([tree, twin], 100))) == [f"right {i}" for i in range(8)]


def test_no_trees_have_no_best():
    assert best([], 2) == []


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        (["right", "right"], Difficulty.EASY),
        (["right", "wrong"], Difficulty.MEDIUM),
        (["right", "error"], Difficulty.MEDIUM),
        (["right", "timeout"], Difficulty.MEDIUM),
        (["right", "undecided"], Difficulty.EASY),
        (["wrong", "deep"], Difficulty.HARD),
        (["undecided"], Difficulty.HARD),
        ([], Difficulty.HARD),
    ],
)
def test_difficulty_is_how_the_trajectories_came_out(ends, expected):
    tree = problem()
    for number, end in enumerate(ends):
        grow(tree, f"t{number}", 0.0, end)
    assert difficulty([tree]) is expected


def test_difficulty_looks_at_all_trees_of_a_problem():
    first, second = problem(), problem()
    grow(first, "a", 1.0, "right")
    grow(second, "b", -1.0, "wrong")
    assert difficulty([first]) is Difficulty.EASY
    assert difficulty([first, second]) is Difficulty.MEDIUM
