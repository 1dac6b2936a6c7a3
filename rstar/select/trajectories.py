"""Trajectories out of trees, the best of them for fine-tuning, and how difficult a problem was."""

import random
from collections.abc import Sequence
from enum import StrEnum

from rstar.core.trajectory import Trajectory
from rstar.core.tree import Terminal, Tree


class Difficulty(StrEnum):
    """How a problem's trajectories came out: all correct, mixed, none correct."""

    EASY = "easy"
    MEDIUM = "medium"
    HARD = "hard"


def trajectories(tree: Tree) -> list[Trajectory]:
    """Every root-to-answered-leaf path, in order of birth."""
    return [Trajectory.of(tree, leaf) for leaf in tree.leaves() if tree.nodes[leaf].terminal is Terminal.ANSWERED]


def best(trees: Sequence[Tree], top: int) -> list[Trajectory]:
    """The `top` verified trajectories of one problem by mean Q, ties by min Q, identical texts once.

    Verified means that every step ran (else the path would have ended there) and that the answer is equivalent to the
    reference.
    """
    return sorted(_verified(trees), key=_rank, reverse=True)[:top]


def drawn(trees: Sequence[Tree], top: int) -> list[Trajectory]:
    """`top` verified trajectories of one problem at random, identical texts once: what `best` is compared with.

    The draw depends on the problem's id alone.
    """
    found = _verified(trees)
    return random.Random(trees[0].problem.id).sample(found, min(top, len(found)))


def _verified(trees: Sequence[Tree]) -> list[Trajectory]:
    """The verified trajectories of one problem, the better one of identical texts."""
    found: dict[str, Trajectory] = {}
    for tree in trees:
        for trajectory in trajectories(tree):
            if trajectory.correct:
                known = found.get(trajectory.text)
                if known is None or _rank(trajectory) > _rank(known):
                    found[trajectory.text] = trajectory
    return list(found.values())


def difficulty(trees: Sequence[Tree]) -> Difficulty:
    """Easy, medium or hard, over all trajectories that ended in a terminal the grader could decide."""
    ends = [tree.nodes[leaf] for tree in trees for leaf in tree.leaves()]
    right = sum(node.correct for node in ends)
    wrong = sum(node.wrong for node in ends)
    if not right:
        return Difficulty.HARD
    return Difficulty.MEDIUM if wrong else Difficulty.EASY


def _rank(trajectory: Trajectory) -> tuple[float, float]:
    return trajectory.mean_q, trajectory.min_q
