"""The tree of an expression."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Node:
    """An operation with its arguments; `num` carries `value` (and the digits of a decimal), `sym` and `call` a name.

    Operations: num sym pi e i inf, add mul div neg pow fact fact2 binom root(radicand, degree) log(x, base) degree
    pm mp, abs floor ceil, the names in `lexer.FUNCTIONS`, call(name, arguments), sum and prod(index, from, to, body).
    """

    op: str
    args: tuple["Node", ...] = ()
    name: str = ""
    value: Fraction = Fraction(0)
    digits: int = 0

    def symbols(self) -> frozenset[str]:
        """Names of the free symbols."""
        if self.op == "sym":
            return frozenset({self.name})
        inner = frozenset[str]().union(*(each.symbols() for each in self.args))
        return inner - {self.args[0].name} if self.op in ("sum", "prod") else inner

    def walk(self) -> Iterator["Node"]:
        """This node and all below it."""
        yield self
        for each in self.args:
            yield from each.walk()

    def has(self, *ops: str) -> bool:
        """Whether any of the operations occurs."""
        return self.op in ops or any(each.has(*ops) for each in self.args)


def number(value: int | Fraction) -> Node:
    """A number as a node."""
    return Node("num", value=Fraction(value))
