"""Which of a tree's trajectories is the answer, when nobody knows the reference."""

from collections import defaultdict

from rstar.answers.vote import normal_form
from rstar.config.search import AnySearch, GreedyConfig
from rstar.core.tree import Node, Terminal, Tree


def choose(tree: Tree, cfg: AnySearch) -> int | None:
    """The leaf that answers: the one the strategy chose, else the best-scored one, or the best of the class that wins
    a vote. None without an answer.

    Leaves rank by the value model's score, then by Q; without scores every vote counts one.
    """
    if tree.chosen is not None:
        return tree.chosen
    answered = [i for i in tree.leaves() if tree.nodes[i].terminal is Terminal.ANSWERED]
    if not answered:
        return None
    ranked = sorted(answered, key=lambda i: (-_score(tree.nodes[i]), -tree.nodes[i].q, i))
    if isinstance(cfg, GreedyConfig) or (cfg.answer == "best" and tree.nodes[ranked[0]].score is not None):
        return ranked[0]
    return vote(tree, ranked[: cfg.top_k])


def vote(tree: Tree, leaves: list[int]) -> int:
    """The first leaf of the largest class of equal answers; the class that came first wins ties."""
    classes: dict[str, list[int]] = defaultdict(list)
    for leaf in leaves:
        classes[normal_form(tree.nodes[leaf].answer or "")].append(leaf)
    return max(classes.values(), key=len)[0]


def _score(node: Node) -> float:
    return node.score if node.score is not None else 0.0
