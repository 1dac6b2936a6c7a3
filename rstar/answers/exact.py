"""Plain numbers, exactly and in microseconds: integers, decimals, fractions and thousands as `Fraction`."""

import re
from fractions import Fraction
from typing import NamedTuple

FLOAT_DIGITS = 15  # what a double prints at least; its last bits are noise
DECIMAL_DIGITS = 10  # fewer significant digits never stand for an exact value
_FLOAT_NOISE = Fraction(2, 10**15)
_COMPAT_TOLERANCE = Fraction(1, 10**4)  # rel_tol of the published graders
_LONGEST = 400

_DECIMAL = re.compile(
    r"(?P<sign>[+-]?)(?P<whole>\d{1,3}(?:(?:,|\{,\})\d{3})+|\d+|(?=\.))(?:\.(?P<part>\d*))?(?:[eE](?P<power>[+-]?\d{1,3}))?"
)
_RATIO = re.compile(r"([+-]?\d+)\s*/\s*(\d+)")
_FRAC = re.compile(r"([+-]?)\\[dt]?frac\s*(?:\{\s*([+-]?\d+)\s*\}\s*\{\s*([+-]?\d+)\s*\}|(\d)(\d)(?!\d))")
_WRAPPED = re.compile(r"\$\$([^$]+)\$\$|\$([^$]+)(?<!\\)\$|\\\(((?:(?!\\[()]).)+)\\\)|\\\[((?:(?!\\[\[\]]).)+)\\\]")
_SPACE_KEPT = re.compile(r"(?<=[A-Za-z0-9.])\s+(?=[A-Za-z0-9.])|(?<=,)\s+(?=\d)")


class Number(NamedTuple):
    """`digits`: significant digits if it was written with a decimal point, else 0 (exact by nature)."""

    value: Fraction
    digits: int = 0


def squash(text: str) -> str:
    """`text` without the spaces that cannot matter. "3 1/2", "48, 384" and "not able" keep theirs."""
    text = text.strip()
    wrapped = _WRAPPED.fullmatch(text)
    if wrapped is not None:
        text = next(group for group in wrapped.groups() if group is not None).strip()
    text = _SPACE_KEPT.sub("\0", text)
    return re.sub(r"\s+", "", text).replace("\0", " ")


def plain_number(text: str) -> Number | None:
    """The number that `text` (squashed) plainly is, or None where a reader with more grammar has to look."""
    if not text or len(text) > _LONGEST or not (text[0] in "+-.\\" or text[0].isdigit()) or not text.isascii():
        return None
    text = text.removesuffix(".") if not text.endswith("..") else text
    if (match := _DECIMAL.fullmatch(text)) is not None:
        return decimal(match)
    if (match := _RATIO.fullmatch(text)) is not None:
        top, bottom = match.groups()
        return Number(Fraction(int(top), int(bottom))) if int(bottom) else None
    if (match := _FRAC.fullmatch(text)) is not None:
        sign, top, bottom, digit_top, digit_bottom = match.groups()
        below = int(bottom or digit_bottom)
        value = Fraction(int(top or digit_top), below) if below else None
        return None if value is None else Number(-value if sign == "-" else value)
    return None


def decimal(match: re.Match[str]) -> Number | None:
    """The number of a match of the decimal grammar; None for a lone point."""
    whole = match["whole"].replace("{,}", "").replace(",", "")
    if "," in match["whole"] and match["whole"].startswith("0"):
        return None
    part = match["part"] or ""
    if not whole and not part:
        return None
    value = Fraction(int(whole + part or "0"), 10 ** len(part))
    if match["power"]:
        value *= Fraction(10) ** int(match["power"])
    digits = len((whole + part).lstrip("0")) if part else 0
    return Number(-value if match["sign"] == "-" else value, digits)


def same_number(a: Number, b: Number) -> bool:
    """Equal exactly, or one is a decimal long enough (10 digits and more) to stand for the other."""
    if a.value == b.value:
        return True
    short, long = sorted((a, b), key=lambda number: number.digits)
    if long.digits < DECIMAL_DIGITS or DECIMAL_DIGITS <= short.digits == long.digits:
        return False
    if short.digits >= DECIMAL_DIGITS:  # two long decimals: the shorter one must be the other, shortened
        return within_last_digit(short, long.value)
    return within_last_digit(long, short.value)


def within_last_digit(approximate: Number, value: Fraction) -> bool:
    """True where `approximate`, a decimal of known length, is `value` rounded or cut off, or a double's noise away."""
    difference = abs(approximate.value - value)
    if approximate.value == 0 or value == 0:
        return difference == 0
    cut_off = approximate.value * value > 0 and abs(approximate.value) < abs(value)
    if difference < _last_place(approximate) * (1 if cut_off else Fraction(1, 2)):
        return True
    return approximate.digits >= FLOAT_DIGITS and difference <= abs(value) * _FLOAT_NOISE


def near_number(a: Fraction, b: Fraction) -> bool:
    """The published graders' tolerance: relative 1e-4, and a factor of 100 either way for percentages."""
    return any(abs(a - b * scale) <= _COMPAT_TOLERANCE * abs(b * scale) for scale in (1, 100, Fraction(1, 100)))


def _last_place(number: Number) -> Fraction:
    """One unit in the last of the significant digits."""
    value = abs(number.value)
    exponent = len(str(value.numerator)) - len(str(value.denominator))
    scale = Fraction(10) ** exponent
    if scale > value:
        exponent -= 1
    return Fraction(10) ** (exponent + 1 - number.digits)
