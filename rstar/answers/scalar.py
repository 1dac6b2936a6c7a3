"""Whether two expressions have the same value: exactly, or to many digits, and at several points if symbolic."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from typing import Any, NamedTuple

from rstar.answers.exact import DECIMAL_DIGITS, Number, near_number, same_number, within_last_digit
from rstar.answers.tree import Node, number
from rstar.answers.value import Evaluator, TooLarge, Undefined

_DPS = 60
_MAX_DPS = 3_000
_GUARD_DIGITS = 20
_POINTS_NEEDED = 4
_MAX_SYMBOLS = 12
_LARGEST_SCALE = 10**6
_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71)


_LOG_BASES = (Node("e"), number(10), number(2))


class Sameness(NamedTuple):
    """True, False or None (cannot tell), and the rule that said so."""

    equal: bool | None
    rule: str


def same_value(a: Node, b: Node, compat: bool = False) -> Sameness:
    """Compares two expressions; symbols stand for positive numbers, and for real ones where both sides stay real."""
    if a == b:
        return Sameness(True, "expression")
    bare = a.bare_logs() | b.bare_logs()
    if bare:
        found = [same_value(a.based(base), b.based(base), compat) for base in _LOG_BASES]
        if {each.equal for each in found} == {found[0].equal} or (found[0].equal and bare == {"printed"}):
            return found[0]
        return Sameness(None, "log_base")
    symbols = sorted(a.symbols() | b.symbols())
    try:
        if symbols:
            same = _same_function(a, b, symbols)
            slip = same.equal and a.symbols() != b.symbols() and (_vanishes(a) or _vanishes(b))
            return Sameness(None, "zero_factor") if slip else same
        return _same_constant(a, b, compat)
    except TooLarge:
        return Sameness(None, "guard:size")
    except RecursionError:
        return Sameness(None, "guard:depth")


def constant(node: Node) -> Fraction | Any:
    """The value without symbols: a Fraction or an mpmath number of 60 digits. Raises Undefined, TooLarge."""
    return Evaluator(_DPS, {}).value(node)


def literal(node: Node) -> Number | None:
    """A signed number as it was written, else None."""
    if node.op == "num":
        return Number(node.value, node.digits)
    if node.op == "neg":
        inner = literal(node.args[0])
        return Number(-inner.value, inner.digits) if inner is not None else None
    return None


def _same_constant(a: Node, b: Node, compat: bool) -> Sameness:
    try:
        left, right, equal = evaluated_pair(a, b, {})
    except Undefined:
        return Sameness(None, "undefined")
    if equal:
        return Sameness(True, "value")
    if equal is None:
        return Sameness(None, "opaque")
    if _is_shortened(a, b) or _is_shortened(b, a):
        return Sameness(True, "decimal")
    if compat and _near(left, right):
        return Sameness(True, "compat_number")
    return Sameness(False, "value")


def evaluated_pair(a: Node, b: Node, point: dict[str, Fraction]) -> tuple[Any, Any, bool | None]:
    """Both values at a point, and whether they agree (None: unequal stand-ins). Raises Undefined, TooLarge."""
    dps = _DPS
    for _ in range(2):
        first, second = Evaluator(dps, point), Evaluator(dps, point)
        left, right = first.value(a), second.value(b)
        if isinstance(left, Fraction) and isinstance(right, Fraction):
            return left, right, left == right
        peak, trough = max(first.peak, second.peak), min(first.trough, second.trough)
        needed = int(_DPS + 2 * (peak - trough))
        difference = abs(first.number(left) - second.number(right))
        allowed = first.mp.mpf(10) ** (int(peak) + _GUARD_DIGITS - dps)
        if difference > allowed:
            return left, right, None if first.opaque or second.opaque else False
        if needed <= dps + 2 * _GUARD_DIGITS:
            break
        if needed > _MAX_DPS:
            raise TooLarge("precision")
        dps = needed
    return left, right, True


def _same_function(a: Node, b: Node, symbols: list[str]) -> Sameness:
    if len(symbols) > _MAX_SYMBOLS:
        return Sameness(None, "guard:symbols")
    stepped = a.has("floor", "ceil", "gcd", "lcm") or b.has("floor", "ceil", "gcd", "lcm")
    agreed, halved = 0, False
    for positive, point in islice(points(symbols, _largest(a, b)), 14):
        try:
            left, right, equal = evaluated_pair(a, b, point)
        except Undefined:
            continue
        if not positive and (_is_complex(left) or _is_complex(right)):
            halved = halved or _is_complex(left) != _is_complex(right)
            continue  # the principal branch of a real identity need not hold there
        if equal is None:
            return Sameness(None, "opaque")
        if not equal:
            return Sameness(False, "function")
        agreed += 1
    if agreed < _POINTS_NEEDED:
        return Sameness(None, "undefined")
    if halved and a.has("abs") != b.has("abs"):
        return Sameness(None, "domain")  # ln |x| and ln x
    return Sameness(None, "stepped") if stepped else Sameness(True, "function")


def points(symbols: list[str], scale: int = 1) -> Iterator[tuple[bool, dict[str, Fraction]]]:
    """Rational points in a fixed order, all-positive ones first; some lie beyond `scale`, where a case may change."""
    count = len(_PRIMES)
    for turn in range(100):
        point = {}
        for place, name in enumerate(symbols):
            top, bottom = _PRIMES[(5 * turn + 3 * place + 1) % count], _PRIMES[(7 * turn + 11 * place + 3) % count]
            value = Fraction(top, bottom)
            if value.denominator == 1:
                value += Fraction(place + 1, 73)
            if value > 12:
                value = value / 9
            if turn % 7 == 5:
                value += scale
            if turn % 2 and turn > 2 and (turn // 2 + place) % 2 == 0:
                value = -value
            point[name] = value
        yield all(value > 0 for value in point.values()), point


def _largest(*nodes: Node) -> int:
    """The largest number written under a case distinction, within reason: points beyond it see the other case."""
    if not any(node.has("abs", "max", "min", "root") for node in nodes):
        return 1
    written = (abs(int(node.value)) for root in nodes for node in root.walk() if node.op == "num")
    return min(max(written, default=1), _LARGEST_SCALE) + 1


def _vanishes(node: Node) -> bool:
    """Whether zero times a letter occurs: `0x` is rather a slip than a zero."""
    return any(
        each.op == "mul" and each.symbols() and any(part.op == "num" and part.value == 0 for part in each.args)
        for each in node.walk()
    )


def _is_complex(value: Any) -> bool:
    return hasattr(value, "imag") and value.imag != 0


def _is_shortened(written: Node, exact: Node) -> bool:
    """Whether `written`, a long decimal (or a + bi of them), is `exact` rounded or cut off."""
    parts = _complex_literal(written)
    if parts is None or max(part.digits for part in parts) < DECIMAL_DIGITS:
        return False
    other = literal(exact)
    if other is not None and parts[1].value == 0:
        return same_number(parts[0], other)
    evaluator = Evaluator(_DPS, {})
    evaluated = evaluator.number(evaluator.value(exact))
    for part, value in zip(parts, (evaluated.real, evaluated.imag), strict=True):
        rational = _rational(value)
        if part.digits < DECIMAL_DIGITS:
            if part.value != rational:
                return False
        elif not within_last_digit(part, rational):
            return False
    return True


def _complex_literal(node: Node) -> tuple[Number, Number] | None:
    zero = Number(Fraction(0))
    plain = literal(node)
    if plain is not None:
        return plain, zero
    if node.op != "add" or len(node.args) != 2:
        return None
    real, rest = literal(node.args[0]), node.args[1]
    sign = -1 if rest.op == "neg" else 1
    rest = rest.args[0] if rest.op == "neg" else rest
    if real is None or rest.op != "mul" or len(rest.args) != 2 or rest.args[1].op != "i":
        return None
    imaginary = literal(rest.args[0])
    return (real, Number(sign * imaginary.value, imaginary.digits)) if imaginary is not None else None


def _rational(value: Any) -> Fraction:
    """An mpmath real as the fraction that it is."""
    sign, mantissa, exponent, _ = value._mpf_
    power = Fraction(2) ** int(exponent)
    return Fraction(-int(mantissa) if sign else int(mantissa)) * power


def _near(left: Any, right: Any) -> bool:
    if _is_complex(left) or _is_complex(right):
        return False
    numbers = [value if isinstance(value, Fraction) else _rational(value.real) for value in (left, right)]
    return near_number(*numbers)
