"""Evaluates a tree at one point: exactly in fractions as far as that goes, then in high-precision numbers."""

import math
import threading
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from mpmath.ctx_mp import MPContext
from mpmath.libmp.libhyper import NoConvergence

from rstar.answers.tree import Node

_MAX_BITS = 200_000
_MAX_FACTORIAL = 5_000
_MAX_RANGE = 1_000  # terms of a sum or product that is added up
_MAX_STEPS = 20_000  # of one evaluation: sums inside sums
_MAX_LOG2 = 100_000  # of any number
_KEPT_CONTEXTS = 32

_CONTEXTS = threading.local()  # mpmath's own context is one per process and not safe in threads


class Undefined(Exception):
    """The expression has no value here: a division by zero, infinity, a pole."""


class TooLarge(Exception):
    """Evaluating this would take unreasonable time or memory."""


def _context(dps: int) -> MPContext:
    """An mpmath context of `dps` digits, kept for this thread: making one takes longer than using it."""
    known: dict[int, MPContext] = _CONTEXTS.__dict__.setdefault("known", {})
    if dps not in known:
        if len(known) > _KEPT_CONTEXTS:
            known.clear()
        known[dps] = MPContext()
        known[dps].dps = dps
    return known[dps]


class Evaluator:
    """Evaluates at one point with `dps` digits, and watches the range of magnitudes met on the way.

    `peak` and `trough` are log10 of the largest and smallest intermediate value; `opaque` says that a generic stand-in
    for an unknown function or sum took part, after which equal values prove equality but unequal ones prove nothing.
    """

    def __init__(self, dps: int, point: Mapping[str, Fraction]):
        self.mp = _context(dps)
        self.point = dict(point)
        self.peak = 0.0
        self.trough = 0.0
        self.opaque = False
        self._steps = 0

    def value(self, node: Node) -> Any:
        """A Fraction, or an mpmath real or complex number. Raises Undefined, TooLarge."""
        try:
            result = self._value(node)
        except (ZeroDivisionError, ValueError, NoConvergence) as error:
            raise Undefined(str(error)) from error
        except (OverflowError, MemoryError) as error:
            raise TooLarge(str(error)) from error
        if isinstance(result, self.mp.mpc) and result.imag == 0:
            return result.real
        return result

    def number(self, value: Any) -> Any:
        """`value` as an mpmath number."""
        if isinstance(value, Fraction):
            return self.mp.mpf(value.numerator) / value.denominator
        return value

    def _value(self, node: Node) -> Any:
        self._steps += 1
        if self._steps > _MAX_STEPS:
            raise TooLarge("too many steps")
        result = self._operate(node)
        if isinstance(result, Fraction):
            if result.numerator.bit_length() + result.denominator.bit_length() > _MAX_BITS:
                raise TooLarge("a fraction of too many digits")
            size = (result.numerator.bit_length() - result.denominator.bit_length()) * 0.30103 if result else 0.0
        else:
            if not self.mp.isfinite(result):
                raise Undefined("not finite")
            magnitude = self.mp.mag(result) if result else 0
            if abs(magnitude) > _MAX_LOG2:
                raise TooLarge("a number of too many digits")
            size = magnitude * 0.30103
        self.peak, self.trough = max(self.peak, size), min(self.trough, size)
        return result

    def _operate(self, node: Node) -> Any:
        op, args = node.op, node.args
        if op == "num":
            return node.value
        if op == "sym":
            return self.point[node.name]
        if op in ("pi", "e"):
            return +getattr(self.mp, op)
        if op == "i":
            return self.mp.mpc(0, 1)
        if op in ("sum", "prod"):
            return self._series(node)
        if op == "call":
            return self._generic(node.name, [self._value(each) for each in args])
        if op in ("inf", "pm", "mp"):
            raise Undefined(op)
        return self._arithmetic(op, [self._value(each) for each in args])

    def _arithmetic(self, op: str, values: list[Any]) -> Any:
        if op == "add":
            return self._folded(values, lambda a, b: a + b)
        if op == "mul":
            return self._folded(values, lambda a, b: a * b)
        first = values[0]
        if op == "neg":
            return -first
        if op == "div":
            if values[1] == 0:
                raise Undefined("division by zero")
            return self._folded(values, lambda a, b: a / b)
        if op == "pow":
            return self._power(first, values[1])
        if op == "root":
            return self._root(first, values[1])
        if op == "degree":
            return self.number(first) * self.mp.pi / 180
        if op in ("max", "min", "gcd", "lcm"):
            return self._choice(op, values)
        if op in ("fact", "fact2", "binom"):
            return self._combinatorial(op, values)
        if op in ("abs", "floor", "ceil"):
            return self._rounding(op, first)
        return self._transcendental(op, values)

    def _folded(self, values: list[Any], combine: Any) -> Any:
        result = values[0]
        for value in values[1:]:
            if isinstance(result, Fraction) != isinstance(value, Fraction):
                result, value = self.number(result), self.number(value)
            result = combine(result, value)
        return result

    def _power(self, base: Any, exponent: Any) -> Any:
        if isinstance(base, Fraction) and isinstance(exponent, Fraction):
            if exponent.denominator == 1:
                power = exponent.numerator
                if base == 0 and power <= 0:
                    raise Undefined("a power of zero")
                bits = base.numerator.bit_length() + base.denominator.bit_length() - 1
                if bits * abs(power) > _MAX_BITS and abs(base) != 1:
                    raise TooLarge("a power")
                return base ** (power % 2 if abs(base) == 1 else power)
            return self._rational_power(base, exponent)
        base, exponent = self.number(base), self.number(exponent)
        if base == 0:
            if exponent.imag != 0 or exponent.real <= 0:
                raise Undefined("a power of zero")
            return Fraction(0)
        if (
            abs(self.mp.mag(exponent) if exponent else 0) > 40
            or abs(exponent) * (abs(self.mp.mag(base)) + 1) > _MAX_LOG2
        ):
            raise TooLarge("a power")
        if isinstance(base, self.mp.mpc) and base.imag == 0:
            base = base.real
        return self.mp.power(base, exponent)

    def _rational_power(self, base: Fraction, exponent: Fraction) -> Any:
        """The real value where there is one: the cube root of -8 is -2; square roots of negatives are imaginary."""
        if base == 0:
            if exponent < 0:
                raise Undefined("a power of zero")
            return Fraction(0)
        if abs(exponent) * (base.numerator.bit_length() + base.denominator.bit_length()) > _MAX_LOG2:
            raise TooLarge("a power")
        if base < 0 and exponent.denominator % 2:
            size = self._rational_power(-base, exponent)
            return -size if exponent.numerator % 2 else size
        if base > 0:
            exact = _exact_root(base, exponent.denominator)
            if exact is not None:
                return exact**exponent.numerator
        return self.mp.power(self.number(base), self.number(exponent))

    def _root(self, radicand: Any, degree: Any) -> Any:
        if not isinstance(degree, Fraction) or degree == 0:
            return self._power(radicand, self.mp.mpf(1) / self.number(degree))
        if isinstance(radicand, Fraction):
            return self._power(radicand, 1 / degree)
        if isinstance(radicand, self.mp.mpf) and radicand < 0 and degree.denominator == 1 and degree.numerator % 2:
            return -self._power(-radicand, 1 / degree)
        return self._power(radicand, 1 / degree)

    def _choice(self, op: str, values: list[Any]) -> Any:
        if op in ("gcd", "lcm"):
            if not all(isinstance(value, Fraction) and value.denominator == 1 for value in values):
                raise Undefined(op)
            return Fraction((math.gcd if op == "gcd" else math.lcm)(*(value.numerator for value in values)))
        if any(isinstance(value, self.mp.mpc) for value in values):
            raise Undefined(op)
        return (max if op == "max" else min)(values, key=self.number)

    def _combinatorial(self, op: str, values: list[Any]) -> Any:
        exact = all(isinstance(value, Fraction) and value.denominator == 1 for value in values)
        if any(abs(self.number(value)) > _MAX_FACTORIAL for value in values):
            if op == "binom" and exact and 0 <= min(values[1], values[0] - values[1]) <= 100:
                return Fraction(math.comb(values[0].numerator, values[1].numerator))
            raise TooLarge(op)
        if exact and all(value >= 0 for value in values):
            whole = [value.numerator for value in values]
            if op == "binom":
                return Fraction(math.comb(*whole))
            return Fraction(math.factorial(whole[0]) if op == "fact" else math.prod(range(whole[0], 0, -2)))
        numbers = [self.number(value) for value in values]
        function = {"fact": self.mp.factorial, "fact2": self.mp.fac2, "binom": self.mp.binomial}[op]
        return function(*numbers)

    def _rounding(self, op: str, value: Any) -> Any:
        if op == "abs":
            return abs(value)
        if isinstance(value, Fraction):
            return Fraction(math.floor(value) if op == "floor" else math.ceil(value))
        if isinstance(value, self.mp.mpc) or self.mp.mag(value) > 200:
            raise Undefined(op)
        nearest = self.mp.nint(value)
        if abs(value - nearest) < self.mp.mpf(10) ** (-self.mp.dps // 2):
            raise Undefined("a step that rounding decides")
        return Fraction(int(self.mp.floor(value) if op == "floor" else self.mp.ceil(value)))

    def _transcendental(self, op: str, values: list[Any]) -> Any:
        mp = self.mp
        first = self.number(values[0])
        if op == "log" and len(values) == 1:
            raise Undefined("a logarithm of no base")
        if op == "log":
            base = self.number(values[1])
            if first == 0 or base in (0, 1):
                raise Undefined("a logarithm")
            return mp.log(first) / mp.log(base)
        if mp.mag(first) > 60 if first else False:
            raise TooLarge(op)
        if op in ("exp", "sinh", "cosh", "tanh") and abs(first) > _MAX_LOG2 / 2:
            raise TooLarge(op)
        return getattr(mp, op)(first)

    def _series(self, node: Node) -> Any:
        """A finite sum or product, added up; else a stand-in that agrees for equal limits and equal bodies."""
        index, low_node, high_node, body = node.args
        low, high = self._value(low_node), self._value(high_node) if not high_node.has("inf") else None
        indexed = any(re_index in name for name in body.symbols() for re_index in _subscripts(index.name))
        whole = all(isinstance(end, Fraction) and end.denominator == 1 for end in (low, high))
        before = self.point.get(index.name)
        try:
            if whole and not indexed and high is not None:
                if high - low > _MAX_RANGE:
                    raise TooLarge(node.op)
                total: Any = Fraction(0 if node.op == "sum" else 1)
                for step in range(low.numerator, high.numerator + 1):
                    self.point[index.name] = Fraction(step)
                    total = self._folded([total, self._value(body)], _add if node.op == "sum" else _multiply)
                    if isinstance(total, Fraction) and total.numerator.bit_length() > _MAX_BITS:
                        raise TooLarge(node.op)
                return total
            self.point[index.name] = Fraction(17, 5)
            return self._generic(
                node.op + index.name, [low, high if high is not None else Fraction(991, 7), self._value(body)]
            )
        finally:
            if before is None:
                self.point.pop(index.name, None)
            else:
                self.point[index.name] = before

    def _generic(self, name: str, values: list[Any]) -> Any:
        """A smooth function nobody has a name for: equal arguments give equal values."""
        self.opaque = True
        total = self.mp.mpf(sum(ord(char) * 31**place for place, char in enumerate(name)) % 99_991) / 991
        for place, value in enumerate(values):
            total += self.number(value) * self.mp.sqrt(2 + 3 * place + len(name))
        return self.mp.sin(total) + total / 7 + 3


def _add(a: Any, b: Any) -> Any:
    return a + b


def _multiply(a: Any, b: Any) -> Any:
    return a * b


def _subscripts(name: str) -> tuple[str, ...]:
    return (f"_{name}", f"{name}'") if name else ()


def _exact_root(value: Fraction, degree: int) -> Fraction | None:
    """The rational root of a positive fraction, if there is one."""
    top, bottom = _integer_root(value.numerator, degree), _integer_root(value.denominator, degree)
    return None if top is None or bottom is None else Fraction(top, bottom)


def _integer_root(value: int, degree: int) -> int | None:
    if degree > 64:
        return 1 if value == 1 else None
    if degree == 2:
        root = math.isqrt(value)
        return root if root * root == value else None
    low, high = 0, 1 << -(-value.bit_length() // degree)
    while low < high:
        middle = (low + high) // 2
        if middle**degree < value:
            low = middle + 1
        else:
            high = middle
    return low if low**degree == value else None
