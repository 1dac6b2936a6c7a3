"""Rewrites what Python and sympy print (`FiniteSet(2, 3)`, `{x: 3}`, `Matrix([[1], [2]])`) in mathematical notation."""

import re

from rstar.answers.split import arguments, cut, enclosed

_WRAPPERS = re.compile(r"\b(?:np|numpy|sp|sympy|math|mpmath)\.(?=[A-Za-z])")
_CAST = re.compile(r"\b(?:Integer|Float|Decimal|mpf|float64|float32|int64|int32|float|array|Tuple|tuple|list|sorted)\(")
_SET_CALL = re.compile(r"(?:FiniteSet|set|frozenset)\((.*)\)")
_INTERVAL = re.compile(r"Interval(?:\.(open|Lopen|Ropen))?\((.*)\)")
_UNION = re.compile(r"(Union|Intersection|Complement)\((.*)\)")
_RELATION = re.compile(r"(Eq|Ne|Lt|Le|Gt|Ge|StrictLessThan|LessThan|StrictGreaterThan|GreaterThan)\((.*)\)")
_MATRIX = re.compile(r"(?:Mutable|Immutable)?(?:Dense)?Matrix\((.*)\)")
_SIGNS = {"Eq": "=", "Ne": r"\ne ", "Lt": "<", "Le": r"\le ", "Gt": ">", "Ge": r"\ge ", "StrictLessThan": "<",
          "LessThan": r"\le ", "StrictGreaterThan": ">", "GreaterThan": r"\ge "}  # fmt: skip
_EMPTY = frozenset({"EmptySet", "S.EmptySet", "EmptySet()", "set()", "{}", "[]", "()", "FiniteSet()"})
_LOGIC = {"&": r" and ", "|": r" or "}


def from_python(text: str, depth: int = 0) -> str:
    """`text` in mathematical notation where it is a Python form, else unchanged."""
    text = text.strip()
    if depth > 8 or "\\begin" in text:
        return text
    text = _WRAPPERS.sub("", text)
    if text in _EMPTY:
        return r"\emptyset"
    if text in ("Reals", "S.Reals", "Interval(-oo, oo)"):
        return r"\reals"
    if (match := _SET_CALL.fullmatch(text)) is not None:
        inner = match.group(1).strip()
        whole = enclosed(inner)
        inner = whole[1] if whole is not None and whole[0] in ("{", "[") else inner
        return "\\{" + ", ".join(from_python(part, depth + 1) for part in arguments(inner)) + "\\}"
    if (match := _INTERVAL.fullmatch(text)) is not None:
        return _interval(match.group(1), match.group(2), text)
    if (match := _UNION.fullmatch(text)) is not None:
        sign = {"Union": r" \cup ", "Intersection": r" \cap ", "Complement": r" \setminus "}[match.group(1)]
        return sign.join(from_python(part, depth + 1) for part in arguments(match.group(2)))
    if (match := _RELATION.fullmatch(text)) is not None and len(sides := arguments(match.group(2))) == 2:
        return _SIGNS[match.group(1)].join(sides)
    if (match := _MATRIX.fullmatch(text)) is not None:
        return _matrix(match.group(1)) or text
    if (match := _CAST.match(text)) is not None and (whole := enclosed(text[match.end() - 1 :])) is not None:
        return from_python(whole[1].strip("'\" "), depth + 1)
    if "\\" not in text and re.search(r"[<>=)]\s*[&|]\s*\(", text):
        return _logic(text)
    return _collection(text, depth)


def _interval(kind: str | None, inside: str, text: str) -> str:
    ends = arguments(inside)
    open_left, open_right = kind in ("open", "Lopen"), kind in ("open", "Ropen")
    if len(ends) == 4 and kind is None:
        open_left, open_right = ends[2] in ("True", "true"), ends[3] in ("True", "true")
    elif len(ends) != 2:
        return text
    open_left, open_right = open_left or ends[0] == "-oo", open_right or ends[1] == "oo"
    return f"{'(' if open_left else '['}{ends[0]}, {ends[1]}{')' if open_right else ']'}"


def _matrix(inside: str) -> str | None:
    whole = enclosed(inside.strip())
    if whole is None or whole[0] != "[":
        return None
    rows = []
    for row in arguments(whole[1]):
        cells = enclosed(row)
        rows.append(" & ".join(arguments(cells[1])) if cells is not None and cells[0] == "[" else row)
    return r"\begin{pmatrix}" + r" \\ ".join(rows) + r"\end{pmatrix}"


def _logic(text: str) -> str:
    pieces = cut(text, frozenset(_LOGIC))
    signs = [char for char in re.sub(r"\([^()]*\)", "", text) if char in _LOGIC]
    if len(set(signs)) != 1:
        return text
    return _LOGIC[signs[0]].join(re.sub(r"^\((.*)\)$", r"\1", piece.strip()) for piece in pieces)


def _collection(text: str, depth: int) -> str:
    """`{x: 3}` as `x = 3`, `[{x: 3}]` as its only solution; members of other collections rewritten one by one."""
    whole = enclosed(text)
    if whole is None or whole[0] not in ("{", "[", "(") or len(whole[1]) == 0:
        return text
    opening, inside, closing = whole
    if opening == "{" and "\\" not in text and closing == "}":
        pairs = [cut(part, frozenset({":"})) for part in arguments(inside)]
        if all(len(pair) == 2 and re.fullmatch(r"\s*'?[A-Za-z]\w*'?\s*", pair[0]) for pair in pairs):
            return ", ".join(f"{pair[0].strip().strip(chr(39))} = {from_python(pair[1], depth + 1)}" for pair in pairs)
    if opening == "[" and closing == "]":
        parts = arguments(inside)
        if len(parts) >= 1 and all(part.startswith("{") and ":" in part for part in parts):
            return "; ".join(from_python(part, depth + 1) for part in parts)
    if re.search(r"(?:Rational|Fraction|Integer|Float|Decimal|Matrix|Eq|FiniteSet|float64|int64|mpf)\(", inside):
        return opening + ", ".join(from_python(part, depth + 1) for part in arguments(inside)) + closing
    return text
