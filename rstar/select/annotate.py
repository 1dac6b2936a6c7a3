"""Other labels on the same tree: terminal-guided Q-values, whatever guided the search."""

from dataclasses import replace

from msgspec import structs

from rstar.core.tree import Node, Terminal, Tree
from rstar.search.reward import FAILED, REWARDS


def terminal_guided(tree: Tree) -> Tree:
    """A copy whose N and Q come from graded terminals alone: what a search that sees the reference would hold.

    Lets a tree that was searched with the reference hidden (and graded afterwards) give pairs to judge a PPM by.
    """
    nodes = [_blank(node) for node in tree.nodes]
    copy = replace(tree, nodes=nodes)
    for at in tree.leaves():
        node = nodes[at]
        graded = REWARDS[node.verdict] if node.verdict is not None else 0.0
        node.reward = graded if node.terminal is Terminal.ANSWERED else FAILED
        copy.back_up(at, node.reward)
    return copy


def _blank(node: Node) -> Node:
    return structs.replace(node, visits=0, value_sum=0.0, children=list(node.children))
