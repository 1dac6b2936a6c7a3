"""Preference pairs for the PPM: sibling steps that part ways, and whole trajectories.

At a node with children of both kinds, the children with the highest Q-value among those that lead to a correct answer
are preferred over the children with the lowest Q-value among those that lead to a wrong end (rStar-Math, section 3.3).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import and_
from typing import Literal

from rstar.core.trajectory import Pair, Trajectory
from rstar.core.tree import ROOT, Node, Tree
from rstar.select.trajectories import End, distinct, ends


@dataclass(frozen=True, slots=True)
class PairRule:
    """How many chosen and rejected a group has at most, and what a pair must show to be kept."""

    most: int = 2
    answers: bool = True
    min_margin: float = 0.0
    min_edit_distance: int = 0


def step_groups(tree: Tree, most: int) -> Iterator[tuple[int, list[int], list[int]]]:
    """(parent, chosen children, rejected children) wherever siblings part ways, at most `most` of each kind.

    Chosen are the highest Q-values among the children that lead to a correct answer, rejected the lowest among those
    that lead to a wrong end. A child is never both.
    """
    right, wrong = _outcomes(tree)
    for at in [at for at, mixed in enumerate(map(and_, right, wrong)) if mixed]:
        node = tree.nodes[at]
        chosen = sorted((i for i in node.children if right[i]), key=lambda i: (-tree.nodes[i].q, i))[:most]
        failing = (i for i in node.children if wrong[i] and i not in chosen)
        rejected = sorted(failing, key=lambda i: (tree.nodes[i].q, i))[:most]
        if chosen and rejected:
            yield at, chosen, rejected


def answer_groups(
    trees: Sequence[Tree], most: int, answered: Sequence[End] | None = None
) -> tuple[list[Trajectory], list[Trajectory]]:
    """The best correct and the worst wrong trajectories of one problem by mean Q, identical texts once."""
    answered = ends(trees) if answered is None else answered
    good = (end for end in answered if end.tree.nodes[end.leaf].correct)
    bad = (end for end in answered if end.tree.nodes[end.leaf].wrong)
    best = distinct(sorted(good, key=lambda end: -end.mean_q))
    worst = distinct(sorted(bad, key=lambda end: end.mean_q))
    return list(islice(best, most)), list(islice(worst, most))


def pairs(trees: Sequence[Tree], rule: PairRule, answered: Sequence[End] | None = None) -> list[Pair]:
    """All pairs of one problem's trees. Texts of step pairs start with the prefix they share.

    `answered` are the `ends` of the trees, if they are known already.
    """
    found: list[Pair] = []
    for tree in trees:
        name = f"{tree.problem.id}/{tree.attempt}"
        for at, chosen, rejected in step_groups(tree, rule.most):
            shared = tree.prefix(at)
            better, worse = ([_step(tree.nodes[i], shared) for i in ids] for ids in (chosen, rejected))
            found.extend(_pair(tree.problem.id, f"{name}/{at}", "step", better, worse, rule))
    if rule.answers:
        good, bad = ([(t.text, t.mean_q) for t in side] for side in answer_groups(trees, rule.most, answered))
        found.extend(_pair(trees[0].problem.id, f"{trees[0].problem.id}/answers", "answer", good, bad, rule))
    return found


def outcome_pairs(trees: Sequence[Tree], most: int) -> list[Pair]:
    """The ORM's pairs of one problem: right trajectories over wrong ones, at most `most` of each, whatever their Q."""
    good, bad = (
        [(t.text, reward) for t in side] for side, reward in zip(answer_groups(trees, most), (1.0, -1.0), strict=True)
    )
    name = trees[0].problem.id
    return list(_pair(name, f"{name}/answers", "answer", good, bad, PairRule()))


def _pair(
    problem_id: str,
    group: str,
    kind: Literal["step", "answer"],
    chosen: Sequence[tuple[str, float]],
    rejected: Sequence[tuple[str, float]],
    rule: PairRule,
) -> Iterator[Pair]:
    """Every chosen with every rejected; ties in Q, and what the rule's filters refuse, give none."""
    for good, q_good in chosen:
        for bad, q_bad in rejected:
            margin = q_good - q_bad
            if margin <= 0 or margin < rule.min_margin:
                continue
            if rule.min_edit_distance and edit_distance(good, bad) < rule.min_edit_distance:
                continue
            weight = 1 / (len(chosen) * len(rejected))
            yield Pair(problem_id, group, kind, good, bad, round(margin, 6), weight)


def _outcomes(tree: Tree) -> tuple[list[bool], list[bool]]:
    """For each node: does something at or below it end right, does something end wrong?"""
    nodes = tree.nodes
    right, wrong = [False] * len(nodes), [False] * len(nodes)
    for at in range(len(nodes) - 1, ROOT, -1):  # children stand behind their parents
        node = nodes[at]
        if node.terminal is not None:
            right[at], wrong[at] = node.correct, node.wrong
        if right[at]:
            right[node.parent] = True
        if wrong[at]:
            wrong[node.parent] = True
    return right, wrong


def _step(node: Node, shared: str) -> tuple[str, float]:
    return shared + node.text + node.observation, node.q


def edit_distance(a: str, b: str) -> int:
    """Levenshtein distance in characters."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    return row[-1]
