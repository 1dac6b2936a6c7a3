"""Cuts tidied text at separators that stand outside all brackets."""

import re
from collections.abc import Iterator

_OPEN = ("\\{", "\\langle", "\\lfloor", "\\lceil", "\\lvert", "\\begin", "(", "[", "{")
_CLOSE = ("\\}", "\\rangle", "\\rfloor", "\\rceil", "\\rvert", "\\end", ")", "]", "}")
_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\"[^\"]*\"|.", re.DOTALL)
_THOUSANDS = re.compile(r"\s*[-+]?(?:\\currency\{\w+\})?\s*[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?(?!\d)")
_UNIT_BEHIND = re.compile(r"\s*(?:\"[^\",]*\"|[A-Za-z]{2,}|%|\\degree|\\currency\{\w+\})[^,]*")
_WORD = re.compile(r"\s*(?<![A-Za-z])(and|or)(?![a-z])")


def outside(text: str) -> Iterator[tuple[int, str]]:
    """The tokens of `text` outside brackets, with their places. Quoted words are one token."""
    depth = 0
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token in _OPEN:
            if depth == 0:
                yield match.start(), token
            depth += 1
        elif token in _CLOSE:
            depth -= 1
            if depth == 0:
                yield match.start(), token
        elif depth == 0:
            yield match.start(), token


def cut(text: str, separators: frozenset[str]) -> list[str]:
    """`text` cut at single-token separators."""
    parts, start = [], 0
    for place, token in outside(text):
        if token in separators:
            parts.append(text[start:place])
            start = place + len(token)
    parts.append(text[start:])
    return parts


def cut_commas(text: str) -> list[str]:
    """Cuts at commas, except those of thousands where the list shows by its other separators that they are."""
    commas = [place for place, token in outside(text) if token == ","]
    spaced = any(text[place + 1 : place + 2] == " " for place in commas)
    if not commas or (not spaced and _is_one_number(text)):
        return [text]
    parts, start = [], 0
    for place in commas:
        if place < start:
            continue
        if spaced and text[place + 1 : place + 2] != " " and _is_one_number(_item_around(text, start, commas, place)):
            continue
        parts.append(text[start:place])
        start = place + 1
    parts.append(text[start:])
    return parts


def _is_one_number(text: str) -> bool:
    """`1,250` and, with its unit, `1,250 dollars`."""
    number = _THOUSANDS.match(text)
    return number is not None and (
        number.end() == len(text) or _UNIT_BEHIND.fullmatch(text[number.end() :]) is not None
    )


def _item_around(text: str, start: int, commas: list[int], place: int) -> str:
    """The stretch around a comma up to the next comma with a space."""
    end = next((comma for comma in commas if comma > place and text[comma + 1 : comma + 2] == " "), len(text))
    return text[start:end]


def is_thousands(text: str) -> bool:
    """Whether all of `text` is one number with its thousands separated by commas."""
    return _THOUSANDS.fullmatch(text) is not None


def cut_words(text: str, word: str) -> list[str]:
    """Cuts at the word `and` or `or`, also where it was glued to what stands around it: `2or-2`."""
    places = {place for place, _ in outside(text)}
    parts, start = [], 0
    for match in _WORD.finditer(text):
        if match.group(1) != word or match.start(1) not in places:
            continue
        parts.append(text[start : match.start(1)])
        start = match.end(1)
    parts.append(text[start:])
    return parts


def arguments(text: str) -> list[str]:
    """The arguments between a call's brackets."""
    return [part.strip() for part in cut(text, frozenset({","}))] if text.strip() else []


def enclosed(text: str) -> tuple[str, str, str] | None:
    """(opening, inside, closing) where one pair of brackets, of any two kinds, encloses all of `text`."""
    found = [(place, token) for place, token in outside(text)]
    if len(found) < 2 or found[0][0] != 0:
        return None
    (_, opening), (last, closing) = found[0], found[-1]
    if opening not in _OPEN or closing not in _CLOSE or last + len(closing) != len(text):
        return None
    if any(token in _CLOSE or token in _OPEN for _, token in found[1:-1]):
        return None
    if any(0 < place < last for place, _ in found[1:-1]):
        return None
    return opening, text[len(opening) : last].strip(), closing
