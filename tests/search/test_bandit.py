import math

import pytest

from rstar.config.search import MctsConfig
from rstar.core.problem import Problem
from rstar.core.tree import ROOT, Tree
from rstar.search.bandit import select_child, uct


@pytest.mark.parametrize(
    ("q", "visits", "parent_visits", "c", "expected"),
    [
        (0.5, 1, 1, 2.0, 0.5),  # ln 1 = 0
        (0.0, 1, 8, 1.0, 1.4420268),  # sqrt(ln 8) = sqrt(2.0794415)
        (0.0, 4, 8, 2.0, 1.4420268),  # 2 sqrt(2.0794415 / 4)
        (-1.0, 2, 10, 2.0, 1.1459661),  # -1 + 2 sqrt(2.3025851 / 2)
        (0.25, 3, 20, 0.0, 0.25),
        (0.25, 1, 0, 2.0, 0.25),  # a parent that was never visited
    ],
)
def test_uct_by_hand(q: float, visits: int, parent_visits: int, c: float, expected: float):
    assert uct(q, visits, parent_visits, c) == pytest.approx(expected, abs=1e-6)


def family(children: list[tuple[float, int] | None], parent_visits: int, parent_sum: float) -> Tree:
    """A root with children of (Q, N); None was never visited."""
    tree = Tree(Problem("p", "text"))
    tree.nodes[ROOT].visits, tree.nodes[ROOT].value_sum = parent_visits, parent_sum
    for child in children:
        q, visits = child or (0.0, 0)
        tree.add(ROOT, "step", visits=visits, value_sum=q * visits)
    return tree


def test_uct_picks_the_best_of_three():
    # N(root) = 10, ln 10 = 2.302585, c = 2: 1 -> 0.5 + 2 sqrt(.4605) = 1.857; 2 -> -0.5 + 2 sqrt(1.1513) = 1.646;
    # 3 -> 0 + 2 sqrt(.76753) = 1.752
    tree = family([(0.5, 5), (-0.5, 2), (0.0, 3)], 10, 1.5)
    assert select_child(tree, ROOT, MctsConfig()) == 1
    # c = 4: 1 -> 3.214, 2 -> 3.792, 3 -> 3.504
    assert select_child(tree, ROOT, MctsConfig(c=4)) == 2
    tree.close(2)
    assert select_child(tree, ROOT, MctsConfig(c=4)) == 3


def test_the_first_born_wins_ties():
    assert select_child(family([(0.1, 2), (0.1, 2)], 4, 0.4), ROOT, MctsConfig()) == 1
    assert select_child(family([None, None], 0, 0.0), ROOT, MctsConfig()) == 1


def test_infinity_tries_every_child_before_any_a_second_time():
    tree = family([(1.0, 9), None, None], 9, 9.0)
    assert select_child(tree, ROOT, MctsConfig(fpu="infinity")) == 2
    tree.nodes[2].visits, tree.nodes[2].value_sum = 1, -1.0
    assert select_child(tree, ROOT, MctsConfig(fpu="infinity")) == 3


@pytest.mark.parametrize(
    ("parent_sum", "q", "parent_fpu", "zero_fpu"),
    [
        (8.0, 0.6, 2, 1),  # parent Q 0.8 > 0.6: only "parent" explores
        (2.0, 0.6, 1, 1),
        (-5.0, -0.3, 1, 2),  # parent Q -0.5 < -0.3 < 0: only "zero" explores
        (-5.0, -0.6, 2, 2),
    ],
)
def test_what_an_unvisited_child_is_worth(parent_sum: float, q: float, parent_fpu: int, zero_fpu: int):
    tree = family([(q, 10), None], 10, parent_sum)
    assert select_child(tree, ROOT, MctsConfig(c=0, fpu="infinity")) == 2
    assert select_child(tree, ROOT, MctsConfig(c=0, fpu="parent")) == parent_fpu
    assert select_child(tree, ROOT, MctsConfig(c=0, fpu="zero")) == zero_fpu


def test_the_bonus_of_a_visited_child_counts_against_an_unvisited_one():
    # ln 10 / 5: 2 sqrt(.4605) = 1.357 > 0.8
    tree = family([(0.0, 5), None], 10, 8.0)
    assert math.isclose(uct(0.0, 5, 10, 2.0), 1.3572, abs_tol=1e-4)
    assert select_child(tree, ROOT, MctsConfig(fpu="parent")) == 1
    assert select_child(tree, ROOT, MctsConfig(fpu="infinity")) == 2


def test_virtual_visits_by_hand():
    """Visits under way count in N and leave Q as it is: UCT(s) = Q + c sqrt(ln (N_p + O_p) / (N_s + O_s))."""
    # N(root) = 10, ln 11 = 2.397895, c = 2: 1 -> 0.5 + 2 sqrt(2.3979 / 6) = 1.764;
    # 2 -> -0.5 + 2 sqrt(2.3979 / 2) = 1.690; 3 -> 2 sqrt(2.3979 / 3) = 1.788
    tree = family([(0.5, 5), (-0.5, 2), (0.0, 3)], 10, 1.5)
    assert select_child(tree, ROOT, MctsConfig()) == 1
    assert select_child(tree, ROOT, MctsConfig(), {ROOT: 1, 1: 1}) == 3
    assert [node.visits for node in tree.nodes] == [10, 5, 2, 3]


def test_an_unvisited_child_under_way_is_no_longer_infinitely_good():
    tree = family([(0.9, 3), None, None], 3, 2.7)
    assert select_child(tree, ROOT, MctsConfig()) == 2
    assert select_child(tree, ROOT, MctsConfig(), {ROOT: 1, 2: 1}) == 3
    # ln 5 = 1.6094: 1 -> 0.9 + 2 sqrt(1.6094 / 3) = 2.365; 2 and 3 -> 2 sqrt(1.6094) = 2.537
    assert select_child(tree, ROOT, MctsConfig(), {ROOT: 2, 2: 1, 3: 1}) == 2
    assert select_child(tree, ROOT, MctsConfig(c=0), {ROOT: 2, 2: 1, 3: 1}) == 1
