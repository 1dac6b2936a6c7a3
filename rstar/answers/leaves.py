"""Reads answers that have no parts of their own: choices, words, times, numbers in a base, ratios and quantities."""

import re

from rstar.answers import split
from rstar.answers.expression import Unreadable, read_expression
from rstar.answers.kinds import Answer, Based, Choice, Clock, Known, Many, Opaque, Quantity, Ratio, Scalar, Words
from rstar.answers.lexer import FUNCTIONS
from rstar.answers.plusminus import expanded
from rstar.answers.tree import Node, number
from rstar.answers.units import canonical_unit, is_plain_unit, split_scale, split_unit
from rstar.answers.words import canonical_words, number_in_words

_CHOICE = re.compile(r"(?:\"?(?:[Oo]ption|[Cc]hoice)\"?\s+)?\(?\s*\"?\s*\(?([A-J])\)?\s*\"?\s*\)?\s*[.:]?")
_CHOICE_WITH_TEXT = re.compile(r"(?:\"?\(([A-J])\)\"?|\"?([A-J])[.):]\"?(?=\s|\"|\$))\s*[.:]?\s*(\S.*)", re.DOTALL)
_CHOICES = re.compile(r"\"?\s*([A-J](?:\s*(?:,|;|\band\b|\s)\s*[A-J])+|[A-J]{2,8})\s*\"?")
_MORE_CHOICES = re.compile(  # "(B) or (C)", "A: 5, B: 6", "(B) is wrong"
    r"^\W*(?:or|and|nor|is|are|not)\b|\([A-J]\)|(?<![A-Za-z])[A-J][.):]|\b(?:wrong|incorrect)\b"
)
_CLOCK = re.compile(
    r"(\d{1,2}):(\d{2})(?::(\d{2}))?\s*\"?\s*([ap])?\.?\s*(?:(?<=[ap])m|(?<=[ap]\.)\s*m|(?<=[ap]\. )m)?\.?\s*\"?",
    re.IGNORECASE,
)
_DIGITS = r"(?:\(\s*[0-9A-Z]+\s*\)|[0-9A-Z]+|\"[0-9A-Z]+\")"
_BASE = r"(?:\(\s*(?:\d{1,2}|[a-z]+)\s*\)|\"?(?:\d{1,2}|[a-z]+)\"?)"
_BASED = re.compile(rf"({_DIGITS})\s*_\s*(?:\{{\s*({_BASE})\s*\}}|({_BASE}))")
_BASE_WORDS = re.compile(r"([0-9]+)\s*\"?\s*\(?\s*(?:in )?base\s*-?\s*(\d{1,2}|[a-z]+)\s*\)?\"?")
_INFINITY = re.compile(r"(?:(-|minus |negative )|\+|plus |positive )?infinity")
_WORDY = re.compile(r"[^\W\d_][^\W\d_]+")
_CURRENCY = re.compile(r"([-+]?)\s*\\currency\{(\w+)\}\s*([-+]?.+)", re.DOTALL)
_CURRENCY_BEHIND = re.compile(r"(.+?)\s*\\currency\{(\w+)\}", re.DOTALL)
_TO = re.compile(r"^(\d+) \"?to\"? (\d+)$")
_DATE = re.compile(r"\d{4}\s*-\s*\d{2}\s*-\s*\d{2}|\d{1,2}/\d{1,2}/(?:19|20)\d{2}")
_SPACED_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(?: \d{3})+(?:\.\d+)?")


def _choice(text: str) -> Answer | None:
    if (match := _CHOICE.fullmatch(text)) is not None:
        return Choice(match.group(1))
    if (match := _CHOICES.fullmatch(text)) is not None:
        letters = re.sub(r"and|[^A-J]", "", match.group(1))
        if len(set(letters)) == len(letters):
            spread = len(match.group(1)) > len(letters)
            return Choice("".join(sorted(letters)) if spread and len(letters) > 1 else letters)
    if (match := _CHOICE_WITH_TEXT.fullmatch(text)) is not None:
        behind = match.group(3)
        if _MORE_CHOICES.search(behind):
            return Opaque(text, "choices")
        return Choice(match.group(1) or match.group(2), behind.replace('"', " ").strip())
    return None


def _words(text: str) -> Answer | None:
    if text in ("\\emptyset", "\\{\\}", "\\{ \\}"):
        return Known("empty")
    if text == "\\reals":
        return Known("reals")
    plain = text.replace('"', " ").strip()
    words = canonical_words(plain)
    if words in ("empty", "reals"):
        return Known(words)
    value = number_in_words(words)
    if value is not None:
        return Scalar(number(value))
    if re.search(r"[\\\d=<>+*/^_|{}\[\]%$]", plain):
        return None
    if (match := _INFINITY.fullmatch(words)) is not None:
        return Scalar(Node("neg", (Node("inf"),)) if match.group(1) else Node("inf"))
    letters = _WORDY.findall(plain)
    if not letters or all(word in FUNCTIONS or word in ("pi", "oo", "inf") for word in letters):
        return Words(words) if re.search(r"[\u3040-\u9fff]", plain) else None
    quoted = text.startswith('"') and text.endswith('"')
    parts = re.split(r"\s*(?:,|\b(?:and|or)\b)\s*", plain)
    if not quoted and len(parts) > 1 and all(len(re.sub(r"\W", "", part)) == 1 for part in parts):
        return None  # i and -i
    if (
        quoted
        or len(plain) > 3
        or (not plain.isalpha() and max(map(len, letters)) > 3)
        or plain.lower() in ("yes", "no", "odd", "one")
    ):
        if re.search(r"[()!]|\d", plain) and not quoted and max(map(len, letters)) <= 3:
            return None
        return _counted(words) or Words(words)
    return Words(plain) if plain.isalpha() else None


def _counted(words: str) -> Answer | None:
    """`forty-five minutes`: a number in words with its unit."""
    parts = words.split()
    for count in range(len(parts) - 1, 0, -1):
        value = number_in_words(" ".join(parts[:count]))
        if value is not None:
            unit = canonical_unit(" ".join(parts[count:]))
            return Quantity(number(value), unit) if unit is not None else None
    return None


def _clock(text: str) -> Answer | None:
    match = _CLOCK.fullmatch(text)
    if match is None or match.group(4) is None:
        return None
    return _clock_of(match)


def _clock_of(match: re.Match[str]) -> Clock | None:
    hours, minutes, seconds, half = match.groups()
    if int(hours) > 24 or int(minutes) > 59 or int(seconds or 0) > 59:
        return None
    half = f"{half.lower()}m" if half else ""
    hour = int(hours)
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + 12 * (half == "pm")
    elif hour == 0:
        half = "am"
    return Clock(hour * 3600 + int(minutes) * 60 + int(seconds or 0), half)


def _based(text: str) -> Answer | None:
    match = _BASED.fullmatch(text) or _BASE_WORDS.fullmatch(text)
    if match is None:
        return None
    digits, written = (group.strip('()" ') for group in match.groups() if group is not None)
    base = int(written) if written.isdigit() else number_in_words(written)
    if base is None or not 2 <= base <= 36 or not any(char.isdigit() for char in digits):
        return Opaque(text, "base") if digits.isdigit() else None
    if any(int(char, 36) >= base for char in digits):
        return Opaque(text, "base")
    return Based(digits.lstrip("0") or "0", int(base))


def _date(text: str) -> Answer | None:
    """`2020-05-06` and `5/6/2020` are no differences and quotients."""
    return Opaque(text, "date") if _DATE.fullmatch(text) else None


def ratio(text: str) -> Answer | None:
    text = _TO.sub(r"\1:\2", text)
    parts = split.cut(text, frozenset({":"}))
    if len(parts) < 2 or text.startswith("\\begin"):
        return None
    try:
        nodes = tuple(read_expression(part.replace('"', "")) for part in parts)
    except Unreadable:
        return Opaque(text)
    match = _CLOCK.fullmatch(text)
    return Ratio(nodes, _clock_of(match) if match is not None else None)


def measured(text: str) -> Answer:
    """A scalar, perhaps with a unit or a currency."""
    text = text.strip()
    if _SPACED_THOUSANDS.fullmatch(text):
        text = text.replace(" ", "")
    if (match := _CURRENCY.fullmatch(text)) is not None or (match := _CURRENCY_BEHIND.fullmatch(text)) is not None:
        sign, unit, body = match.groups() if len(match.groups()) == 3 else ("", match.group(2), match.group(1))
        inner = measured(sign + body)
        if isinstance(inner, Scalar):
            return Quantity(inner.node, unit)
        return (
            inner
            if isinstance(inner, Quantity) and (inner.unit == unit or inner.unit.startswith(unit + "/"))
            else Opaque(text, "unit")
        )
    whole = _expression(text)
    body, unit_text = split_unit(text)
    plain = unit_text[:1].isalpha() and not is_plain_unit(unit_text, spaced=len(body) + len(unit_text) < len(text))
    if not unit_text or plain or (whole is not None and unit_text.startswith("\\")):
        return _scalar(whole) if whole is not None else Opaque(text)
    return _quantity(body, unit_text, text)


def _quantity(body: str, unit_text: str, text: str) -> Answer:
    factor, unit_text = split_scale(unit_text)
    node = _expression(body.replace(",", "") if split.is_thousands(body) else body)
    if node is None:
        return Opaque(text, "unit")
    if factor != 1:
        node = Node("mul", (node, number(factor)))
        if not unit_text.strip():
            return Scalar(node)
    unit = canonical_unit(unit_text)
    if unit is None:
        return Opaque(text, "unit")
    if node.has("pm"):
        return Opaque(text, "unit")
    return Quantity(node, unit)


def _expression(text: str) -> Node | None:
    try:
        return read_expression(text.replace(",", "") if split.is_thousands(text) else text)
    except Unreadable:
        return None


def _scalar(node: Node) -> Answer:
    if node.op == "degree":
        return Quantity(node.args[0], "deg")
    if node.op == "neg" and node.args[0].op == "degree":
        return Quantity(Node("neg", node.args[0].args), "deg")
    if node.has("pm", "mp"):
        found = expanded(node)
        return Many(tuple(map(Scalar, found))) if found else Opaque(repr(node), "plus_minus")
    return Scalar(node)


READERS = (_choice, _words, _clock, _date, _based)  # in this order; each returns None for what it does not know
