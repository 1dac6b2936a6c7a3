"""Countdown: what a program of moves comes to, read from its source and replayed here.

Given numbers are combined, two at a time, until one is left, which should be the target. A move is a call such as
`use("*", 8, 3)`, and a solution is nothing but moves. Since the program is read and not run, nothing that it prints,
redefines or forges can count.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from rstar.core.verdict import Judgement, Verdict

Numbers = tuple[int, ...]
"""What is left, the largest first."""

CALL = "use"
OPERATORS = ("+", "-", "*", "/")
LARGEST = 99
"""No number is larger; none is negative or broken either."""
_LONGEST = 10_000


@dataclass(frozen=True, slots=True)
class Move:
    """Two numbers that become one."""

    operator: str
    a: int
    b: int

    @property
    def source(self) -> str:
        return f'{CALL}("{self.operator}", {self.a}, {self.b})'

    @property
    def value(self) -> int | None:
        """What the two become; None where that is not a whole number from 0 to LARGEST."""
        match self.operator:
            case "+":
                value = self.a + self.b
            case "-":
                value = self.a - self.b
            case "*":
                value = self.a * self.b
            case "/" if self.b and self.a % self.b == 0:
                value = self.a // self.b
            case _:
                return None
        return value if 0 <= value <= LARGEST else None


@dataclass(frozen=True, slots=True)
class Puzzle:
    """The numbers that are given, and what is to be made of all of them."""

    numbers: Numbers
    target: int

    def __str__(self) -> str:
        return " ".join(map(str, (*self.numbers, "->", self.target)))

    @classmethod
    def read(cls, text: str) -> "Puzzle":
        """The inverse of `str`. Raises ValueError on any other text."""
        numbers, arrow, target = text.partition("->")
        if not arrow or not all(word.isascii() and word.isdigit() for word in (*numbers.split(), target.strip())):
            raise ValueError(f"not a puzzle such as `8 7 5 3 -> 24`: {text!r}")
        return cls(ordered(map(int, numbers.split())), int(target))


def ordered(numbers: Iterator[int] | Numbers | list[int]) -> Numbers:
    """Numbers as they are shown, the largest first."""
    return tuple(sorted(numbers, reverse=True))


def after(numbers: Numbers, move: Move) -> Numbers | None:
    """What is left behind a move; None where it is not allowed."""
    rest = list(numbers)
    for used in (move.a, move.b):
        if used not in rest:
            return None
        rest.remove(used)
    value = move.value
    return None if value is None else ordered([*rest, value])


def moves_of(program: str) -> list[Move] | None:
    """The moves that a program consists of; None where anything else stands in it."""
    if len(program) > _LONGEST:
        return None
    try:
        body = ast.parse(program).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    moves = [_move(statement) for statement in body]
    return None if None in moves else [move for move in moves if move is not None]


def _move(statement: ast.stmt) -> Move | None:
    match statement:
        case ast.Expr(ast.Call(ast.Name(name), [ast.Constant(operator), ast.Constant(a), ast.Constant(b)], [])) if (
            name == CALL and operator in OPERATORS and type(a) is int and type(b) is int
        ):
            return Move(operator, a, b)
    return None


def judge(reference: str, program: str) -> Judgement:
    """Whether a program uses every number of the puzzle `reference` exactly once and ends at its target.

    Raises ValueError where the reference is no puzzle.
    """
    puzzle = Puzzle.read(reference)
    moves = moves_of(program)
    if moves is None:
        return _wrong("other_code")
    left = puzzle.numbers
    for move in moves:
        rest = after(left, move)
        if rest is None:
            return _wrong("illegal")
        left = rest
    if len(left) != 1:
        return _wrong("unused")
    return Judgement(Verdict.EQUIVALENT, "countdown:reached") if left[0] == puzzle.target else _wrong("missed")


def _wrong(rule: str) -> Judgement:
    return Judgement(Verdict.DIFFERENT, f"countdown:{rule}")


def claim(program: str) -> str | None:
    """The number that a program's last move makes: what a solution says, and what is voted on."""
    moves = moves_of(program)
    return None if not moves or moves[-1].value is None else str(moves[-1].value)


def same(left: str, right: str) -> bool:
    """Whether two programs come to the same number."""
    said = claim(left)
    return said is not None and said == claim(right)
