"""The formula that picks a child."""

import math

from rstar.config.search import MctsConfig
from rstar.core.tree import Tree


def uct(q: float, visits: int, parent_visits: int, c: float) -> float:
    """UCT(s) = Q(s) + c sqrt(ln N(parent) / N(s)), with N(s) at least 1."""
    return q + c * math.sqrt(math.log(max(parent_visits, 1)) / visits)


def select_child(tree: Tree, at: int, cfg: MctsConfig) -> int:
    """The open child of `at` with the highest UCT; the first born wins ties."""
    parent = tree.nodes[at]
    unvisited = {"infinity": math.inf, "parent": parent.q, "zero": 0.0}[cfg.fpu]

    def worth(i: int) -> float:
        node = tree.nodes[i]
        return uct(node.q, node.visits, parent.visits, cfg.c) if node.visits else unvisited

    return max((i for i in parent.children if tree.is_open(i)), key=worth)
