"""Answers in words: numbers spelled out, yes and no, "no solution", "all real numbers"."""

import re
from fractions import Fraction

_ONES = {
    word: number
    for number, word in enumerate(
        str.split(
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
            " sixteen seventeen eighteen nineteen"
        )
    )
}
_TENS = {
    word: 10 * number
    for number, word in enumerate(str.split("twenty thirty forty fifty sixty seventy eighty ninety"), 2)
}
_SCALES = {"thousand": 1_000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_CHINESE = {char: number for number, char in enumerate("零一二三四五六七八九十")} | {"两": 2}

_SAME = {
    "no solution": "empty", "no solutions": "empty", "no real solution": "empty", "no real solutions": "empty",
    "empty set": "empty", "the empty set": "empty", "emptyset": "empty", "no such number exists": "empty",
    "null set": "empty", "無解": "empty", "无解": "empty", "空集": "empty", "empty": "empty",
    "all real numbers": "reals", "all reals": "reals", "any real number": "reals",
    "the set of all real numbers": "reals", "real numbers": "reals", "true": "yes", "false": "no",
    "correct": "yes", "incorrect": "no", "infinitely many": "infinite", "infinity many": "infinite",
    "an infinite number": "infinite", "does not exist": "dne", "doesn't exist": "dne", "undefined": "undefined",
    "limit does not exist": "dne", "the limit does not exist": "dne",
}  # fmt: skip
_ARTICLES = re.compile(r"\bthe\b\s*|^(?:a|an)\s+(?=\w)")  # but no letter that is a name: "team A"
_PARTS = {"half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8,
          "ninth": 9, "tenth": 10}  # fmt: skip
_FRACTION = re.compile(rf"(?:(.+?)\s+and\s+)?(?:(a)\s+|(\w+)[\s-])({'|'.join(_PARTS)}|halve)s?")


def canonical_words(text: str) -> str:
    """Lower case, single spaces, no punctuation at the ends, no articles, one word for a few synonyms."""
    words = re.sub(r"\s+", " ", text.replace('"', " ").lower()).strip(" .,;:!'*_")
    words = re.sub(r"^there (?:is|are) (?=no\b)", "", words)
    if words in _SAME:
        return _SAME[words]
    words = _ARTICLES.sub("", words).strip() or words
    return _SAME.get(words, words)


def number_in_words(text: str) -> Fraction | None:
    """`forty-two` as 42, `two and a half` as 5/2; None for anything that is not a complete number."""
    if text in _CHINESE:
        return Fraction(_CHINESE[text])
    text = text.lower().strip()
    fraction = _FRACTION.fullmatch(text)
    if fraction is None:
        whole = _whole(text)
        return None if whole is None else Fraction(whole)
    front, article, count, part = fraction.groups()
    whole = _whole(front) if front else 0
    top, bottom = 1 if article else _whole(count), _PARTS[part.replace("halve", "half")]
    if whole is None or top is None or whole < 0 or not 0 < top < bottom:
        return None
    return whole + Fraction(top, bottom)


def _whole(text: str) -> int | None:
    words = [word for word in re.split(r"[\s-]+", text) if word and word != "and"]
    if not words or re.search(r"^and\b|\band$|^-|-$", text):
        return None
    total = group = 0
    last = 10**15  # the size of the previous word: each must be smaller within its group
    scale = 10**15
    negative = words[0] in ("minus", "negative") and len(words) > 1
    for word in words[1:] if negative else words:
        if word in _ONES and (last == 100 or last == 10**15 or last >= 1000 or (last == 20 and 0 < _ONES[word] < 10)):
            group, last = group + _ONES[word], 1
        elif word in _TENS and (last == 100 or last >= 1000):
            group, last = group + _TENS[word], 20
        elif word == "hundred" and 0 < group < 10 and last == 1:
            group, last = group * 100, 100
        elif word in _SCALES and group and _SCALES[word] < scale:
            total, group, scale, last = total + group * _SCALES[word], 0, _SCALES[word], _SCALES[word]
        else:
            return None
    return -(total + group) if negative else total + group
