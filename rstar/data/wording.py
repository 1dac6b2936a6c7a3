"""What of a problem's text counts when texts are compared: its words, its form up to LaTeX, its numbers."""

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+")
_SPACING = re.compile(
    r"\\(?:[,;:!> ]|q?quad(?![a-z])|left(?![a-z])|right(?![a-z])|big+[lr]?(?![a-z])|displaystyle(?![a-z]))|~"
)
_FRACTION = re.compile(r"\\[dtc]frac(?![a-z])")
_WRITTEN = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mbox|operatorname)(?![a-z])")
_TIMES = re.compile(r"\\(?:times|cdot)(?![a-z])")
_DEGREES = re.compile(r"\^\\circ(?![a-z])|\^\{\\circ\}|\\degree(?![a-z])|\\deg(?![a-z])")
_RELATION = re.compile(r"\\(leq|geq|neq)(?![a-z])")
_IDLE = re.compile(r"\\[()\[\]]|[\s{}$.,;:?!'\"`]+")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def folded(text: str) -> str:
    """One spelling of what Unicode spells in several ways, in small letters."""
    return unicodedata.normalize("NFKC", text).lower()


def words(text: str) -> list[str]:
    """Its words and numbers, in small letters, without punctuation: what n-gram rules count."""
    return _WORD.findall(folded(text))


def latex_form(text: str) -> str:
    """The text without what LaTeX can write in several ways, and without blanks, braces and punctuation.

    Operators and numbers stay: `$\\dfrac{1}{2} + x$` and `\\(\\frac12+x\\)` are one, `1 + 2` and `1 - 2` are not.
    """
    text = _DEGREES.sub("°", folded(text))
    text = _WRITTEN.sub("", _FRACTION.sub(r"\\frac", _SPACING.sub(" ", text)))
    text = _RELATION.sub(lambda found: "\\" + found[1][:-1], _TIMES.sub("*", text))
    return _IDLE.sub("", text.replace("−", "-").replace("×", "*"))


def numbers(text: str) -> list[str]:
    """Its numbers, sorted, thousands separators aside."""
    return sorted(_NUMBER.findall(re.sub(r"(?<=\d),(?=\d{3})", "", folded(text))))


def grams(tokens: list[str], n: int) -> list[str]:
    """Every run of `n` tokens, in order; none where there are fewer."""
    return [" ".join(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
