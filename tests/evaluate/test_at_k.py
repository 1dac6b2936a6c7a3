"""pass@k, maj@k, best@k and the bootstrap, against values worked out by hand and against plain enumeration."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rstar.evaluate import metrics
from rstar.evaluate.metrics import Ending, at_k, best_at, bootstrap, compared, endings, maj_at, mean, pass_at, sizes
from tests.select.handmade import grow, problem

RIGHT, WRONG, NONE = Ending("4", True, None), Ending("5", False, None), Ending(None, False, None)


def scored(*pairs: tuple[bool, float | None]) -> list[Ending]:
    return [Ending("4" if right else "5", right, score) for right, score in pairs]


@pytest.mark.parametrize(
    ("right", "n", "k", "value"),
    [
        (0, 8, 4, 0.0),
        (8, 8, 1, 1.0),
        (1, 4, 1, 1 / 4),
        (1, 4, 2, 1 / 2),  # 1 - C(3,2)/C(4,2) = 1 - 3/6
        (2, 5, 2, 0.7),  # 1 - C(3,2)/C(5,2) = 1 - 3/10
        (2, 5, 4, 1.0),  # only three are wrong
        (3, 16, 8, 0.9),  # 1 - C(13,8)/C(16,8) = 1 - 1287/12870
        (1, 2, 8, 1.0),  # two are all there are
        (0, 0, 1, 0.0),
    ],
)
def test_pass_at_k_by_hand(right, n, k, value):
    assert pass_at([RIGHT] * right + [WRONG] * (n - right), k) == pytest.approx(value)


def test_best_at_k_by_hand():
    # Ranked: right .9, wrong .5, right .1, and one that failed. Of six pairs: three have the first (right); two the
    # second as the best (wrong); one the third (right).
    found = [NONE, *scored((True, 0.1), (True, 0.9), (False, 0.5))]
    assert best_at(found, 1) == pytest.approx(2 / 4)
    assert best_at(found, 2) == pytest.approx(4 / 6)
    assert best_at(found, 3) == pytest.approx(3 / 4)
    assert best_at(found, 4) == best_at(found, 99) == 1.0
    assert best_at([], 2) == 0.0


def test_of_equal_scores_the_first_born_is_best():
    assert best_at(scored((True, 0.5), (False, 0.5)), 2) == 1.0
    assert best_at(scored((False, 0.5), (True, 0.5)), 2) == 0.0


def test_maj_at_k_by_hand():
    found = [WRONG, RIGHT, RIGHT, NONE]
    assert maj_at(found, 1) == pytest.approx(2 / 4)
    # Six pairs: wrong-right twice, a tie that the class born first wins (wrong); wrong-none; right-right; right-none
    # twice. Three of six are right.
    assert maj_at(found, 2) == pytest.approx(3 / 6)
    assert maj_at([RIGHT, WRONG], 2) == 1.0
    assert maj_at([WRONG, RIGHT], 2) == 0.0
    assert maj_at(found, 4) == maj_at(found, 64) == 1.0
    assert maj_at([NONE, NONE], 2) == maj_at([], 1) == 0.0


def test_many_trajectories_vote_by_drawn_subsets():
    found = [RIGHT] * 40 + [WRONG] * 24
    assert maj_at(found, 64) == 1.0
    assert 0.7 < maj_at(found, 15) < 0.95  # binomial-like: about 0.85
    assert maj_at(found, 15) == maj_at(found, 15)
    assert maj_at(found, 15, seed=1) != maj_at(found, 15)


ending = st.builds(
    lambda right, score: Ending("r" if right else "w", right, score),
    st.booleans(),
    st.one_of(st.none(), st.sampled_from([-0.5, 0.0, 0.5, 0.7])),
)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.lists(ending, min_size=1, max_size=7), st.integers(1, 7))
def test_every_measure_is_the_mean_over_all_draws(found, k):
    draws = [[found[i] for i in places] for places in combinations(range(len(found)), min(k, len(found)))]
    classes = list(dict.fromkeys(one.answer for one in found))

    def best(draw: list[Ending]) -> bool:
        return max(draw, key=lambda one: -9 if one.score is None else one.score).correct

    def voted(draw: list[Ending]) -> bool:
        answers = [one.answer for one in draw]
        return max(classes, key=answers.count) == "r"

    assert pass_at(found, k) == pytest.approx(np.mean([any(one.correct for one in draw) for draw in draws]))
    assert best_at(found, k) == pytest.approx(np.mean([best(draw) for draw in draws]))
    assert maj_at(found, k) == pytest.approx(np.mean([voted(draw) for draw in draws]))


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([], []),
        ([0, 0, 3], [1]),
        ([1], [1]),
        ([1, 7, 9], [1, 2, 4]),
        ([8, 8, 8, 2], [1, 2, 4, 8]),
        ([3, 9, 15], [1, 2, 4, 8]),
    ],
)
def test_sizes_are_powers_of_two_that_half_of_the_problems_have(counts, expected):
    assert sizes(counts) == expected


def test_endings_are_the_leaves_with_their_counts():
    tree = problem()
    step = grow(tree, "s;", 0.0)
    for kind, answer in (("right", "4.0"), ("wrong", "5"), ("error", "")):
        grow(tree, answer or "boom", 0.0, kind, step)
    tree.nodes[2].count = 3
    found = endings(tree)
    assert [one.correct for one in found] == [True, True, True, False, False]
    assert found[-1].answer is None
    assert len({one.answer for one in found}) == 3


def test_answers_that_are_equal_vote_as_one():
    tree = problem()
    for answer, kind in (("3/7", "wrong"), ("x+1", "right"), ("1+x", "right")):
        grow(tree, answer, 0.0, kind)
    assert maj_at(endings(tree), 3) == 0.0  # three forms, and the first born wins
    assert maj_at(endings(tree, lambda left, right: {left, right} == {"x+1", "1+x"}), 3) == 1.0


def test_at_k_over_problems():
    told = at_k([[RIGHT, WRONG], [WRONG, WRONG], [RIGHT, RIGHT]])
    assert {name: list(by_k) for name, by_k in told.items()} == {"pass": ["1", "2"], "maj": ["1", "2"]}
    assert told["pass"]["1"]["mean"] == pytest.approx((0.5 + 0 + 1) / 3, abs=1e-4)
    assert told["pass"]["2"]["mean"] == pytest.approx(2 / 3, abs=1e-4)
    assert told["pass"]["2"]["interval"] == [0.0, 1.0]
    assert "best" in at_k([scored((True, 0.1))])
    assert at_k([]) == {"pass": {}, "maj": {}}


def test_a_bootstrap_interval_is_seeded_and_near_the_normal_one():
    values = [1.0] * 30 + [0.0] * 70
    low, high = bootstrap(values)
    assert bootstrap(values) == (low, high)
    uneven = [i**0.5 for i in range(100)]
    assert bootstrap(uneven) == bootstrap(uneven) != bootstrap(uneven, seed=1)
    half = 1.96 * (0.3 * 0.7 / 100) ** 0.5
    assert (low, high) == (pytest.approx(0.3 - half, abs=0.015), pytest.approx(0.3 + half, abs=0.015))
    assert bootstrap([]) is None
    assert mean([]) == {"mean": None, "interval": None}
    assert mean([0.25] * 4) == {"mean": 0.25, "interval": [0.25, 0.25]}


def test_two_strategies_on_the_same_problems():
    first = [True] * 10 + [False] * 10
    second = [True] * 9 + [False] + [True] * 7 + [False] * 3
    told = compared(first, second)
    assert (told["only_first"], told["only_second"]) == (1, 7)
    assert told["difference"] == 0.3
    assert told["interval"][0] > 0  # pairing matters: the same two rates apart are not told apart
    assert told["p"] == pytest.approx(2 * (1 + 8) / 2**8, abs=1e-4)  # two-sided, 1 or fewer of 8
    assert compared(second, first)["difference"] == -0.3
    assert compared(first, first) == {
        "difference": 0.0,
        "interval": [0.0, 0.0],
        "only_first": 0,
        "only_second": 0,
        "p": 1.0,
    }


def test_pairing_needs_the_same_problems():
    with pytest.raises(ValueError, match="longer"):
        compared([True], [True, False])


def test_intervals_are_at_95_percent():
    """Of 200 samples of a known mean, about one in twenty has it outside."""
    rng = np.random.default_rng(5)
    outside = 0
    for seed in range(200):
        low, high = bootstrap(rng.random(60).tolist(), seed)
        outside += not low <= 0.5 <= high
    assert 3 <= outside <= 22
    assert metrics.RESAMPLES >= 1000
