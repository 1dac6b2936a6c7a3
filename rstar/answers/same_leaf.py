"""Compares leaves of one kind: quantities with their units, choices, times of day, ratios and words."""

from itertools import combinations

from rstar.answers.kinds import Choice, Clock, Quantity, Ratio, Scalar
from rstar.answers.scalar import Sameness, same_value
from rstar.answers.tree import Node, number
from rstar.answers.units import is_known

_HUNDRED = number(100)


def letters(text: str) -> str:
    """Words without case and punctuation."""
    kept = "".join(char if char.isalnum() or char in "+-/" else " " for char in text.lower().replace("'", ""))
    return " ".join(kept.split())


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
    if same.equal:
        return Sameness(True, "unit")
    if a.unit == "%" and same.equal is False:
        return Sameness(same_value(Node("div", (a.node, _HUNDRED)), b.node, compat).equal, "percent")
    if len(a.unit) == 1 and b.node.op == "mul" and b.node.args[-1].name.lower() == a.unit:
        rest = b.node.args[:-1]
        return same_value(a.node, rest[0] if len(rest) == 1 else Node("mul", rest), compat)
    return same


def same_choices(a: Choice, b: Choice) -> Sameness:
    """By their letters; option texts that both sides give must agree."""
    if a.letters != b.letters:
        return Sameness(False, "choice")
    if a.text and b.text and a.text != b.text:
        return Sameness(None, "choice_text")
    return Sameness(True, "choice")


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
