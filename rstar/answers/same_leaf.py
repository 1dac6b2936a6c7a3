"""Compares leaves of one kind: quantities with their units, choices, times of day, ratios and words."""

import re
from itertools import combinations

from rstar.answers.kinds import Clock, Quantity, Ratio, Scalar
from rstar.answers.scalar import Sameness, same_value
from rstar.answers.tree import Node, number
from rstar.answers.units import canonical_unit, is_known

_HUNDRED = number(100)


def same_words(a: str, b: str) -> bool:
    """Without case, unless two short names differ in nothing else: PQ and pq."""
    if a != b and {a, b} == {a.upper(), a.lower()} and (len(a) <= 3 or not re.search(r"[aeiouAEIOU]", a)):
        return False
    return letters(a) == letters(b)


def letters(text: str) -> str:
    """Words without case and punctuation."""
    kept = "".join(char if char.isalnum() or char in "+-/" else " " for char in text.lower().replace("'", ""))
    return " ".join(word for word in kept.split() if word != "and")


def same_quantities(a: Quantity, b: Quantity, compat: bool) -> Sameness:
    """Known units must agree; a noun may be put differently, which leaves the pair undecided."""
    same = same_value(a.node, b.node, compat)
    if a.unit == b.unit:
        return Sameness(same.equal, "unit" if same.equal else same.rule)
    if is_known(a.unit) and is_known(b.unit):
        return Sameness(False, "unit")
    return Sameness(False, "unit") if same.equal is False else Sameness(None, "unit")


def quantity_is_scalar(a: Quantity, b: Scalar, compat: bool) -> Sameness:
    """A missing unit is forgiven; a per cent sign may be dropped or applied; `5\\text{ N}` may be written `5N`."""
    same = same_value(a.node, b.node, compat)
    if same.equal and a.unit == "deg" and b.node.has("pi", "asin", "acos", "atan", "acot"):
        return Sameness(None, "unit")  # so many radians
    if same.equal:
        return Sameness(True, "unit")
    if a.unit == "%" and same.equal is False:
        return Sameness(same_value(Node("div", (a.node, _HUNDRED)), b.node, compat).equal, "percent")
    if is_known(a.unit) and (measured := _measured(b.node)) is not None and measured.unit == a.unit:
        return same_value(a.node, measured.node, compat)
    return same


def _measured(node: Node) -> Quantity | None:
    """`9.8m/s^2` as a number with a unit, if its letters are one."""
    if node.op not in ("mul", "div"):
        return None
    below = node.args[1] if node.op == "div" else None
    top = node.args[0] if node.op == "div" else node
    parts = top.args if top.op == "mul" else (top,)
    count = next((place for place, part in enumerate(parts) if _unit_text(part)), len(parts))
    texts = [_unit_text(part) for part in parts[count:]]
    under = _unit_text(below) if below is not None else "1"
    if not count or not texts or not all(texts) or not under:
        return None
    unit = canonical_unit(" ".join(texts) + (f"/{under}" if below is not None else ""))
    return Quantity(parts[0] if count == 1 else Node("mul", parts[:count]), unit) if unit is not None else None


def _unit_text(node: Node) -> str:
    if node.op == "sym" and len(node.name) == 1:
        return node.name
    if node.op == "pow" and node.args[1].op == "num" and node.args[1].value.denominator == 1:
        base = _unit_text(node.args[0])
        return f"{base}^{node.args[1].value}" if base else ""
    return ""


def same_clocks(a: Clock, b: Clock) -> Sameness:
    """A missing am or pm is forgiven, a wrong one is not."""
    if (a.half and b.half) or a.seconds == b.seconds:
        return Sameness(a.seconds == b.seconds, "clock")
    stated, bare = (a, b) if a.half else (b, a)
    noonless = stated.half and bare.seconds < 13 * 3600 and stated.seconds % 43_200 == bare.seconds % 43_200
    return Sameness(bool(noonless), "clock")


def same_ratios(a: Ratio, b: Ratio, compat: bool) -> Sameness:
    """`2:4` is `1:2`; texts that may be times of day as well must agree as times too."""
    if len(a.parts) != len(b.parts):
        return (
            same_clocks(a.clock, b.clock) if a.clock is not None and b.clock is not None else Sameness(False, "ratio")
        )
    if any(same_value(part, number(0)).equal is not False for part in (*a.parts, *b.parts)):
        return Sameness(True if a == b else None, "ratio")  # with a zero, products no longer tell ratios apart
    verdicts = []
    for first, second in combinations(range(len(a.parts)), 2):
        left = Node("mul", (a.parts[first], b.parts[second]))
        right = Node("mul", (a.parts[second], b.parts[first]))
        verdicts.append(same_value(left, right, compat).equal)
    same = False if False in verdicts else None if None in verdicts else True
    if a.clock is not None and b.clock is not None and not same_clocks(a.clock, b.clock).equal:
        return Sameness(None if same else False, "clock")
    return Sameness(same, "ratio")
