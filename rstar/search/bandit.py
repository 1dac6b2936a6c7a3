"""The formula that picks a child."""

import math
from collections.abc import Mapping
from types import MappingProxyType

from rstar.config.search import MctsConfig
from rstar.core.tree import Tree

_NONE: Mapping[int, int] = MappingProxyType({})


def uct(q: float, visits: int, parent_visits: int, c: float) -> float:
    """UCT(s) = Q(s) + c sqrt(ln N(parent) / N(s)), with N(s) at least 1."""
    return q + c * math.sqrt(math.log(max(parent_visits, 1)) / visits)


def select_child(tree: Tree, at: int, cfg: MctsConfig, virtual: Mapping[int, int] = _NONE) -> int:
    """The open child of `at` with the highest UCT; the first born wins ties.

    `virtual` are visits under way, which count in N as if they were made and leave Q as it is.
    """
    parent = tree.nodes[at]
    parent_visits = parent.visits + virtual.get(at, 0)
    unvisited = {"infinity": math.inf, "parent": parent.q, "zero": 0.0}[cfg.fpu]

    def worth(i: int) -> float:
        node = tree.nodes[i]
        visits = node.visits + virtual.get(i, 0)
        return uct(node.q, visits, parent_visits, cfg.c) if visits else unvisited

    return max((i for i in parent.children if tree.is_open(i)), key=worth)
