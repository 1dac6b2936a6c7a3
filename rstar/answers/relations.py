"""Compares equations and inequalities: up to a factor, and up to the direction in which they are written."""

from itertools import islice
from typing import Any

from rstar.answers.kinds import Relation
from rstar.answers.scalar import Sameness, points, same_value
from rstar.answers.tree import Node
from rstar.answers.value import Evaluator, TooLarge, Undefined

_DPS = 60
_POINTS = 6
_ALGEBRAIC = (
    "div",
    "root",
    "abs",
    "floor",
    "ceil",
    "call",
    "sum",
    "prod",
    "max",
    "min",
    "log",
    "sin",
    "cos",
    "tan",
    "exp",
)
_TURNED = {"<": ">", ">": "<", "le": "ge", "ge": "le", "=": "=", "ne": "ne"}


def same_relation(a: Relation, b: Relation) -> Sameness:
    """Chains member by member; single relations also up to a nonzero factor (positive, or turned, for inequalities)."""
    a, b = _leftward(a), _leftward(b)
    if a.ops == b.ops:
        verdicts = [same_value(left, right).equal for left, right in zip(a.members, b.members, strict=True)]
        if all(verdicts):
            return Sameness(True, "relation")
    if len(a.ops) > 1 or len(b.ops) > 1:
        if a.ops != b.ops:
            return Sameness(False if set(a.ops) != {"="} else None, "relation")
        return Sameness(False if False in verdicts and _only_symbols(a) and _only_symbols(b) else None, "relation")
    if (a.ops == ("=",)) != (b.ops == ("=",)):
        return Sameness(False, "relation")
    return _up_to_factor(a, b)


def _leftward(relation: Relation) -> Relation:
    """Written with "greater" signs turned into "less" signs, if all point one way."""
    if relation.ops and all(op in (">", "ge") for op in relation.ops):
        return Relation(relation.members[::-1], tuple(_TURNED[op] for op in relation.ops[::-1]))
    return relation


def _only_symbols(relation: Relation) -> bool:
    return all(member.op in ("sym", "num", "call", "neg") for member in relation.members)


def _up_to_factor(a: Relation, b: Relation) -> Sameness:
    symbols = sorted(frozenset[str]().union(*(member.symbols() for member in (*a.members, *b.members))))
    if not symbols:
        return Sameness(None, "relation")
    if a.ops != b.ops and b.ops != (_TURNED[a.ops[0]],):
        return Sameness(False, "relation")
    ratio: Any = None
    agreed = 0
    try:
        for _, point in islice(points(symbols), 20):
            if agreed == _POINTS:
                break
            evaluator = Evaluator(_DPS, point)
            try:
                left, right = (evaluator.number(evaluator.value(_difference(each))) for each in (a, b))
            except Undefined:
                continue
            if evaluator.opaque:
                return Sameness(None, "relation")
            if abs(right) < 10**-30 or abs(left) < 10**-30:
                if (abs(right) < 10**-30) != (abs(left) < 10**-30):
                    return _differing(a, b)
                continue
            found = left / right
            if ratio is not None and abs(found - ratio) > abs(ratio) * 10**-35:
                return _differing(a, b)
            ratio, agreed = found, agreed + 1
    except TooLarge:
        return Sameness(None, "guard:size")
    if agreed < _POINTS or ratio is None:
        return Sameness(None, "relation")
    if a.ops == ("=",) or a.ops == ("ne",):
        return Sameness(True, "equation")
    if evaluator.mp.im(ratio) != 0:
        return Sameness(None, "relation")
    return Sameness((evaluator.mp.re(ratio) > 0) == (a.ops == b.ops), "inequality")


def _difference(relation: Relation) -> Node:
    return Node("add", (relation.members[0], Node("neg", (relation.members[1],))))


def _differing(a: Relation, b: Relation) -> Sameness:
    """Polynomials that are no multiples of each other have other zeros; beyond polynomials nothing is proved."""
    algebraic = not any(member.has(*_ALGEBRAIC) for member in (*a.members, *b.members))
    return Sameness(False if algebraic and a.ops == b.ops == ("=",) else None, "relation")
