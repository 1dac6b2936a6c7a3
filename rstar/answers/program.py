"""Tests of a program, taken apart so that no program can pass them by anything but its values.

A program that shares a process with its tests can forge their outcome: it can patch `assert`'s exception, return an
object that equals everything, exit, or read what is expected. So a test is cut in two. The program's process is only
asked to compute, and says what came out as plain literals; a process that never saw the program reads these literals
and holds them against what is expected. Pure: what runs where is the caller's business (`rstar.engine.verifiers`).
"""

import ast
import builtins
import sys
from dataclasses import dataclass
from functools import lru_cache

SEEN = "_seen"
"""In the judging process: SEEN[i] is the list of values that test i asked the program for."""
_BUILTIN = frozenset(dir(builtins))
_LONGEST = 100_000
_TELL = """
def _tell(values, longest):
    import builtins as b, numbers
    def text(v):
        kind = b.type(v)
        if v is None or kind in (b.bool, b.int, b.str, b.bytes, b.complex):
            return b.repr(v)
        if b.isinstance(v, b.str):
            return b.repr(b.str.__str__(v))
        if b.isinstance(v, b.dict):
            return "{" + ", ".join([text(k) + ": " + text(w) for k, w in b.dict.items(v)]) + "}"
        if b.isinstance(v, b.list):
            return "[" + ", ".join([text(w) for w in v]) + "]"
        if b.isinstance(v, b.tuple):
            return "(" + "".join([text(w) + ", " for w in v]) + ")"
        if b.isinstance(v, (b.set, b.frozenset)):
            return "{" + ", ".join([text(w) for w in v]) + "}" if v else "set()"
        if b.isinstance(v, numbers.Integral):
            return b.repr(b.int(v))
        if b.isinstance(v, numbers.Real) and b.float(v) == v:
            return b.repr(b.float(v)).replace("inf", "1e999")
        raise b.LookupError
    try:
        told = text(values)
    except b.LookupError:
        return None
    return told if b.len(b.repr(told)) <= longest else None
"""
"""Values as literals: subclasses as what they extend, numbers of other types as Python's."""


@dataclass(frozen=True, slots=True)
class Test:
    """`asked` are expressions for the program's process; `claim` is an assertion over their values."""

    asked: tuple[str, ...]
    claim: str

    def question(self, longest: int) -> str:
        """Code for the program's process; its value is the text of the values' list, or None where they are not
        literals or their text is longer than `longest`."""
        return f"{_TELL}\n_tell([{', '.join(self.asked)}], {longest})"


@dataclass(frozen=True, slots=True)
class Suite:
    """The tests of one problem. `setup` runs behind the program; `prelude` is what the judge needs of it."""

    setup: str
    prelude: str
    tests: tuple[Test, ...]

    def hearing(self, said: list[str]) -> str:
        """Code for the judging process: reads what the program said (the values of its questions, as shown)."""
        return f"{self.prelude}\nimport ast\n{SEEN} = [ast.literal_eval(ast.literal_eval(text)) for text in {said!r}]"


@lru_cache(maxsize=4096)
def suite(source: str) -> Suite:
    """The tests in `source`: its assertions, and everything else as their setup. Raises ValueError on what is none."""
    if len(source) > _LONGEST:
        raise ValueError(f"the tests are longer than {_LONGEST:,} characters")
    try:
        body = ast.parse(source).body
    except (SyntaxError, RecursionError, MemoryError, ValueError) as error:
        raise ValueError(f"not Python ({error})") from error
    setup = ast.Module([line for line in body if not isinstance(line, ast.Assert)], [])
    claims = [line for line in body if isinstance(line, ast.Assert)]
    if not claims:
        raise ValueError("there is no assertion in it")
    own = set() if _needs_program(setup) else _bound(setup)
    modules = _modules(claims) - own
    cut = [_Cut(number, own | modules).test(line) for number, line in enumerate(claims)]
    imports = "".join(f"import {name}\n" for name in sorted(modules))
    text = ast.unparse(setup)
    return Suite(text, imports + (text if own else ""), tuple(cut))


def shown(source: str, count: int) -> list[str]:
    """The first `count` assertions of tests, as they are written."""
    body = ast.parse(source).body
    lines = (ast.get_source_segment(source, line) or "" for line in body if isinstance(line, ast.Assert))
    return [line.strip() for line in lines][:count]


class _Cut:
    """Takes assertion `number` apart; `known` are names that are not the program's."""

    def __init__(self, number: int, known: set[str]):
        self.number = number
        self.known = known
        self.asked: list[str] = []

    def test(self, line: ast.Assert) -> Test:
        claim = self._truth(line.test)
        if not self.asked and isinstance(line.test, ast.Compare):
            # No name but builtins: the program has a function by the name of one.
            claim = ast.Compare(self._ask(line.test.left), line.test.ops, line.test.comparators)
        if not self.asked:
            raise ValueError(f"{ast.unparse(line)!r} asks the program for nothing")
        return Test(tuple(self.asked), f"assert {ast.unparse(claim)}")

    def _truth(self, node: ast.expr) -> ast.expr:
        """An expression of which only the truth counts."""
        match node:
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return ast.UnaryOp(ast.Not(), self._truth(operand))
            case ast.BoolOp(op=op, values=values):
                return ast.BoolOp(op, [self._truth(value) for value in values])
            case ast.Compare(left=left, ops=ops, comparators=others):
                return ast.Compare(self._operand(left), ops, [self._operand(other) for other in others])
            case ast.Call(func=func, args=args, keywords=keywords) if not self._free(func):
                named = [ast.keyword(word.arg, self._operand(word.value)) for word in keywords]
                return ast.Call(func, [self._operand(arg) for arg in args], named)
        return self._operand(node)

    def _operand(self, node: ast.expr) -> ast.expr:
        return self._ask(node) if self._free(node) else node

    def _ask(self, node: ast.expr) -> ast.expr:
        self.asked.append(ast.unparse(node))
        return ast.parse(f"{SEEN}[{self.number}][{len(self.asked) - 1}]", mode="eval").body

    def _free(self, node: ast.AST) -> set[str]:
        return _loaded(node) - self.known - _BUILTIN - _bound(node)


def _loaded(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def _bound(node: ast.AST) -> set[str]:
    """Names that a piece of code binds itself: by assignment, definition, import, as an argument."""
    names: set[str] = set()
    for n in ast.walk(node):
        match n:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                names.add(name)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.alias(name=name, asname=other):
                names.add((other or name).partition(".")[0])
    return names


def _needs_program(setup: ast.Module) -> bool:
    return bool(_loaded(setup) - _bound(setup) - _BUILTIN)


def _modules(claims: list[ast.Assert]) -> set[str]:
    """Modules of the standard library that assertions use by name."""
    bases = [n.value for line in claims for n in ast.walk(line) if isinstance(n, ast.Attribute)]
    return {base.id for base in bases if isinstance(base, ast.Name)} & sys.stdlib_module_names
