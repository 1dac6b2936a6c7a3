"""Labels for value models, one for each step of a finished tree: same trees, other lessons.

A label function returns a list that stands beside `tree.nodes`: the label of each node, None where the tree knows none
(the root, steps below which no end was decided, steps that were never visited). An end is decided when it is right or
wrong; ends of undecided answers count as neither. Every distinct end counts once, as in the backup of MCTS.

Labels are in the units of their papers. `served` maps values in [0, 1] to the range of scores, [-1, 1].
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rstar.config.train import (
    HardConfig,
    PqmConfig,
    PrmConfig,
    QvmConfig,
    RestMctsConfig,
    RowsConfig,
    SoftConfig,
)
from rstar.core.tree import ROOT, Tree

Labels = list[float | None]
Predict = Callable[[Sequence[str]], Sequence[float]]
"""Q̂ in [0, 1] of solution prefixes (without the prompt), in order."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A step with its label in [-1, 1]: the score that a model should give to `prefix`, the text behind the prompt.

    For a PRM it is the class: -1 bad, 0 neutral, 1 good. `group` names tree and node.
    """

    problem_id: str
    group: str
    kind: str
    prefix: str
    label: float
    weight: float = 1.0


def hard(tree: Tree) -> Labels:
    """Math-Shepherd's hard estimate: 1 if any end at or below the step is right, else 0 (2312.08935, eq. 3)."""
    return [None if share is None else float(share > 0) for share in soft(tree)]


def soft(tree: Tree) -> Labels:
    """Math-Shepherd's soft estimate: the share of the ends at or below the step that are right (2312.08935, eq. 4)."""
    right, decided = _ends(tree)
    return [None if at == ROOT or not n else r / n for at, (r, n) in enumerate(zip(right, decided, strict=True))]


def q_values(tree: Tree) -> Labels:
    """PQM: the Q-value that the search left, in [-1, 1] (the PQM that rStar-Math compares with)."""
    return [node.q if node.visits and at != ROOT else None for at, node in enumerate(tree.nodes)]


def classes(tree: Tree, good: float = 0.5) -> Labels:
    """PRM: -1 if no end at or below the step is right, 1 if at least the share `good` of them is, 0 between."""
    return [None if share is None else -1.0 if share == 0 else 1.0 if share >= good else 0.0 for share in soft(tree)]


def best_reward(tree: Tree) -> Labels:
    """Q*: the best reward in the pool of ends at or below the step, R = 1 for right and 0 for wrong (2406.14283).

    With these rewards it is Math-Shepherd's hard estimate, learned by squared error.
    """
    return hard(tree)


def fitted(tree: Tree, predict: Predict | None, gamma: float) -> Labels:
    """Q*: one iteration of fitted Q, y = R at an end, gamma max_a Q̂(s', a) elsewhere, in [0, 1] (2406.14283).

    The actions a are the children in the tree, their Q̂ what `predict` says of their prefixes; None stands for Q̂ = 0
    everywhere, with which the iteration starts.
    """
    ids = [at for at, node in enumerate(tree.nodes) if node.parent > ROOT]
    values = [0.0] * len(ids) if predict is None or not ids else predict([tree.prefix(at) for at in ids])
    found = dict(zip(ids, values, strict=True))
    labels: Labels = [None]
    for node in tree.nodes[1:]:
        if node.children:
            labels.append(gamma * max(found[child] for child in node.children))
        else:
            labels.append(1.0 if node.correct else 0.0 if node.wrong else None)
    return labels


def distances(tree: Tree) -> list[int | None]:
    """How many steps a right end is away from before each step, that step included: m + 1 in ReST-MCTS*.

    A step from which no right end is reached has the distance of the last one above it that has its own; None in a
    tree without a right end. The root's is one more than the shortest right trajectory.
    """
    own: list[int | None] = [1 if node.correct else None for node in tree.nodes]
    for at in range(len(own) - 1, ROOT, -1):  # children stand behind their parents
        below, parent = own[at], tree.nodes[at].parent
        if below is not None:
            own[parent] = min(below + 1, own[parent] or below + 1)
    for at, node in enumerate(tree.nodes[1:], start=1):
        if own[at] is None:
            own[at] = own[node.parent]
    return own


def rest_mcts(tree: Tree) -> Labels:
    """ReST-MCTS*'s value, in [0, 1]: v_k = max(v_{k-1} + w_k, 0), v_0 = 0 (2406.03816, eqs. 1 and 2).

    w_k = (1 - v_{k-1}) / (m_k + 1) (1 - 2 r_k), where r_k is 0 if a right end is at or below the step, else 1, and m_k
    the steps from there to the nearest right end. Right trajectories climb evenly from 0 to 1.
    """
    right, decided = _ends(tree)
    distance = distances(tree)
    values = [0.0] * len(tree.nodes)
    for at, node in enumerate(tree.nodes[1:], start=1):
        before, away = values[node.parent], distance[at]
        weighted = 0.0 if away is None else (1 - before) / away
        values[at] = max(before + (weighted if right[at] else -weighted), 0.0)
    return [None if at == ROOT or not n else v for at, (v, n) in enumerate(zip(values, decided, strict=True))]


def served(labels: Labels) -> Labels:
    """From [0, 1] to the range of scores, [-1, 1]."""
    return [None if label is None else 2 * label - 1 for label in labels]


def target(tree: Tree, how: RowsConfig, predict: Predict | None = None) -> Labels:
    """What a model of this configuration learns, in [-1, 1]; `predict` is the last model of fitted Q-iteration."""
    match how:
        case PqmConfig():
            return q_values(tree)
        case PrmConfig(good=good):
            return classes(tree, good)
        case HardConfig():
            return served(hard(tree))
        case SoftConfig():
            return served(soft(tree))
        case RestMctsConfig():
            return served(rest_mcts(tree))
        case QvmConfig(labels="pool"):
            return served(best_reward(tree))
        case QvmConfig(gamma=gamma):
            return served(fitted(tree, predict, gamma))
    raise TypeError(f"{type(how).__name__} learns from no labels")


def rows(trees: Sequence[Tree], how: RowsConfig, kind: str, predict: Predict | None = None) -> Iterator[Labelled]:
    """The labelled steps of one problem's trees, in their order; `how.most` of them, drawn evenly, if it is set."""
    found = [
        (tree, at, label) for tree in trees for at, label in enumerate(target(tree, how, predict)) if label is not None
    ]
    if how.most is not None and len(found) > how.most:
        kept = random.Random(f"{trees[0].problem.id}:{kind}").sample(range(len(found)), how.most)
        found = [found[i] for i in sorted(kept)]
    for tree, at, label in found:
        name = f"{tree.problem.id}/{tree.attempt}/{at}"
        yield Labelled(tree.problem.id, name, kind, tree.prefix(at), round(label, 6))


def _ends(tree: Tree) -> tuple[list[int], list[int]]:
    """For each node: how many ends at or below it are right, and how many are decided."""
    right = [int(node.correct) for node in tree.nodes]
    decided = [int(node.correct or node.wrong) for node in tree.nodes]
    for at in range(len(tree.nodes) - 1, ROOT, -1):  # children stand behind their parents
        parent = tree.nodes[at].parent
        right[parent] += right[at]
        decided[parent] += decided[at]
    return right, decided
