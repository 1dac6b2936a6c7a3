"""Expands `\\pm` and `\\mp` into the expressions that they abbreviate."""

from itertools import product

from rstar.answers.tree import Node

_MAX_SIGNS = 3


def expanded(node: Node) -> list[Node]:
    """All readings of the signs: together where `\\mp` answers `\\pm`, else independently; none if too many."""
    count = _count(node)
    if count > _MAX_SIGNS:
        return []
    tied = node.has("mp")
    choices = [(True,) * count, (False,) * count] if tied else list(product((True, False), repeat=count))
    return [_chosen(node, iter(choice)) for choice in choices]


def _count(node: Node) -> int:
    return (node.op in ("pm", "mp")) + sum(_count(each) for each in node.args)


def _chosen(node: Node, signs: "object") -> Node:
    plus = next(signs) if node.op in ("pm", "mp") else True  # type: ignore[call-overload]
    args = tuple(_chosen(each, signs) for each in node.args)
    if node.op in ("pm", "mp"):
        return args[0] if plus == (node.op == "pm") else Node("neg", args)
    return Node(node.op, args, node.name, node.value, node.digits)
