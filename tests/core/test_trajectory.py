import pytest

from rstar.core.problem import Problem
from rstar.core.trajectory import Trajectory
from rstar.core.tree import ROOT, Terminal, Tree
from rstar.core.verdict import Verdict


def test_a_trajectory_is_the_path_with_its_text_and_values():
    tree = Tree(Problem("p", "text", "2"), attempt=1)
    first = tree.add(ROOT, "step 1", observation="[1]")
    other = tree.add(ROOT, "other")
    leaf = tree.add(first, "step 2", terminal=Terminal.ANSWERED, answer="2", verdict=Verdict.EQUIVALENT)
    tree.back_up(leaf, 1.0)
    tree.back_up(first, -1.0)
    tree.back_up(other, -1.0)

    trajectory = Trajectory.of(tree, leaf)

    assert trajectory == Trajectory("p", 1, (first, leaf), "step 1[1]step 2", (0.0, 1.0), "2", True)
    assert trajectory.leaf == leaf
    assert trajectory.mean_q == pytest.approx(0.5)
    assert trajectory.min_q == 0.0


def test_a_leaf_that_was_not_graded_is_not_correct():
    tree = Tree(Problem("p", "text"))
    leaf = tree.add(ROOT, "step", terminal=Terminal.ANSWERED, answer="2")
    assert not Trajectory.of(tree, leaf).correct
