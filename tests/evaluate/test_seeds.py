"""Means over seeds and their intervals, against cases that can be computed by hand."""

import numpy as np
import pytest

from rstar.evaluate.seeds import difference, figure, shares

TWO = shares({1: {"a": 1, "b": 0, "c": 1, "d": 1}, 2: {"a": 1, "b": 0, "c": 0, "d": 0}})


def test_a_mean_pools_seeds_and_the_spread_is_their_standard_deviation():
    found = figure(TWO)
    assert found.mean == 0.5
    assert found.by_seed == {1: 0.75, 2: 0.25}
    assert found.spread == pytest.approx(np.std([0.75, 0.25], ddof=1))
    assert found.n == 8


def test_the_interval_draws_problems_with_all_their_seeds():
    found = figure(TWO)
    # The problems' means are 1, 0, .5, .5: four draws of these, and not eight of zeros and ones.
    rng = np.random.default_rng(5)
    drawn = rng.choice([1.0, 0.0, 0.5, 0.5], (20_000, 4)).mean(1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert found.interval == pytest.approx((low, high), abs=0.03)
    apart = figure(shares({1: {f"{name}{seed}": v for seed, its in TWO.items() for name, (v, _) in its.items()}}))
    assert apart.interval is not None
    assert apart.interval[0] > 0.1


def test_problems_that_are_all_alike_have_no_width():
    assert figure(shares({1: {"a": 1, "b": 1, "c": 1}})).interval == (1.0, 1.0)


def test_one_seed_has_no_spread_and_one_problem_no_interval():
    found = figure(shares({3: {"a": 1}}))
    assert (found.mean, found.spread, found.interval) == (1.0, None, None)


def test_nothing_has_no_mean():
    found = figure({1: {}})
    assert (found.mean, found.interval, found.n) == (None, None, 0)
    assert found.to_json() == {"mean": None, "spread": None, "interval": None, "by_seed": {"1": None}, "n": 0}


def test_a_difference_is_paired():
    first = shares({1: {str(i): i % 2 for i in range(40)}})
    second = shares({1: {str(i): 1 if i == 0 else i % 2 for i in range(40)}})
    found = difference(first, second)
    assert found.mean == pytest.approx(1 / 40)
    assert found.by_seed == {1: pytest.approx(1 / 40)}
    # Only one problem differs: unpaired, the interval would reach 22 points below 0.
    assert found.interval == (0.0, pytest.approx(0.075))
    assert not found.apart
    assert difference(second, second).interval == (0.0, 0.0)


def test_a_difference_that_holds_everywhere_is_apart():
    names = [str(i) for i in range(30)]
    found = difference(shares({1: dict.fromkeys(names, 0)}), shares({1: dict.fromkeys(names, 1)}))
    assert found.interval == (1.0, 1.0)
    assert found.apart


def test_a_difference_counts_what_both_have():
    found = difference(shares({1: {"a": 0, "b": 0, "x": 1}, 2: {"a": 1}}), shares({1: {"a": 1, "b": 0, "y": 0}}))
    assert found.mean == 0.5
    assert found.by_seed == {1: 0.5}
    nothing = difference(shares({1: {"a": 1}}), shares({1: {"b": 1}}))
    assert (nothing.mean, nothing.interval, nothing.n) == (None, None, 0)


def test_a_mean_of_pairs_weighs_them_and_not_the_problems():
    found = figure({1: {"a": (9, 9), "b": (0, 1), "none": (0, 0)}})
    assert found.mean == 0.9
    assert found.n == 10
    assert found.interval == (0.0, 1.0)


def test_the_same_figures_come_out_each_time():
    assert figure(TWO) == figure(TWO)
