"""Trees written down node by node, Q-values included."""

from typing import Literal

from rstar.core.problem import Problem
from rstar.core.tree import ROOT, Terminal, Tree
from rstar.core.verdict import Verdict

End = Literal["right", "wrong", "undecided", "ungraded", "error", "timeout", "deep", "unreadable"]

_TERMINALS = {
    "error": Terminal.CODE_ERROR,
    "timeout": Terminal.TIMEOUT,
    "deep": Terminal.MAX_DEPTH,
    "unreadable": Terminal.UNPARSABLE,
}
_VERDICTS = {
    "right": Verdict.EQUIVALENT,
    "wrong": Verdict.DIFFERENT,
    "undecided": Verdict.UNVERIFIABLE,
    "ungraded": None,
}


def problem(name: str = "p") -> Tree:
    """A tree that has nothing but its root."""
    return Tree(Problem(name, "What is it?", "1"))


def grow(tree: Tree, text: str, q: float, end: End | None = None, under: int = ROOT, score: float | None = None) -> int:
    """Add a node with this Q-value (of eight visits), ended as `end` says or open; returns its id."""
    at = tree.add(under, text, visits=8, value_sum=8 * q, score=score)
    node = tree.nodes[at]
    if end in _TERMINALS:
        node.terminal = _TERMINALS[end]
    elif end is not None:
        node.terminal, node.verdict, node.answer = Terminal.ANSWERED, _VERDICTS[end], text
    return at
