"""The tree of an expression."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Node:
    """An operation with its arguments; `num` carries `value` (and the digits of a decimal), `sym` and `call` a name.

    Operations: num sym pi e i inf, add mul div neg pow fact fact2 binom root(radicand, degree) log(x, base) degree
    pm mp, abs floor ceil, the names in `lexer.FUNCTIONS`, call(name, arguments), sum and prod(index, from, to, body).
    A log(x) of no base has the name "printed" where it was written as Python does, which means the natural one.
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

    def based(self, base: "Node") -> "Node":
        """With `base` as that of the logarithms which name none."""
        args = tuple(each.based(base) for each in self.args)
        if self.op == "log" and len(args) == 1:
            return Node("log", (args[0], base))
        return Node(self.op, args, self.name, self.value, self.digits)

    def bare_logs(self) -> frozenset[str]:
        """The names of the logarithms without a base."""
        return frozenset(node.name for node in self.walk() if node.op == "log" and len(node.args) == 1)

    def has(self, *ops: str) -> bool:
        """Whether any of the operations occurs."""
        return self.op in ops or any(each.has(*ops) for each in self.args)


def number(value: int | Fraction) -> Node:
    """A number as a node."""
    return Node("num", value=Fraction(value))
