"""Rates against known Wilson intervals, and the accuracy of pairs on a tree written out by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rstar.evaluate.metrics import Rate, by_level, pair_accuracy, total
from tests.select.handmade import grow, problem


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [
        # Wilson's interval at 95 % (z = 1.959964), worked out from its formula.
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (1, 10, 0.0179, 0.4042),
        (5, 10, 0.2366, 0.7634),
        (50, 100, 0.4038, 0.5962),
        (81, 263, 0.2553, 0.3662),  # Newcombe (1998), table I
        (15, 148, 0.0624, 0.1605),  # the same
    ],
)
def test_known_wilson_intervals(right, n, low, high):
    assert Rate(right, n).interval() == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_an_interval_holds_its_share_and_is_symmetric(counts):
    right, n = counts
    low, high = Rate(right, n).interval()
    assert 0 <= low <= right / n + 1e-12
    assert right / n <= high + 1e-12
    assert high <= 1
    other = Rate(n - right, n).interval()
    assert other == (pytest.approx(1 - high, abs=1e-9), pytest.approx(1 - low, abs=1e-9))


def test_nothing_measured_is_no_share():
    assert Rate().share is None
    assert Rate().interval() is None
    assert Rate().to_json() == {"right": 0, "n": 0, "share": None, "interval": None}


def test_a_rate_as_json():
    assert Rate(1, 3).to_json() == {"right": 1, "n": 3, "share": 0.3333, "interval": [0.0615, 0.7923]}


def test_rates_by_level_add_up():
    levels = by_level([("L2", True), ("L1", False), (None, True), ("L2", False), ("L2", True)])
    assert levels == {"L1": Rate(0, 1), "L2": Rate(2, 3), "all": Rate(1, 1)}
    assert list(levels) == ["L1", "L2", "all"]
    assert total(levels) == Rate(3, 5)
    assert total({}) == Rate(0, 0)


def test_pair_accuracy_by_hand():
    """Two steps lead right, two wrong; the scores rank three of the four step pairs and one of the two answer pairs."""
    tree = problem()
    good = grow(tree, "g;", 0.0, score=0.9)
    mixed = grow(tree, "m;", 0.0, score=0.2)
    grow(tree, "bad", 0.0, "wrong", score=0.1)
    grow(tree, "worse", 0.0, "error", score=0.5)
    grow(tree, "1", 0.0, "right", good, score=0.3)
    grow(tree, "2", 0.0, "right", mixed, score=-0.3)
    tree.nodes[mixed].visits = tree.nodes[good].visits = 0
    # Step pairs at the root: g and m (Q = 1) over bad and worse (Q = -1); m loses against worse (0.2 < 0.5).
    # Answer pairs: 0.3 and -0.3 over the one wrong answer with 0.1.
    assert pair_accuracy([tree]) == {"step": Rate(3, 4), "answer": Rate(1, 2)}
    assert pair_accuracy([tree, tree]) == {"step": Rate(6, 8), "answer": Rate(2, 4)}


def test_labels_come_from_the_outcome_and_not_from_the_q_values_of_the_search():
    tree = problem()
    mixed = grow(tree, "m;", 0.9, score=0.9)
    grow(tree, "1", 1.0, "right", mixed)
    grow(tree, "2", -1.0, "wrong", mixed)
    sure = grow(tree, "s;", -0.9, score=-0.9)
    grow(tree, "3", 1.0, "right", sure)
    grow(tree, "4", -1.0, "wrong", score=0.0)
    # By outcome `s` (Q = 1) is chosen before `m` (Q = 0), and its score is below that of the wrong step.
    assert pair_accuracy([tree], most=1) == {"step": Rate(0, 1), "answer": Rate(0, 0)}


def test_equal_scores_are_wrong_and_missing_ones_are_not_counted():
    tree = problem()
    grow(tree, "right", 0.0, "right", score=0.5)
    grow(tree, "wrong", 0.0, "wrong", score=0.5)
    grow(tree, "error", 0.0, "error")
    assert pair_accuracy([tree]) == {"step": Rate(0, 1), "answer": Rate(0, 1)}


def test_most_bounds_each_side():
    tree = problem()
    for number in range(4):
        grow(tree, f"r{number}", 0.0, "right", score=1.0)
        grow(tree, f"w{number}", 0.0, "wrong", score=-1.0)
    assert pair_accuracy([tree], most=3) == {"step": Rate(9, 9), "answer": Rate(9, 9)}


def test_no_trees_have_no_pairs():
    assert pair_accuracy([]) == {"step": Rate(), "answer": Rate()}
