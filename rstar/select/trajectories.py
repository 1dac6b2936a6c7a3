"""Trajectories out of trees, the best of them for fine-tuning, and how difficult a problem was."""

import math
import random
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import islice
from typing import NamedTuple

from rstar.core.trajectory import Trajectory
from rstar.core.tree import ANSWERED, ROOT, Tree


class Difficulty(StrEnum):
    """How a problem's trajectories came out: all correct, mixed, none correct."""

    EASY = "easy"
    MEDIUM = "medium"
    HARD = "hard"


def trajectories(tree: Tree) -> list[Trajectory]:
    """Every root-to-answered-leaf path, in order of birth."""
    return [Trajectory.of(tree, leaf) for leaf in tree.leaves() if tree.nodes[leaf].terminal is ANSWERED]


class End(NamedTuple):
    """An answered leaf with what ranking and counting need, and no text. (A tuple: there are dozens a tree.)"""

    tree: Tree
    leaf: int
    mean_q: float
    min_q: float
    text: int
    """A number for the trajectory's text: equal texts of one problem have one number, in all of its trees."""


def ends(trees: Sequence[Tree]) -> list[End]:
    """Every answered leaf of one problem's trees in order of birth."""
    found = []
    seen: dict[tuple[int, str], int] = {}
    for tree in trees:
        nodes = tree.nodes
        known = {ROOT: (0.0, math.inf, 0)}
        for leaf in [at for at, node in enumerate(nodes) if node.terminal is ANSWERED]:
            above, at = [], leaf
            while at not in known:
                above.append(at)
                at = nodes[at].parent
            total, least, text = known[at]
            for at in reversed(above):
                node = nodes[at]
                q = node.value_sum / node.visits if node.visits else 0.0
                total, least = total + q, q if q < least else least
                said = node.text + node.observation if node.observation else node.text
                text = seen.setdefault((text, said), len(seen) + 1)
                known[at] = total, least, text
            found.append(End(tree, leaf, total / nodes[leaf].depth, least, text))
    return found


def distinct(ranked: Iterable[End]) -> Iterator[Trajectory]:
    """Their trajectories, identical texts once: the first of them. A text is made when it is asked for."""
    seen: set[str] = set()
    for end in ranked:
        trajectory = Trajectory.of(end.tree, end.leaf)
        if trajectory.text not in seen:
            seen.add(trajectory.text)
            yield trajectory


def best(trees: Sequence[Tree], top: int, answered: Sequence[End] | None = None) -> list[Trajectory]:
    """The `top` verified trajectories of one problem by mean Q, ties by min Q, identical texts once.

    Verified means that every step ran (else the path would have ended there) and that the answer is equivalent to the
    reference. `answered` are the `ends` of the trees, if they are known already.
    """
    return list(islice(distinct(sorted(_verified(trees, answered), key=_rank, reverse=True)), top))


def drawn(trees: Sequence[Tree], top: int, answered: Sequence[End] | None = None) -> list[Trajectory]:
    """`top` verified trajectories of one problem at random, identical texts once: what `best` is compared with.

    The draw depends on the problem's id alone.
    """
    found = list(distinct(_verified(trees, answered)))
    return random.Random(trees[0].problem.id).sample(found, min(top, len(found)))


def _verified(trees: Sequence[Tree], answered: Sequence[End] | None) -> list[End]:
    return [end for end in (ends(trees) if answered is None else answered) if end.tree.nodes[end.leaf].correct]


def _rank(end: End) -> tuple[float, float]:
    return end.mean_q, end.min_q


def difficulty(trees: Sequence[Tree]) -> Difficulty:
    """Easy, medium or hard, over all trajectories that ended in a terminal the grader could decide."""
    ends = [tree.nodes[leaf] for tree in trees for leaf in tree.leaves()]
    right = sum(node.correct for node in ends)
    wrong = sum(node.wrong for node in ends)
    if not right:
        return Difficulty.HARD
    return Difficulty.MEDIUM if wrong else Difficulty.EASY
