"""Random answers that are written in several ways, and slips in them, against what they mean."""

from fractions import Fraction
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from rstar.answers import compare
from rstar.core.verdict import Verdict

Tree = tuple[Any, ...]
POINTS = [{"x": Fraction(a, 7), "n": Fraction(b, 5)} for a, b in ((9, 4), (-3, 11), (25, -8), (2, 3), (-40, -9))]
Piece = tuple[int, bool, int, bool]  # from, with it, to, with it
FAR = 10**9


@pytest.mark.parametrize("seed", range(4))
def test_expressions(seed: int) -> None:
    draw = Random(seed)
    for _ in range(150):
        tree = expression(draw, draw.randint(1, 4))
        other = slipped(tree, draw) if draw.random() < 0.6 else tree
        values = [(value(tree, point), value(other, point)) for point in POINTS]
        left, right = latex(tree, draw), (latex if draw.random() < 0.5 else python)(other, draw)
        found = compare(left, right).verdict
        if any(None in pair for pair in values):
            assert found is not Verdict.EQUIVALENT or tree == other, (left, right)
        else:
            expected = Verdict.EQUIVALENT if all(a == b for a, b in values) else Verdict.DIFFERENT
            assert found is expected, (left, right)


def expression(draw: Random, depth: int) -> Tree:
    if depth == 0 or draw.random() < 0.2:
        return ("num", draw.randint(1, 12)) if draw.random() < 0.5 else ("sym", draw.choice("xn"))
    op = draw.choice(["+", "-", "*", "*", "/", "^", "neg"])
    if op == "^":
        return op, expression(draw, depth - 1), draw.randint(2, 4)
    if op == "neg":
        return op, expression(draw, depth - 1)
    return op, expression(draw, depth - 1), expression(draw, depth - 1)


def slipped(tree: Tree, draw: Random) -> Tree:
    op, *parts = tree
    if op == "num":
        return op, parts[0] + draw.choice([1, 2, 10])
    if op == "sym":
        return op, "n" if parts[0] == "x" else "x"
    if draw.random() < 0.4 and op in ("+", "-", "*", "/"):
        return (op, parts[1], parts[0]) if draw.random() < 0.5 else (draw.choice("+-*/"), *parts)
    if op == "^" and draw.random() < 0.5:
        return op, parts[0], 5 - int(parts[1])
    if op == "neg" and draw.random() < 0.5:
        return parts[0]
    at = draw.randrange(1 if op in ("^", "neg") else 2)
    parts[at] = slipped(parts[at], draw)
    return op, *parts


def value(tree: Tree, point: dict[str, Fraction]) -> Fraction | None:
    """None where it has none, or one that no program prints."""
    op, *parts = tree
    if op == "num":
        return Fraction(parts[0])
    if op == "sym":
        return point[str(parts[0])]
    values = [part if isinstance(part, int) else value(part, point) for part in parts]
    if None in values:
        return None
    a, b = values[0], values[-1]
    if op == "neg":
        return -a
    if op == "/":
        return a / b if b else None
    if op == "^":
        return a**b
    return {"+": lambda: a + b, "-": lambda: a - b, "*": lambda: a * b}[str(op)]()


RANK = {"+": 1, "-": 1, "neg": 1, "*": 2, "/": 2, "^": 3, "num": 4, "sym": 4}


def latex(tree: Tree, draw: Random) -> str:
    op, *parts = tree
    if op in ("num", "sym"):
        return str(parts[0])

    def inner(at: int, above: int) -> str:
        text = latex(parts[at], draw)
        return text if RANK[str(parts[at][0])] > above else draw.choice(["({})", r"\left({}\right)"]).format(text)

    if op == "neg":
        return "-" + inner(0, 1)
    if op == "^":
        return f"{inner(0, 3)}^{{{parts[1]}}}"
    if op == "/":
        if draw.random() < 0.5:
            return rf"\{draw.choice(['', 'd', 't'])}frac{{{latex(parts[0], draw)}}}{{{latex(parts[1], draw)}}}"
        return f"({latex(parts[0], draw)})/({latex(parts[1], draw)})"
    if op == "*":
        return inner(0, 2) + draw.choice([r" \cdot ", r"\times ", "*"]) + inner(1, 2)
    return f"{inner(0, 0)}{draw.choice(['', ' '])}{op} {inner(1, 1)}"


def python(tree: Tree, draw: Random) -> str:
    op, *parts = tree
    if op in ("num", "sym"):
        return str(parts[0])
    texts = [str(part) if isinstance(part, int) else f"({python(part, draw)})" for part in parts]
    return f"-{texts[0]}" if op == "neg" else {"^": "**"}.get(str(op), f" {op} ").join(texts)


@pytest.mark.parametrize("seed", range(4))
def test_sets_of_reals(seed: int) -> None:
    draw = Random(seed)
    for _ in range(150):
        pieces = several(draw)
        other = slipped_set(pieces, draw) if draw.random() < 0.5 else pieces
        left, right = written(pieces, draw), written(other, draw)
        equal = compare(left, right).verdict is Verdict.EQUIVALENT
        assert equal == (pieces == other), (left, right)


def several(draw: Random) -> list[Piece]:
    """Pieces with gaps between them."""
    ends = sorted(draw.sample(range(-9, 10), 2 * draw.choice([1, 1, 2, 3])))
    pieces = [(low, draw.random() < 0.5, high, draw.random() < 0.5) for low, high in list(pairwise(ends))[::2]]
    if draw.random() < 0.3:
        pieces[0] = (-FAR, False, *pieces[0][2:])
    if draw.random() < 0.3:
        pieces[-1] = (*pieces[-1][:2], FAR, False)
    return pieces


def slipped_set(pieces: list[Piece], draw: Random) -> list[Piece]:
    """One end opened or closed, or one piece forgotten."""
    at = draw.randrange(len(pieces))
    if len(pieces) > 1 and draw.random() < 0.2:
        return pieces[:at] + pieces[at + 1 :]
    low, has_low, high, has_high = pieces[at]
    if low > -FAR and (high == FAR or draw.random() < 0.5):
        return [*pieces[:at], (low, not has_low, high, has_high), *pieces[at + 1 :]]
    return [*pieces[:at], (low, has_low, high, not has_high), *pieces[at + 1 :]] if high < FAR else pieces


def written(pieces: list[Piece], draw: Random) -> str:
    pieces = draw.sample(pieces, len(pieces))
    conditions = [condition(piece, draw) for piece in pieces]
    if draw.random() < 0.5 and "" not in conditions:
        text = draw.choice([" or ", r"\text{ or }"]).join(conditions)
        return text if draw.random() < 0.6 else rf"\{{x \mid {text}\}}"
    text = draw.choice([r"\cup ", " ∪ "]).join(interval(piece, draw) for piece in pieces)
    return text if draw.random() < 0.8 else rf"x \in {text}"


def number(end: int, draw: Random) -> str:
    if abs(end) == FAR:
        return r"-\infty" if end < 0 else draw.choice([r"\infty", r"+\infty"])
    return draw.choice([str(end), f"{end}.0", f"{3 * end}/3"])


def interval(piece: Piece, draw: Random) -> str:
    low, has_low, high, has_high = piece
    return f"{'[' if has_low else '('}{number(low, draw)}, {number(high, draw)}{']' if has_high else ')'}"


def condition(piece: Piece, draw: Random) -> str:
    low, has_low, high, has_high = piece
    upward = draw.choice([(r"\le ", "<"), ("<=", r"\lt ")])
    downward = draw.choice([(r"\geq ", ">"), (">=", r"\gt ")])
    if (low, high) == (-FAR, FAR):
        return ""
    if low == -FAR:
        return f"x{upward[not has_high]}{number(high, draw)}"
    if high == FAR:
        return f"x{downward[not has_low]}{number(low, draw)}"
    if draw.random() < 0.3:
        return f"{number(high, draw)}{downward[not has_high]}x{downward[not has_low]}{number(low, draw)}"
    return f"{number(low, draw)}{upward[not has_low]}x{upward[not has_high]}{number(high, draw)}"
