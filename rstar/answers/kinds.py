"""What an answer can be. Every kind is a frozen record; comparing them is `rstar.answers.equal`'s work."""

from dataclasses import dataclass
from typing import TypeAlias

from rstar.answers.tree import Node


@dataclass(frozen=True, slots=True)
class Scalar:
    """An expression."""

    node: Node


@dataclass(frozen=True, slots=True)
class Quantity:
    """An expression with a unit: `cm`, `%`, `deg`, or `~word` for a noun that is no known unit."""

    node: Node
    unit: str


@dataclass(frozen=True, slots=True)
class Words:
    """Text, in canonical words."""

    text: str


@dataclass(frozen=True, slots=True)
class Choice:
    """Letters of the options chosen, in the order written, with the option's text if it was repeated."""

    letters: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Based:
    """Digits in a base that is written out."""

    digits: str
    base: int


@dataclass(frozen=True, slots=True)
class Clock:
    """A time of day in seconds; `half` is am, pm or empty."""

    seconds: int
    half: str


@dataclass(frozen=True, slots=True)
class Ratio:
    """`a:b:c`."""

    parts: tuple[Node, ...]
    clock: Clock | None = None  # how the same text reads as a time


@dataclass(frozen=True, slots=True)
class Group:
    """Ordered members in brackets: a tuple, an interval or a vector."""

    opening: str
    members: tuple["Answer", ...]
    closing: str


@dataclass(frozen=True, slots=True)
class Many:
    """Unordered members: a list of solutions, or a set (then repeated members count once)."""

    members: tuple["Answer", ...]
    is_set: bool = False
    name: str = ""  # "x = 2, 3" names what the members are values of


@dataclass(frozen=True, slots=True)
class Named:
    """`name = value`."""

    name: str
    value: "Answer"


@dataclass(frozen=True, slots=True)
class Assignments:
    """Distinct names with their values, in the order written."""

    names: tuple[str, ...]
    values: tuple["Answer", ...]


@dataclass(frozen=True, slots=True)
class Relation:
    """A chain `members[0] ops[0] members[1] ...`; operations are = < > le ge ne."""

    members: tuple[Node, ...]
    ops: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Combined:
    """Sets or conditions joined by union, intersection or difference."""

    op: str
    parts: tuple["Answer", ...]


@dataclass(frozen=True, slots=True)
class Member:
    """`name \\in of`."""

    name: str
    of: "Answer"


@dataclass(frozen=True, slots=True)
class Known:
    """The real line (`reals`) or the empty set (`empty`)."""

    name: str


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows of entries; `delimiter` tells a determinant from a matrix."""

    rows: tuple[tuple["Answer", ...], ...]
    delimiter: str = ""


@dataclass(frozen=True, slots=True)
class Opaque:
    """Not understood: equal to the same text, otherwise undecided."""

    text: str
    reason: str = "unreadable"


Answer: TypeAlias = (
    Scalar
    | Quantity
    | Words
    | Choice
    | Based
    | Clock
    | Ratio
    | Group
    | Many
    | Named
    | Assignments
    | Relation
    | Combined
    | Known
    | Member
    | Matrix
    | Opaque
)
