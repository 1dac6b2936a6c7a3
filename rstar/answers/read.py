"""Reads an answer as the kind of thing it is: number with unit, list, interval, equation, choice, text and so on."""

import re
from typing import TypeGuard

from rstar.answers import split
from rstar.answers.expression import Unreadable, read_expression
from rstar.answers.kinds import (
    Answer,
    Assignments,
    Combined,
    Group,
    Known,
    Many,
    Matrix,
    Member,
    Named,
    Opaque,
    Quantity,
    Relation,
    Scalar,
    Words,
)
from rstar.answers.leaves import READERS, measured, ratio
from rstar.answers.names import is_name, name_of
from rstar.answers.normalise import tidy
from rstar.answers.plusminus import expanded
from rstar.answers.python_repr import from_python

_MAX_DEPTH = 6
_MAX_MEMBERS = 64

_MATRIX = re.compile(
    r"(?:\((?=.*\)$)|\[(?=.*\]$))?\s*\\begin\{(p|b|v|B|V|small)?(?:matrix|array)\}(?:\{[clr|]*\})?(.*)"
    r"\\end\{\1?(?:matrix|array)\}\s*[)\]]?",
    re.DOTALL,
)
_CASES = re.compile(r"\\begin\{cases\}((?:(?!\\begin|\\text|\"|&(?!=)).)*)\\end\{cases\}", re.DOTALL)
_NAMED_MATRIX = re.compile(r"([^=]*)=\s*([(\[]?\s*\\begin\b.*)", re.DOTALL)
_ROW_END = re.compile(r"\\\\(?:\s*\[\s*-?[\d.]+\s*(?:pt|em|ex|mm|cm|in)\s*\])?|\\cr(?![A-Za-z])")
_IN = re.compile(r"\s*([A-Za-z](?:_\{?\w+\}?)?)\s*\\in(?![A-Za-z])\s*(.+)", re.DOTALL)
_BUILDER = re.compile(
    r"\\\{\s*([A-Za-z])\s*(?:\\in\s*\\reals\s*)?(?:\\mid(?![A-Za-z])|\||:|\\vert(?![A-Za-z]))\s*(.+)\\\}", re.DOTALL
)
_SET_OPERATORS = {"\\cup": "cup", "\\cap": "cap", "\\setminus": "minus"}
_RELATIONS = {"=": "=", "<": "<", ">": ">", "\\le": "le", "\\ge": "ge", "\\ne": "ne"}
_REFUSED = re.compile(
    r"\\(?:rightarrow|Rightarrow|Leftrightarrow|leftarrow|equiv|pmod|bmod|mod|forall|exists|partial|sim|perp|parallel|cong|mapsto|ldots)(?![A-Za-z])"
)
_QUOTED = re.compile(r"\"([^\"]*\d[^\"]*(?<!\d)[^\"\d]{2,})\"")  # \text{10:30 a.m.}, but no single letter as unit


def read(text: str) -> Answer:
    """What the answer `text`, as people write it, is. Never raises: what is not understood becomes Opaque."""
    try:
        return _item(from_python(tidy(from_python(text))), 0)
    except RecursionError:
        return Opaque(text, "guard:depth")


def _item(text: str, depth: int) -> Answer:
    text = _unwrapped(text)
    if (quoted := _QUOTED.fullmatch(text)) is not None:
        text = quoted.group(1).strip()
    if not text:
        return Opaque("", "empty")
    if depth > _MAX_DEPTH:
        return Opaque(text, "guard:depth")
    if _REFUSED.search(text):
        return Opaque(text, "ellipsis" if "\\ldots" in text else "unreadable")
    for reader in READERS:
        found = reader(text)
        if found is not None:
            return found
    for compound in (_matrix, _several, _set_expression, _membership, _bracketed, _relation):
        found = compound(text, depth)
        if found is not None:
            return found
    return ratio(text) or measured(text)


def _unwrapped(text: str) -> str:
    text = text.strip()
    text = re.sub(r"(?:\s|[.,;])+$", "", text)
    while text.startswith("{") and (whole := split.enclosed(text)) is not None and whole[0] == "{":
        if any(token in (",", ":") for _, token in split.outside(whole[1])) or not whole[1]:
            break
        text = whole[1].strip()
    return text


def _matrix(text: str, depth: int) -> Answer | None:
    if "\\begin" not in text:
        return None
    if (cases := _CASES.fullmatch(text)) is not None:  # a system
        lines = _ROW_END.split(cases.group(1).replace("&=", "="))
        return _item(", ".join(line for line in lines if line.strip()), depth + 1)
    if (named := _NAMED_MATRIX.fullmatch(text)) is not None and is_name(named.group(1)):
        return Named(name_of(named.group(1)), _item(named.group(2), depth + 1))
    match = _MATRIX.fullmatch(text)
    if match is None or "\\begin" in match.group(2):
        return Opaque(text)
    delimiter = match.group(1) if match.group(1) in ("v", "V") else ""
    rows = [row for row in _ROW_END.split(match.group(2).replace("\\hline", " ")) if row.strip()]
    cells = [[cell.strip() for cell in row.split("&")] for row in rows]
    if not cells or any(not cell for row in cells for cell in row) or len({len(row) for row in cells}) != 1:
        return Opaque(text)
    if sum(map(len, cells)) > _MAX_MEMBERS:
        return Opaque(text, "guard:members")
    return Matrix(tuple(tuple(_item(cell, depth + 1) for cell in row) for row in cells), delimiter)


def _several(text: str, depth: int) -> Answer | None:
    """Lists: by `or`, `;`, `and` and commas, outermost separator first."""
    alternatives = split.cut_words(text, "or")
    if len(alternatives) > 1:
        alternatives = [part.strip(" ,;") for part in alternatives]
        return _alternatives(alternatives, depth)
    parts = split.cut(text, frozenset({";"}))
    if len(parts) > 1:
        return _many(_members(parts, depth))
    parts = _pieces(text)
    if len(parts) < 2:
        return None
    members = _members(parts, depth)
    of_reals = [member for member in members if isinstance(member, Member) and member.of == Known("reals")]
    if of_reals:  # x \in R, x \ne 0
        members = tuple(member for member in members if member not in of_reals)
        if len(members) == 1 and _symbols(members[0]) == {of_reals[0].name}:
            return members[0]
        return Opaque(text, "membership")
    conditions = all(isinstance(member, Relation) and member.ops != ("=",) for member in members)
    if conditions and len(members) > 1 and "," not in text:
        return Combined("cap", members)
    return _many(members)


def _alternatives(parts: list[str], depth: int) -> Answer | None:
    """What stands between "or": conditions and rays as a union, points as points, else a list."""
    wholes = _members(parts, depth)
    names = {frozenset(whole.names if isinstance(whole, Assignments) else ()) for whole in wholes}
    if len(names) == 1 and names != {frozenset()}:
        return Many(wholes)
    if all(isinstance(whole, Group) and _is_interval(whole) for whole in wholes):
        return Combined("cup", wholes)
    members = _members([piece for part in parts for piece in _pieces(part)], depth)
    if members and all(isinstance(member, Relation | Combined | Known) for member in members):
        return Combined("cup", members) if len(members) == len(parts) else None
    found = _many(members)
    return Many(_flattened(members)) if isinstance(found, Assignments) else found  # x = 1 or y = 2: no point


def _is_interval(group: Group) -> bool:
    """Whether it cannot be a point: its brackets differ, or an end is infinite."""
    infinite = any(isinstance(member, Scalar) and member.node.has("inf") for member in group.members)
    return len(group.members) == 2 and (infinite or (group.opening, group.closing) in (("[", ")"), ("(", "]")))


def _pieces(text: str) -> list[str]:
    return [piece for part in split.cut_words(text, "and") for piece in split.cut_commas(part.rstrip(" ,").strip())]


def _members(parts: list[str], depth: int) -> tuple[Answer, ...]:
    if len(parts) > _MAX_MEMBERS:
        return (Opaque(",".join(parts), "guard:members"),)
    return tuple(_item(part, depth + 1) for part in parts)


def _many(members: tuple[Answer, ...]) -> Answer:
    """A list; names of values are pulled out: `x = 2, 3`, `x = 2 or x = 3`, `x = 1, y = 2`."""
    flat = _flattened(members)
    named = [member for member in flat if isinstance(member, Named)]
    if len(named) == len(flat) > 1:
        names = tuple(member.name for member in named)
        if len(set(names)) == len(names):
            return Assignments(names, tuple(member.value for member in named))
    if named and isinstance(flat[0], Named) and len({member.name for member in named}) == 1:
        values = _flattened(tuple(member.value if isinstance(member, Named) else member for member in flat))
        if all(isinstance(value, Scalar | Quantity | Group | Words) for value in values):
            return Many(values, name=flat[0].name)
    return Many(flat)


def _is_plain_list(member: Answer) -> TypeGuard[Many]:
    return isinstance(member, Many) and not member.is_set and not member.name


def _set_expression(text: str, depth: int) -> Answer | None:
    operators = [token for _, token in split.outside(text) if token in _SET_OPERATORS]
    text_parts = split.cut(text, frozenset(_SET_OPERATORS))
    if not operators and re.match(r"\\reals\s*-", text):
        operators, text_parts = ["\\setminus"], list(re.split(r"(?<=\\reals)\s*-", text, maxsplit=1))
    if not operators:
        return None
    name = _IN.fullmatch(text_parts[0])
    if name is not None:
        text_parts[0] = name.group(2)
    if len(set(operators)) != 1 or (operators[0] == "\\setminus" and len(text_parts) != 2):
        return Opaque(text, "set_operators")
    whole = Combined(_SET_OPERATORS[operators[0]], _members(text_parts, depth))
    return Member(name.group(1), whole) if name is not None else whole


def _membership(text: str, depth: int) -> Answer | None:
    if (match := _BUILDER.fullmatch(text)) is not None:
        inner = _item(match.group(2), depth + 1)
        is_condition = isinstance(inner, Relation | Combined | Known) and _symbols(inner) <= {match.group(1)}
        return inner if is_condition else Opaque(text, "set_builder")
    if (match := _IN.fullmatch(text)) is not None:
        inner = _item(match.group(2), depth + 1)
        is_set = isinstance(inner, Combined | Known | Group) or (isinstance(inner, Many) and inner.is_set)
        return Member(match.group(1), inner) if is_set else Opaque(text, "membership")
    return Opaque(text, "membership") if "\\in " in text else None


def _symbols(condition: Answer) -> frozenset[str]:
    if isinstance(condition, Combined):
        return frozenset[str]().union(*map(_symbols, condition.parts))
    if isinstance(condition, Relation):
        return frozenset[str]().union(*(member.symbols() for member in condition.members))
    return frozenset()


def _bracketed(text: str, depth: int) -> Answer | None:
    whole = split.enclosed(text)
    if whole is None:
        return None
    opening, inside, closing = whole
    if opening in ("\\lfloor", "\\lceil", "\\lvert", "\\begin"):
        return None
    parts = split.cut_commas(inside) if inside else []
    if len(parts) == 1 and len(split.cut(inside, frozenset({","}))) > 1 and opening != "\\{":
        parts = split.cut(inside, frozenset({","}))  # (100,200) is a pair, never thousands
    if opening in ("\\{", "{"):
        if any(not part.strip() for part in parts):
            return Opaque(text)
        return Many(
            _flattened(_members([piece for part in parts for piece in split.cut(part, frozenset({";"}))], depth)),
            is_set=True,
        )
    if len(parts) == 1:
        if opening == "(" and closing == ")":
            inner = _item(inside, depth + 1)
            return None if isinstance(inner, Scalar | Opaque) else inner
        if opening == "[" and closing == "]":
            inner = _item(inside, depth + 1)
            return Many((inner,)) if not isinstance(inner, Opaque) else None
        return None
    if any(not part.strip() for part in parts):
        return Opaque(text)
    members = _members(parts, depth)
    if opening == "(" and _tuple_of_numbers_with_list(members):
        return Opaque(text)
    return Group({"\\langle": "("}.get(opening, opening), members, {"\\rangle": ")"}.get(closing, closing))


def _tuple_of_numbers_with_list(members: tuple[Answer, ...]) -> bool:
    """(±1, 2) has no single reading as a tuple."""
    return any(_is_plain_list(member) for member in members)


def _flattened(members: tuple[Answer, ...]) -> tuple[Answer, ...]:
    flat: list[Answer] = []
    for member in members:
        flat.extend(member.members if _is_plain_list(member) else (member,))
    return tuple(flat)


def _relation(text: str, depth: int) -> Answer | None:
    text = re.split(r"\\approx(?![A-Za-z])", text)[0] if re.search(r"=.*\\approx", text) else text
    ops = [_RELATIONS[token] for _, token in split.outside(text) if token in _RELATIONS]
    if not ops:
        return None
    parts = [part.strip() for part in split.cut(text, frozenset(_RELATIONS))]
    if any(not part for part in parts):
        return Opaque(text)
    if set(ops) == {"="}:
        return _equation(parts, depth)
    try:
        sides = tuple(read_expression(part) for part in parts)
    except Unreadable:
        return Opaque(text)
    if ops == ["ne"] and sides[1].has("pm", "mp"):  # x is neither
        neither = tuple(Relation((sides[0], each), ("ne",)) for each in expanded(sides[1]))
        return Combined("cap", neither) if neither else Opaque(text, "plus_minus")
    return Relation(sides, tuple(ops))


def _equation(parts: list[str], depth: int) -> Answer:
    left, right = parts[0], parts[-1]
    text = "=".join(parts)
    if len(parts) > 2:  # x = 1 + 1 = 2 tells x; x = y = 2 tells two things
        if not is_name(left) or any(is_name(part) for part in parts[1:-1]):
            return Opaque(text, "chain")
        return Named(name_of(left), _item(right, depth + 1))
    names = split.enclosed(left)
    if names is not None and (names[0], names[2]) == ("(", ")") and "," in names[1]:
        keys = [key.strip() for key in split.cut(names[1], frozenset({","}))]
        values = _item(right, depth + 1)
        if all(is_name(key) for key in keys):
            if isinstance(values, Group) and len(values.members) == len(keys):
                is_tuple = (values.opening, values.closing) == ("(", ")")
                return Assignments(tuple(map(name_of, keys)), values.members) if is_tuple else Opaque(text)
            return Named(name_of(left), values) if isinstance(values, Many) else Opaque(text)
        return Opaque(text)
    if ":" in left and all(is_name(part) for part in left.split(":")):
        return Named(name_of(left), _item(right, depth + 1))
    try:
        sides = read_expression(left), read_expression(right)
    except Unreadable:
        sides = None
    if is_name(left) and not (sides is not None and is_name(right) and sides[1].op == "sym"):
        value = _item(right, depth + 1)
        if not isinstance(value, Opaque):
            return Named(name_of(left), value)
        return Opaque(text, value.reason)
    if sides is None:
        return Opaque(text)
    if is_name(right) and (sides[1].op == "call" or not sides[0].symbols()):
        return Named(name_of(right), _item(left, depth + 1))
    return Relation(sides, ("=",))
