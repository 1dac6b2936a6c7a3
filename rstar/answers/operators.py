"""Cuts definite integrals, limits, sums and derivatives out of a tidied expression, innermost first, or refuses."""

import re
from dataclasses import dataclass, replace

from rstar.answers.expression import Unreadable
from rstar.answers.lexer import FUNCTIONS

_OPERATOR = re.compile(
    r"\\(?P<name>int|sum|lim)(?![A-Za-z])|\\frac\s*\{\s*d\s*\}\s*\{\s*d\s*(?P<by>[A-Za-z])\s*\}|\\frac\s*d\s*\{\s*d\s*[A-Za-z]\s*\}"
)
_MARK = re.compile(r"\\(?:int|lim|sum|frac\s*\{\s*d\s*\})(?![A-Za-z])")
_LETTER = re.compile(r"\s*(\\[A-Za-z]+|[A-Za-z])\s*")
_INDEXED = re.compile(r"\s*(\\[A-Za-z]+|[A-Za-z])\s*=(.+)", re.DOTALL)
_APPROACHED = re.compile(
    r"\s*(\\[A-Za-z]+|[A-Za-z])\s*\\rightarrow\s*(.+?)\s*(?:\^\s*\{?\s*([+-])\s*\}?)?\s*", re.DOTALL
)
_OVER_DIFFERENTIAL = re.compile(r"\s*\\frac\s*\{([^{}]*?)d\s*([A-Za-z])\s*\}\s*(?=\{)")
_SCRIPT = re.compile(r"\s*([_^])\s*(?:(?P<brace>\{)|(?P<one>\\[A-Za-z]+|[A-Za-z0-9]))")
_PIECE = re.compile(r"\\[A-Za-z]+|[A-Za-z]+|.", re.DOTALL)
_FACTOR = re.compile(r"(\\pi|(?<![A-Za-z\\])[A-Za-z])\s*$")
_FRESH = "tuvwqpkmnrlszyxbcajo"  # never d, e, i nor a letter that a bracket makes a function
_MAX_OPERATORS = 4
_OPEN, _CLOSE = "([{", ")]}"


@dataclass(frozen=True, slots=True)
class Operator:
    """`kind` (int, sum, lim, diff) of `body` over the letter `bound`, which occurs nowhere else.

    `low` and `high` are bounds; for a limit `low` is where to and `high` the side (`+`, `-` or empty); for a
    derivative `low` is where at.
    """

    kind: str
    bound: str
    low: str
    high: str
    body: str
    letter: str = ""  # as the text names `bound`


@dataclass(frozen=True, slots=True)
class Cut:
    """An expression without operators, and what each placeholder letter in it (or in a body) stands for."""

    text: str
    operators: dict[str, Operator]


def has_operator(text: str) -> bool:
    """Whether `text` is worth cutting."""
    return _MARK.search(text) is not None


def cut(text: str) -> Cut:
    """`text` (tidied) with every operator replaced by a letter. Raises Unreadable where an extent is not certain."""
    letters = iter([letter for letter in _FRESH if letter not in re.sub(r"\\[A-Za-z]+", "", text)])
    operators: dict[str, Operator] = {}
    while (found := _last(text)) is not None:
        fresh, bound = next(letters, None), next(letters, None)
        if fresh is None or bound is None or len(operators) >= _MAX_OPERATORS:
            raise Unreadable("too many letters or operators")
        name = found["name"]
        if name == "int":
            operator, end = _integral(text, found.end(), bound)
        elif name in ("sum", "lim"):
            operator, end = _over_term(text, found.end(), bound, name)
        elif found["by"] is not None:
            operator, end = _derivative(text, found.end(), bound, found["by"])
        else:
            raise Unreadable("a derivative")
        _rename_inside(operator, text[found.start() : end], operators)
        operators[fresh] = operator
        before = _FACTOR.sub(r"\1 \\cdot ", text[: found.start()])  # a letter before a bracket may be a function
        text = f"{before}({fresh}){text[end:]}"
    return Cut(text, operators)


def _last(text: str) -> re.Match[str] | None:
    return max(_OPERATOR.finditer(text), key=re.Match.start, default=None)


def _integral(text: str, at: int, bound: str) -> tuple[Operator, int]:
    scripts, at = _scripts(text, at)
    if set(scripts) != {"_", "^"}:
        raise Unreadable("an integral without bounds")
    over = _OVER_DIFFERENTIAL.match(text, at)
    if over is not None:
        end = _group_end(text, over.end())
        body = rf"\frac{{{over[1].strip() or '1'}}}{text[over.end() : end]}"
        return Operator("int", bound, scripts["_"], scripts["^"], _renamed(body, over[2], bound), over[2]), end
    depth, place, pieces = 0, at, list(_PIECE.finditer(text, at))
    for piece in pieces:
        word, place = piece.group(), piece.start()
        depth += (word in _OPEN) - (word in _CLOSE)
        if depth < 0:
            break
        if depth or not word.isalpha() or word[-1] == "d" == word[-2:-1]:
            continue
        variable, end = None, piece.end()
        if len(word) > 1 and word[-2] == "d":
            variable, place = word[-1], piece.end() - 2
        elif word[-1] == "d" and (letter := _LETTER.match(text, end)) is not None:
            variable, place, end = letter[1], piece.end() - 1, letter.end()
        if variable is not None:
            body = text[at:place].strip() or "1"
            return Operator("int", bound, scripts["_"], scripts["^"], _renamed(body, variable, bound), variable), end
    raise Unreadable("an integral without a differential")


def _over_term(text: str, at: int, bound: str, name: str) -> tuple[Operator, int]:
    scripts, at = _scripts(text, at)
    if name == "sum":
        index = _INDEXED.fullmatch(scripts.get("_", ""))
        if index is None or "^" not in scripts:
            raise Unreadable("a sum without bounds")
        letter, low, high = index[1], index[2], scripts["^"]
    else:
        approached = _APPROACHED.fullmatch(scripts.get("_", ""))
        if approached is None or "^" in scripts:
            raise Unreadable("a limit of nothing")
        letter, low, high = approached[1], approached[2], approached[3] or ""
    body, end = _term(text, at, letter)
    return Operator(name, bound, low, high, _renamed(body, letter, bound), letter), end


def _derivative(text: str, at: int, bound: str, letter: str) -> tuple[Operator, int]:
    body, end = _term(text, at, letter)
    if body.startswith("(") and _group_end(body, 0) != len(body):
        raise Unreadable("a derivative of a product, or a product with a derivative")
    return Operator("diff", bound, letter, "", _renamed(body, letter, bound), letter), end


def _term(text: str, at: int, letter: str) -> tuple[str, int]:
    """From `at` up to the next sign on this level. Where what follows holds `letter` it may belong to the term too."""
    depth, stop, end = 0, 0, len(text)
    for piece in _PIECE.finditer(text, at):
        word = piece.group()
        if depth == 0 and word in ("+", "-", "=", ",", "<", ">", ":", ";", "\\pm", "\\mp") and not stop:
            stop = piece.start()
        depth += (word in _OPEN) - (word in _CLOSE)
        if depth < 0:
            end = piece.start()
            break
    body, rest = text[at : stop or end].strip(), text[stop or end : end]
    if not body or (rest and (letter.startswith("\\") or letter in rest)):
        raise Unreadable("where the term ends")
    return body, stop or end


def _scripts(text: str, at: int) -> tuple[dict[str, str], int]:
    found: dict[str, str] = {}
    while (match := _SCRIPT.match(text, at)) is not None and match[1] not in found:
        at = match.end()
        if match["brace"] is not None:
            at = _group_end(text, at - 1)
            found[match[1]] = text[match.end() : at - 1]
        else:
            found[match[1]] = match["one"]
    return found, at


def _group_end(text: str, at: int) -> int:
    """Behind the bracket that closes the one at `at`."""
    opened = ""
    for place in range(at, len(text)):
        if text[place] in _OPEN:
            opened += text[place]
        elif text[place] in _CLOSE:
            if _OPEN.find(opened[-1:]) != _CLOSE.find(text[place]):
                break
            opened = opened[:-1]
        if not opened:
            return place + 1
    raise Unreadable("brackets")


def _rename_inside(operator: Operator, segment: str, operators: dict[str, Operator]) -> None:
    """The letter that `operator` binds is also bound in what stands for parts of its body."""
    for name in [name for name in operators if re.search(rf"\({name}\)", segment)]:
        inner = operators[name]
        if name not in operator.body and operator.kind != "diff":
            continue  # in a bound, where the letter is a free one
        fields = {key: _renamed(getattr(inner, key), operator.letter, operator.bound) for key in ("low", "body")}
        if inner.kind in ("int", "sum"):
            fields["high"] = _renamed(inner.high, operator.letter, operator.bound)
        operators[name] = replace(inner, **fields)
        _rename_inside(operator, fields["low"] + fields.get("high", "") + fields["body"], operators)


def _renamed(body: str, letter: str, fresh: str) -> str:
    """`body` with the bound letter renamed, so that it is no free letter's, index i or number e."""
    if letter in ("d", "e", "\\infty", "\\pi"):
        raise Unreadable(f"the bound letter {letter!r}")
    parts = []
    for piece in _PIECE.finditer(body):
        word = piece.group()
        is_name = word.isalpha() and word not in FUNCTIONS
        if word == letter or (is_name and letter in word):
            if re.match(r"\s*[_']", body[piece.end() :]) or (len(word) > 3 and is_name):
                raise Unreadable("a decorated or unknown name")
            word = f" {fresh} " if word == letter else word.replace(letter, fresh)
        parts.append(word)
    return "".join(parts)
