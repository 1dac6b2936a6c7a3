"""math-verify, its parser and sympy, for what our own reader does not know. Only grading processes ask: see `worker`.

Strict mode decides integrals, limits, infinite sums and derivatives. Where each begins and ends is told by `operators`;
every part must then be read completely by our own reader, and by latex2sympy2 as the same function, since the latter
silently guesses ("2 3" is 5) or drops what it does not know. What sympy makes of the parts must agree with a numerical
estimate. The only verdict is EQUIVALENT: whatever is in doubt stays undecided.

Compat mode asks math-verify itself with its default settings, for comparison with published numbers: it is looser by
design (it drops units and rounds to six decimals) and must never decide what is trained on.

Importing this loads nothing heavy; `load` does. Nothing here limits time: the process that asks must be killable.
"""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from typing import Any

from rstar.answers.expression import Unreadable, read_expression
from rstar.answers.grade import Mode
from rstar.answers.operators import Operator, cut, has_operator
from rstar.answers.tree import Node
from rstar.answers.value import Evaluator, TooLarge, Undefined
from rstar.core.verdict import Verdict

_DPS = 60
_MAX_DEPTH = 12  # the generated parser's time is exponential in it
_MAX_LENGTH = 400
_MAX_TERMS = 200
_POINTS = tuple(Fraction(a, b) for a, b in ((3, 7), (5, 13), (19, 7), (7, 17), (-2, 7), (-5, 11), (-23, 9)))
_SAMPLES = tuple(
    (Fraction(a, b), Fraction(c, d)) for a, b, c, d in ((7, 1, 4, 1), (12, 1, 5, 1), (3, 7, 1, 5), (2, 7, 1, 11))
)
_ENOUGH_POINTS = 4
_INFINITE = re.compile(r"\s*([+-]?)\s*\\infty\s*")
_BARE_FRACTION = re.compile(r"\\frac\s*([0-9A-Za-z])\s*([0-9A-Za-z])(?![0-9A-Za-z])")
_BARE_ROOT = re.compile(r"\\sqrt\s*([0-9A-Za-z])(?![0-9A-Za-z])")

SELF_TEST: tuple[tuple[str, str, bool], ...] = (
    (r"\int_0^1 x dx", r"\frac{1}{2}", True),
    (r"\int_0^1 x dx", r"\frac{1}{3}", False),
    (r"\lim_{x\rightarrow 0}\frac{\sin x}{x}", "1", True),
    (r"\sum_{n=1}^{\infty}\frac{1}{2^n}", "2", False),
)


class _Undecided(Exception):
    """This text, or this value, is not certain."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """An expression as sympy has it, and the operators that its placeholders stand for."""

    expression: Any
    operators: Mapping[str, "_Part"]
    free: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Part:
    kind: str
    bound: Any
    low: Any
    high: Any
    side: str
    body: Any


def may_decide(gold: str, candidate: str, mode: Mode) -> bool:
    """Whether asking is worth loading the library."""
    return mode == "compat" or has_operator(gold) or has_operator(candidate)


def load() -> str:
    """Imports the library and proves it on known pairs of both labels: empty, or what went wrong."""
    try:
        for module in ("sympy", "latex2sympy2_extended.latex2sympy2", "math_verify"):
            import_module(module)
    except ImportError as error:
        return f"math-verify does not load: {error}"
    for gold, candidate, expected in SELF_TEST:
        if _same(gold, candidate) != expected:
            return f"{gold!r} against {candidate!r} was not told to be {'equal' if expected else 'unequal'}"
    return ""


def ask(gold: str, candidate: str, mode: Mode = "strict") -> tuple[Verdict, str] | None:
    """EQUIVALENT with rule `library` or (compat only) `math_verify`, else None. Takes guarded, tidied texts."""
    if (has_operator(gold) or has_operator(candidate)) and _same(gold, candidate):
        return Verdict.EQUIVALENT, "library"
    if mode == "compat" and _verified(gold, candidate):
        return Verdict.EQUIVALENT, "math_verify"
    return None


def _verified(gold: str, candidate: str) -> bool:
    """math-verify's own verdict, with its settings but for the alarm, which works in main threads only."""
    from math_verify import parse, verify
    from math_verify.errors import TimeoutException

    try:
        sides = [parse(rf"\boxed{{{text}}}", parsing_timeout=None) for text in (gold, candidate)]
        return bool(verify(*sides, timeout_seconds=None))
    except TimeoutException:  # a BaseException; no alarm is set here, but others may set one
        return False
    except MemoryError:
        raise
    except Exception:  # whatever sympy raises
        return False


def _same(gold: str, candidate: str) -> bool:
    """Whether both texts are understood and have the same value, at every point where they are compared."""
    try:
        left, right = _read(gold), _read(candidate)
        if left.free != right.free:
            return False
        if not left.free:
            return _agree(_value(left, {}), _value(right, {}))
        return _same_function(left, right)
    except (_Undecided, Unreadable, Undefined, TooLarge):
        return False
    except MemoryError:
        raise
    except Exception:  # whatever sympy and the generated parser raise
        return False


def _same_function(left: _Reading, right: _Reading) -> bool:
    agreeing = 0
    for number, point in enumerate(_POINTS):
        at = {name: point + Fraction(place + number * place, 31) for place, name in enumerate(sorted(left.free))}
        values = []
        for reading in (left, right):
            with contextlib.suppress(_Undecided):
                values.append(_value(reading, at))
        if len(values) == 2:
            if not _agree(*values):
                return False
            agreeing += 1
        elif values and abs(point) < 1:  # beyond, a series may diverge while its sum's formula does not
            return False
    return agreeing >= _ENOUGH_POINTS


def _agree(left: Any, right: Any) -> bool:
    """Exactly equal, or equal to 60 digits."""
    import sympy

    difference = left - right
    if difference == 0:
        return True
    if left.is_Rational and right.is_Rational:
        return False
    if left == 0 or right == 0:
        return bool(sympy.simplify(difference) == 0)
    a, b = (sympy.N(side, _DPS + 20) for side in (left, right))
    return bool(abs(a - b) <= abs(a) * sympy.Float(10, 30) ** -_DPS)


def _read(text: str) -> _Reading:
    if len(text) > _MAX_LENGTH or '"' in text:
        raise _Undecided("length or words")
    found = cut(text)
    expression = _piece(found.text)
    parts = {name: _part(operator) for name, operator in found.operators.items()}
    names = {symbol.name for symbol in expression.free_symbols}
    for part in parts.values():
        for each in (part.low, part.high, part.body):
            names |= {symbol.name for symbol in getattr(each, "free_symbols", ())}
    bound = {part.bound.name for part in parts.values()} | set(parts)
    return _Reading(expression, parts, frozenset(names - bound))


def _part(operator: Operator) -> _Part:
    import sympy

    low = _bound(operator.low)
    is_range = operator.kind in ("int", "sum")
    high, side = (_bound(operator.high), "") if is_range else (None, operator.high)
    variable = sympy.Symbol(operator.bound, real=True)
    if variable in low.free_symbols or (high is not None and variable in high.free_symbols):
        raise _Undecided("a bound that depends on its variable")
    return _Part(operator.kind, variable, low, high, side, _piece(operator.body))


def _bound(text: str) -> Any:
    import sympy

    infinite = _INFINITE.fullmatch(text)
    if infinite is not None:
        return -sympy.oo if infinite[1] == "-" else sympy.oo
    return _piece(text)


def _piece(text: str) -> Any:
    """The sympy expression of a text without operators, which both readers must understand as the same function."""
    import sympy
    from latex2sympy2_extended.latex2sympy2 import ConversionConfig, latex2sympy

    node = read_expression(text)
    if node.has("i", "inf", "pm", "mp", "call", "degree", "sum", "prod"):
        raise _Undecided("not a real expression")
    deepest = depth = 0
    for char in text:
        depth += (char in "([{") - (char in ")]}")
        deepest = max(deepest, depth)
    if deepest > _MAX_DEPTH:
        raise _Undecided("depth")
    names = node.symbols()
    ours = _sampled(node, names)  # also refuses towers, before anything else sees them
    parsed = latex2sympy(
        _BARE_FRACTION.sub(r"\\frac{\1}{\2}", _BARE_ROOT.sub(r"\\sqrt{\1}", text)),
        is_real=True,
        convert_degrees=False,
        normalization_config=None,
        conversion_config=ConversionConfig(lowercase_symbols=False),
    )
    if not isinstance(parsed, sympy.Expr):
        raise _Undecided("not an expression")
    parsed = parsed.xreplace({each: sympy.Rational(str(each)) for each in parsed.atoms(sympy.Float)})
    if {symbol.name for symbol in parsed.free_symbols} != names:
        raise _Undecided("other symbols")
    for point, expected in ours:
        at = {symbol: _rational(point[symbol.name]) for symbol in parsed.free_symbols}
        found = sympy.N(parsed.subs(at), _DPS)
        if not found.is_number or abs(found - expected) > abs(expected) * sympy.Float(10, 30) ** -40:
            raise _Undecided("read differently")
    return parsed


def _sampled(node: Node, names: frozenset[str]) -> list[tuple[dict[str, Fraction], Any]]:
    """The value by our own reader at points, as sympy numbers; at least two, or one of a constant."""
    import sympy

    found = []
    for start, step in _SAMPLES:
        point = {name: start + place * step for place, name in enumerate(sorted(names))}
        try:
            value = Evaluator(_DPS, point).value(node)
        except Undefined:
            continue
        if isinstance(value, Fraction):
            found.append((point, _rational(value)))
        elif hasattr(value, "_mpf_"):
            found.append((point, sympy.Float._new(value._mpf_, 200)))
        if len(found) == 2 or not names:
            break
    if len(found) < (2 if names else 1):
        raise _Undecided("undefined at the points")
    return found


def _rational(value: Fraction) -> Any:
    import sympy

    return sympy.Rational(value.numerator, value.denominator)


def _value(reading: _Reading, at: Mapping[str, Fraction]) -> Any:
    """The exact real number that the expression is at a point. Raises _Undecided."""
    import sympy

    point = {sympy.Symbol(name, real=True): _rational(value) for name, value in at.items()}
    return _finite(_filled(reading.expression, reading, point).doit())


def _finite(value: Any) -> Any:
    import sympy

    unsettled = (sympy.Integral, sympy.Sum, sympy.Limit, sympy.Derivative, sympy.Product, sympy.Piecewise)
    if value.has(sympy.oo, -sympy.oo, sympy.zoo, sympy.nan, sympy.AccumBounds, *unsettled) or value.free_symbols:
        raise _Undecided("no number")
    number = sympy.N(value, 30)
    if not number.is_Float and not number.is_Rational:
        raise _Undecided("not real")
    return value


def _filled(expression: Any, reading: _Reading, point: Mapping[Any, Any]) -> Any:
    """`expression` at the point, with the values of its operators in their places."""
    inner = {
        symbol: _settled(reading.operators[symbol.name], reading, point)
        for symbol in expression.free_symbols
        if symbol.name in reading.operators
    }
    return expression.subs({**point, **inner})


def _settled(part: _Part, reading: _Reading, point: Mapping[Any, Any]) -> Any:
    """The value of one operator, as far as an outer bound variable leaves one."""
    import sympy

    body, low = _filled(part.body, reading, point), _filled(part.low, reading, point)
    if part.kind == "diff":
        return sympy.diff(body, part.bound).subs(part.bound, low)
    if part.kind == "lim":
        return _limit(body, part.bound, low, part.side)
    high = _filled(part.high, reading, point)
    if part.kind == "int":
        return _integral(body, part.bound, low, high)
    return _sum(body, part.bound, low, high)


def _integral(body: Any, variable: Any, low: Any, high: Any) -> Any:
    import sympy
    from mpmath import mp

    if (body.free_symbols | low.free_symbols | high.free_symbols) - {variable}:
        if not body.is_polynomial(variable) or not (low.is_finite and high.is_finite):
            raise _Undecided("an inner integral")
        return sympy.integrate(body, (variable, low, high))
    value = _finite(sympy.integrate(body, (variable, low, high)))
    _near(value, mp.quad(_number_of(body, variable), [_mp(low), _mp(high)]))
    return value


def _sum(body: Any, variable: Any, low: Any, high: Any) -> Any:
    import sympy
    from mpmath import mp

    if low.is_Integer and high.is_Integer and 0 <= high - low < _MAX_TERMS:
        return sympy.Add(*(body.subs(variable, term) for term in range(int(low), int(high) + 1)))
    if not low.is_Integer or high != sympy.oo or body.free_symbols - {variable}:
        raise _Undecided("a sum's bounds")
    index = sympy.Symbol(variable.name, integer=True, nonnegative=bool(low >= 0))
    body = body.subs(variable, index)
    terms = sympy.Sum(body, (index, low, high))
    if terms.is_convergent() is not sympy.true:
        raise _Undecided("convergence")
    value = _finite(terms.doit())
    _near(value, mp.nsum(_number_of(body, index), [int(low), mp.inf]))
    return value


def _limit(body: Any, variable: Any, to: Any, side: str) -> Any:
    import sympy

    if (body.free_symbols - {variable}) or to.free_symbols:
        raise _Undecided("an inner limit")
    if to in (sympy.oo, -sympy.oo):
        value = _finite(sympy.limit(body, variable, to))
        near = [sympy.Float(10**8 if to == sympy.oo else -(10**8), 60)]
    else:
        value = _finite(sympy.limit(body, variable, to, side or "+-"))
        near = [sympy.N(to, 60) + sympy.Float(sign, 60) / 10**8 for sign in {"+": (1,), "-": (-1,)}.get(side, (1, -1))]
    for point in near:
        _near(value, sympy.N(body.subs(variable, point), 30), 1e-4)
    return value


def _number_of(body: Any, variable: Any) -> Any:
    """`body` as a function of mpmath numbers; sympy's own evaluation, never generated code."""
    import sympy

    return lambda x: _mp(sympy.N(body.subs(variable, sympy.Float(x, 60)), 60))


def _mp(value: Any) -> Any:
    import sympy
    from mpmath import mp

    if value in (sympy.oo, -sympy.oo):
        return mp.inf if value == sympy.oo else -mp.inf
    return sympy.N(value, 60)._to_mpmath(mp.prec)


def _near(value: Any, estimate: Any, tolerance: float = 1e-7) -> None:
    """Raises _Undecided where a value that sympy found is not what a numerical method finds."""
    import sympy

    exact, found = float(sympy.N(value, 20)), complex(estimate)
    if not abs(found - exact) <= tolerance * max(1.0, abs(exact)):
        raise _Undecided("sympy against numbers")
