"""Sets of real numbers as unions of intervals, and how intervals, inequalities and set operations become them."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

from rstar.answers.kinds import Answer, Combined, Group, Known, Many, Member, Quantity, Relation, Scalar
from rstar.answers.scalar import constant
from rstar.answers.tree import Node
from rstar.answers.units import is_known
from rstar.answers.value import Evaluator, TooLarge, Undefined

_DPS = 60
_INFINITE = 10**30
_TOLERANCE = Fraction(1, 10**40)
_SMALLEST = Fraction(1, 10**20)  # magnitudes in which the tolerance tells numbers apart safely
_SAMPLES = (Fraction(7, 3), Fraction(-11, 5), Fraction(23, 7))


class NotASet(Exception):
    """This answer is no set of reals whose ends can be computed."""


@dataclass(frozen=True, slots=True)
class Piece:
    """From `low` to `high`, with or without its ends; a point has both, the same. Infinite ends are open."""

    low: Fraction
    has_low: bool
    high: Fraction
    has_high: bool


@dataclass(frozen=True, slots=True)
class RealSet:
    """Disjoint pieces in order, and the letter it was stated for (empty: none)."""

    pieces: tuple[Piece, ...]
    name: str = ""


Function = Callable[[Fraction], Fraction]
REALS = Piece(Fraction(-_INFINITE), False, Fraction(_INFINITE), False)


def real_set(answer: Answer) -> RealSet:
    """`answer` as a set of reals. Raises NotASet."""
    try:
        return _real_set(answer)
    except (Undefined, TooLarge) as error:
        raise NotASet(str(error)) from error


def same_set(a: RealSet, b: RealSet) -> bool:
    """Whether two sets have the same pieces."""
    return len(a.pieces) == len(b.pieces) and all(
        (left.has_low, left.has_high) == (right.has_low, right.has_high)
        and _same(left.low, right.low)
        and _same(left.high, right.high)
        for left, right in zip(a.pieces, b.pieces, strict=True)
    )


def _real_set(answer: Answer) -> RealSet:
    if isinstance(answer, Known):
        return RealSet((REALS,) if answer.name == "reals" else ())
    if isinstance(answer, Member):
        return RealSet(_real_set(answer.of).pieces, answer.name)
    if isinstance(answer, Group):
        return RealSet((_interval(answer),))
    if isinstance(answer, Many) and answer.is_set:
        return RealSet(_union([_point(member) for member in answer.members]), "")
    if isinstance(answer, Relation):
        return _solved(answer)
    if isinstance(answer, Combined):
        return _combined(answer)
    raise NotASet(type(answer).__name__)


def _interval(group: Group) -> Piece:
    if len(group.members) != 2 or group.opening not in "([" or group.closing not in ")]":
        raise NotASet("not an interval")
    low, high = (_end(member) for member in group.members)
    has_low, has_high = group.opening == "[", group.closing == "]"
    if not _less(low, high) or (has_low and low == -_INFINITE) or (has_high and high == _INFINITE):
        raise NotASet("the ends of an interval are out of order")
    return Piece(low, has_low, high, has_high)


def _end(member: Answer) -> Fraction:
    if not isinstance(member, Scalar | Quantity):
        raise NotASet("an end that is no number")
    if isinstance(member, Quantity) and (member.unit == "%" or not is_known(member.unit)):
        raise NotASet("an end with a unit")
    node, sign = member.node, 1
    while node.op == "neg":
        node, sign = node.args[0], -sign
    if node.op == "inf":
        return Fraction(sign * _INFINITE)
    return _real(member.node)


def _real(node: Node) -> Fraction:
    if node.symbols():
        raise NotASet("a symbol")
    value = _fraction(constant(node))
    if value != 0 and not _SMALLEST < abs(value) < 1 / _SMALLEST:
        raise NotASet("a number out of range")
    return value


def _point(member: Answer) -> Piece:
    value = _end(member)
    if abs(value) >= _INFINITE:
        raise NotASet("infinity is no point")
    return Piece(value, True, value, True)


def _combined(answer: Combined) -> RealSet:
    if answer.op == "minus":
        whole, removed = _real_set(answer.parts[0]), _removed(answer.parts[1])
        return RealSet(_intersection(whole.pieces, _complement(removed)), whole.name)
    sets = [_real_set(part) for part in answer.parts]
    names = {each.name for each in sets if each.name}
    if len(names) > 1:
        raise NotASet("conditions on several letters")
    pieces = sets[0].pieces
    for each in sets[1:]:
        pieces = _union([*pieces, *each.pieces]) if answer.op == "cup" else _intersection(pieces, each.pieces)
    return RealSet(pieces, next(iter(names), ""))


def _removed(answer: Answer) -> tuple[Piece, ...]:
    if isinstance(answer, Many):
        return _union([_point(member) for member in answer.members])
    return _real_set(answer).pieces


def _same(a: Fraction, b: Fraction) -> bool:
    return a == b or abs(a - b) <= max(abs(a), abs(b)) * _TOLERANCE


def _less(a: Fraction, b: Fraction) -> bool:
    return a < b and not _same(a, b)


def _union(pieces: list[Piece]) -> tuple[Piece, ...]:
    """The pieces in order, with those that touch joined."""
    merged: list[Piece] = []
    for piece in _ordered(pieces):
        if not merged:
            merged.append(piece)
            continue
        last = merged[-1]
        gap = _less(last.high, piece.low) or (_same(last.high, piece.low) and not (last.has_high or piece.has_low))
        if gap:
            merged.append(piece)
            continue
        if _same(last.low, piece.low):
            last = Piece(last.low, last.has_low or piece.has_low, last.high, last.has_high)
        if _same(last.high, piece.high):
            merged[-1] = Piece(last.low, last.has_low, last.high, last.has_high or piece.has_high)
        elif _less(last.high, piece.high):
            merged[-1] = Piece(last.low, last.has_low, piece.high, piece.has_high)
        else:
            merged[-1] = last
    return tuple(merged)


def _ordered(pieces: list[Piece]) -> list[Piece]:
    result: list[Piece] = []
    for piece in pieces:
        place = next((at for at, other in enumerate(result) if _less(piece.low, other.low)), len(result))
        result.insert(place, piece)
    return result


def _complement(pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
    gaps: list[Piece] = []
    low, has_low = REALS.low, False
    for piece in pieces:
        if _less(low, piece.low) or (_same(low, piece.low) and has_low and not piece.has_low):
            gaps.append(Piece(low, has_low, piece.low, not piece.has_low))
        low, has_low = piece.high, not piece.has_high
    if _less(low, REALS.high):
        gaps.append(Piece(low, has_low, REALS.high, False))
    return tuple(gaps)


def _intersection(a: tuple[Piece, ...], b: tuple[Piece, ...]) -> tuple[Piece, ...]:
    return _complement(_union([*_complement(a), *_complement(b)]))


def _solved(relation: Relation) -> RealSet:
    """The solutions of a chain of relations in one letter, each linear, quadratic, or with one absolute value."""
    symbols = frozenset[str]().union(*(member.symbols() for member in relation.members))
    if len(symbols) != 1:
        raise NotASet("not a condition on one letter")
    name = next(iter(symbols))
    pieces: tuple[Piece, ...] = (REALS,)
    for left, op, right in zip(relation.members, relation.ops, relation.members[1:], strict=False):
        pieces = _intersection(pieces, _solutions(left, op, right, name))
    return RealSet(pieces, name)


def _solutions(left: Node, op: str, right: Node, name: str) -> tuple[Piece, ...]:
    if left.has("inf") or right.has("inf"):
        return _bounded_by_infinity(left, op, right)
    difference = Node("add", (left, Node("neg", (right,))))

    at = _function(difference, name)
    roots: list[Fraction] = []
    for root in _roots(left, right, name, at):
        if not any(_same(root, other) for other in roots):
            roots.append(root)
    roots.sort()
    found: list[Piece] = []
    wanted = {"<": (-1,), ">": (1,), "le": (-1,), "ge": (1,), "ne": (-1, 1), "=": ()}[op]
    ends = [Fraction(-_INFINITE), *roots, Fraction(_INFINITE)]
    for low, high in pairwise(ends):
        if not wanted:
            break
        value = at(_between(low, high))
        if (value > 0) - (value < 0) in wanted:
            found.append(Piece(low, False, high, False))
    if op in ("le", "ge", "="):
        found.extend(Piece(root, True, root, True) for root in roots)
    return _union(found)


def _bounded_by_infinity(left: Node, op: str, right: Node) -> tuple[Piece, ...]:
    """`x < \\infty` says nothing; any other use of infinity is not understood."""
    minus = Node("neg", (Node("inf"),))
    harmless = (op == "<" and (left == minus or right == Node("inf"))) or (
        op == ">" and (left == Node("inf") or right == minus)
    )
    if not harmless:
        raise NotASet("infinity in a condition")
    return (REALS,)


def _between(low: Fraction, high: Fraction) -> Fraction:
    if low == -_INFINITE and high == _INFINITE:
        return Fraction(1, 3)
    if low == -_INFINITE:
        return high - Fraction(7, 3)
    return low + Fraction(7, 3) if high == _INFINITE else (low + high) / 2


def _fraction(value: Any) -> Fraction:
    """A computed value as a fraction: exact, or of 60 digits. Raises NotASet for a complex one."""
    if isinstance(value, Fraction):
        return value
    if value.imag != 0:
        raise NotASet("a complex number")
    sign, mantissa, exponent, _ = value.real._mpf_
    exact = Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
    return -exact if sign else exact


def _roots(left: Node, right: Node, name: str, at: Function) -> list[Fraction]:
    for side, other in ((left, right), (right, left)):
        if (
            side.op == "abs"
            and not side.has("root", "pow", "div")
            and not other.symbols()
            and side.args[0].symbols() == {name}
        ):
            bound = _fraction(constant(other))
            inside = Node("add", (side.args[0], Node("neg", (other,))))
            outside = Node("add", (side.args[0], other))
            if bound < 0:
                return []
            return [*_polynomial_roots(_function(inside, name)), *_polynomial_roots(_function(outside, name))]
    if left.has("abs", "floor", "ceil", "max", "min") or right.has("abs", "floor", "ceil", "max", "min"):
        raise NotASet("cases inside a condition")
    return _polynomial_roots(at)


def _function(node: Node, name: str) -> Function:
    return lambda x: _fraction(Evaluator(_DPS, {name: x}).value(node))


def _polynomial_roots(at: Function) -> list[Fraction]:
    """Real roots of a function that is a polynomial of degree two at most. Raises NotASet where it is not."""
    minus, c, plus = (at(Fraction(x)) for x in (-1, 0, 1))
    a, b = (plus + minus) / 2 - c, (plus - minus) / 2
    size = abs(a) + abs(b) + abs(c)
    if any(abs(a * x * x + b * x + c - at(x)) > size * _TOLERANCE for x in _SAMPLES):
        raise NotASet("neither linear nor quadratic")
    if abs(a) <= size * _TOLERANCE:
        if abs(b) <= size * _TOLERANCE:
            raise NotASet("a condition without its letter")
        return [-c / b]
    under = b * b - 4 * a * c
    if abs(under) <= size * size * _TOLERANCE:
        return [-b / (2 * a)]
    if under < 0:
        return []
    evaluator = Evaluator(_DPS, {})
    root = _fraction(evaluator.mp.sqrt(evaluator.number(under)))
    return [(-b - root) / (2 * a), (-b + root) / (2 * a)]
