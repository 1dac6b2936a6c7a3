"""Which of a tree's trajectories is the answer, when nobody knows the reference."""

from collections.abc import Sequence

from rstar.answers.vote import Equal, classes, distinct, weighted_vote
from rstar.config.search import AnySearch, GreedyConfig
from rstar.core.tree import Node, Terminal, Tree


def choose(tree: Tree, cfg: AnySearch, equal: Equal = distinct) -> int | None:
    """The leaf that answers: the one the strategy chose, else the best-scored one, or the best of the class that wins
    a vote. None without an answer.

    Leaves rank by the value model's score, then by Q. A vote counts one, or with `answer: weighted` as much as the
    score says that the leaf is right, (score + 1) / 2; without any score every vote counts one.
    """
    if tree.chosen is not None:
        return tree.chosen
    answered = [i for i in tree.leaves() if tree.nodes[i].terminal is Terminal.ANSWERED]
    if not answered:
        return None
    ranked = sorted(answered, key=lambda i: (-_score(tree.nodes[i]), -tree.nodes[i].q, i))
    if isinstance(cfg, GreedyConfig) or (cfg.answer == "best" and tree.nodes[ranked[0]].score is not None):
        return ranked[0]
    voters = ranked[: cfg.top_k]
    scores = [tree.nodes[i].score for i in voters]
    if cfg.answer != "weighted" or all(score is None for score in scores):
        return vote(tree, voters, equal=equal)
    return vote(tree, voters, [0.0 if score is None else max(0.0, (score + 1) / 2) for score in scores], equal)


def vote(tree: Tree, leaves: Sequence[int], weights: Sequence[float] | None = None, equal: Equal = distinct) -> int:
    """The first leaf of the class of equal answers with the greatest weight (1 a leaf where none is given).

    The class that came first wins ties.
    """
    numbers = classes([tree.nodes[leaf].answer for leaf in leaves], equal)
    winner = weighted_vote(numbers, weights if weights is not None else [1.0] * len(leaves))
    return leaves[0 if winner is None else numbers.index(winner)]


def _score(node: Node) -> float:
    return node.score if node.score is not None else 0.0
