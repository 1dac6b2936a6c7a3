"""Labels by hand: the trees are drawn beside the arithmetic."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rstar.config.search import MctsConfig
from rstar.config.train import HardConfig, OrmConfig, PqmConfig, PrmConfig, QvmConfig, RestMctsConfig, SoftConfig
from rstar.core.tree import Tree
from rstar.engine.scripted import ScriptedWorld
from rstar.search.calls import drive
from rstar.select.labels import (
    Predict,
    best_reward,
    classes,
    fitted,
    hard,
    q_values,
    rest_mcts,
    rows,
    served,
    soft,
    target,
)
from rstar.select.pairs import outcome_pairs
from tests.search.cases import Case, problems
from tests.search.worlds import RoughWorld
from tests.select.handmade import grow, problem


def branching() -> Tree:
    """1 a ── 3 c ── 5 right                  2 b ── 7 error
    │      └─ 6 wrong                        └─ 8 undecided
    └─ 4 d (open, unvisited)
    """
    tree = problem()
    a, b = grow(tree, "a", 0.25), grow(tree, "b", -0.5)
    c, d = grow(tree, "c", 0.125, under=a), grow(tree, "d", 0.0, under=a)
    tree.nodes[d].visits = 0
    grow(tree, "e", 1.0, "right", under=c), grow(tree, "f", -1.0, "wrong", under=c)
    grow(tree, "g", -1.0, "error", under=b), grow(tree, "h", 0.0, "undecided", under=b)
    return tree


def known_to(values: dict[str, float]) -> Predict | None:
    """A model that has learned the last labels by heart; None before there are any."""
    return (lambda prefixes: [values.get(prefix, 0.0) for prefix in prefixes]) if values else None


def test_hard_and_soft_estimates():
    # Ends right of decided: a 1/2, b 0/1 (the undecided one is neither), c 1/2, d none, then the ends themselves.
    assert soft(branching()) == [None, 1 / 2, 0 / 1, 1 / 2, None, 1.0, 0.0, 0.0, None]
    assert hard(branching()) == [None, 1.0, 0.0, 1.0, None, 1.0, 0.0, 0.0, None]


def test_a_soft_estimate_counts_every_end_once():
    tree = problem()
    a = grow(tree, "a", 0.0)
    for name, end in (("b", "right"), ("c", "wrong"), ("d", "timeout")):
        grow(tree, name, 0.0, end, under=a)
    grow(tree, "f", 0.0, "right", under=grow(tree, "e", 0.0, under=a))
    tree.nodes[2].count = 7
    assert soft(tree)[a] == 2 / 4


def test_step_classes():
    tree = branching()  # shares: a 1/2, b 0, c 1/2
    assert classes(tree) == [None, 1, -1, 1, None, 1, -1, -1, None]
    assert classes(tree, good=0.6) == [None, 0, -1, 0, None, 1, -1, -1, None]


def test_q_values_are_those_of_the_search():
    assert q_values(branching()) == [None, 0.25, -0.5, 0.125, None, 1.0, -1.0, -1.0, 0.0]


def test_the_best_reward_in_the_pool():
    assert best_reward(branching()) == [None, 1.0, 0.0, 1.0, None, 1.0, 0.0, 0.0, None]


def test_one_iteration_of_fitted_q():
    guess = {"ac": 0.3, "ad": 0.8, "ace": 0.9, "acf": 0.2, "bg": 0.1, "bh": 0.4}
    asked: list[str] = []

    def predict(prefixes):
        asked.extend(prefixes)
        return [guess[prefix] for prefix in prefixes]

    # a: 0.5 max(0.3, 0.8); b: 0.5 max(0.1, 0.4); c: 0.5 max(0.9, 0.2); d has no successor and no reward; ends: R.
    assert fitted(branching(), predict, 0.5) == [None, 0.4, 0.2, 0.45, None, 1.0, 0.0, 0.0, None]
    assert sorted(asked) == sorted(guess)
    assert fitted(branching(), None, 0.5) == [None, 0.0, 0.0, 0.0, None, 1.0, 0.0, 0.0, None]


def test_fitted_q_carries_a_reward_one_step_further_each_time():
    tree = problem()
    a = grow(tree, "a", 0.0)
    b = grow(tree, "b", 0.0, under=a)
    grow(tree, "c", 0.0, "right", under=b)
    known: dict[str, float] = {}
    seen = []
    for _ in range(3):
        labels = fitted(tree, known_to(known), 0.5)
        known = {tree.prefix(at): label for at, label in enumerate(labels) if label is not None}
        seen.append(labels[1:])
    assert seen == [[0.0, 0.0, 1.0], [0.0, 0.5, 1.0], [0.25, 0.5, 1.0]]


def test_rest_mcts_values():
    # The root is 3 steps from a right end, a 2 + ... m + 1 = 3 for a, 2 for c, 1 for e.
    tree = problem()
    a = grow(tree, "a", 0.0)  # v = 0 + 1/3
    b = grow(tree, "b", 0.0)  # wrong below the root, from which 4 steps count: max(0 - 1/4, 0) = 0
    c = grow(tree, "c", 0.0, under=a)  # v = 1/3 + (2/3)/2 = 2/3
    d = grow(tree, "d", 0.0, under=a)  # wrong, a's distance 3: v = 1/3 - (2/3)/3 = 1/9
    grow(tree, "e", 0.0, "right", under=c)  # v = 2/3 + (1/3)/1 = 1
    grow(tree, "f", 0.0, "wrong", under=c)  # wrong, c's distance 2: v = 2/3 - (1/3)/2 = 1/2
    grow(tree, "g", 0.0, "error", under=b)  # v = max(0 - 1/4, 0) = 0
    grow(tree, "h", 0.0, "wrong", under=d)  # still a's distance: v = max(1/9 - (8/9)/3, 0) = 0
    grow(tree, "i", 0.0, "undecided", under=d)
    expected = [1 / 3, 0, 2 / 3, 1 / 9, 1, 1 / 2, 0, 0]
    labels = rest_mcts(tree)
    assert labels[0] is None
    assert labels[9] is None
    assert labels[1:9] == pytest.approx(expected)


def test_rest_mcts_values_without_a_right_end_are_nothing():
    tree = problem()
    grow(tree, "b", 0.0, "wrong", under=grow(tree, "a", 0.0))
    assert rest_mcts(tree) == [None, 0.0, 0.0]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 500), st.integers(1, 10))
def test_what_holds_for_the_labels_of_any_tree(seed, rollouts):
    world = RoughWorld(inner=ScriptedWorld(seed=seed), undecided=0.2)
    tree = drive(Case(MctsConfig(rollouts=rollouts)).search(problems(1)[0]), world)
    found = {
        name: label(tree) for name, label in (("hard", hard), ("soft", soft), ("rest", rest_mcts), ("q", q_values))
    }
    for at, node in enumerate(tree.nodes):
        share, value = found["soft"][at], found["rest"][at]
        assert (share is None) == (found["hard"][at] is None) == (value is None)
        if share is not None and value is not None:
            assert found["hard"][at] == (share > 0)
            assert 0 <= share <= 1
            assert 0 <= value <= 1
        if node.correct:
            assert (share, value) == (1, pytest.approx(1))
    for at, label in enumerate(fitted(tree, lambda prefixes: [1.0] * len(prefixes), 1.0)):
        assert label is None or 0 <= label <= 1, at


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 500))
def test_fitted_q_without_discount_ends_at_the_best_reward(seed):
    tree = drive(Case(MctsConfig(rollouts=12)).search(problems(1)[0]), RoughWorld(inner=ScriptedWorld(seed=seed)))
    known: dict[str, float] = {}
    for _ in range(max(node.depth for node in tree.nodes)):
        labels = fitted(tree, known_to(known), 1.0)
        known = {tree.prefix(at): label for at, label in enumerate(labels) if label is not None}
    best = best_reward(tree)
    assert all(known[tree.prefix(at)] == label for at, label in enumerate(best) if label is not None)


def test_targets_are_in_the_range_of_scores():
    tree = branching()
    assert served([None, 0.0, 0.5, 1.0]) == [None, -1.0, 0.0, 1.0]
    assert target(tree, HardConfig()) == served(hard(tree))
    assert target(tree, SoftConfig()) == [None, 0.0, -1.0, 0.0, None, 1.0, -1.0, -1.0, None]
    assert target(tree, PqmConfig()) == q_values(tree)
    assert target(tree, PrmConfig(good=0.6)) == classes(tree, 0.6)
    assert target(tree, RestMctsConfig()) == served(rest_mcts(tree))
    assert target(tree, QvmConfig()) == served(best_reward(tree))
    half = QvmConfig(labels="fitted", gamma=0.5)
    assert target(tree, half, lambda prefixes: [1.0] * len(prefixes))[1] == 2 * 0.5 - 1


def test_rows_name_their_step_and_hold_its_whole_prefix():
    tree = branching()
    found = list(rows([tree], SoftConfig(), "soft"))
    assert [(row.group, row.prefix, row.label) for row in found[:3]] == [
        ("p/0/1", "a", 0.0),
        ("p/0/2", "b", -1.0),
        ("p/0/3", "ac", 0.0),
    ]
    assert {row.kind for row in found} == {"soft"}
    assert {row.weight for row in found} == {1.0}


def test_a_bound_on_rows_draws_the_same_ones_each_time():
    tree = problem()
    for i in range(40):
        grow(tree, str(i), random.Random(i).uniform(-1, 1))
    some = [list(rows([tree], PqmConfig(most=10), "pqm")) for _ in range(2)]
    every = list(rows([tree], PqmConfig(), "pqm"))
    assert some[0] == some[1]
    assert len(some[0]) == 10
    assert some[0] == [row for row in every if row in some[0]]


def test_the_orm_prefers_right_solutions_whatever_their_q():
    tree = problem()
    a = grow(tree, "a", 0.0)
    grow(tree, "r", -0.5, "right", under=a), grow(tree, "w", 0.5, "wrong", under=a)
    grow(tree, "x", 0.0, "error", under=a)
    (pair,) = outcome_pairs([tree], 2)
    assert (pair.chosen, pair.rejected, pair.kind, pair.weight) == ("ar", "aw", "answer", 1.0)
    assert OrmConfig().pairs == 2
