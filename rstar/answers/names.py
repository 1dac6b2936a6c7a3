"""What may stand in front of "= 3" to say what 3 is: letters with their decorations, segments, titles, P(A)."""

import re

from rstar.answers.lexer import FUNCTIONS

_NAME = re.compile(
    r"\|?\s*(?:\\(?:angle|triangle|overline|overrightarrow|vec|mathrm|bar|hat|max|min)\s*)*\{?(?:[A-Za-z]|\\(?!frac|sqrt|sin|cos|tan|log|ln|sum|int|pi(?![A-Za-z]))[A-Za-z]+)"
    r"[A-Z]{0,3}\}?(?:\s*_\s*(?:\{(?:[^{}]|\{[^{}]*\})*\}|\w|\\\w+)|'|\^\s*\{?\s*\\prime\s*\}?|\^\{?\s*\*\s*\}?)*\s*(?:\((?:[A-Za-z]|\d+)(?:\s*,\s*[A-Za-z])*\))?\s*\|?"
)  # fmt: skip
_NO_NAME = re.compile(  # |x| = 3 has two solutions
    r"e|i|\\(?:infty|emptyset|reals)|\|\s*[xyt]\s*\||"
    r"\\(?:cot|sec|csc|arc(?:sin|cos|tan|cot)|exp|sinh|cosh|tanh|lg)(?![A-Za-z]).*"
)
_TITLES = (
    "area|perimeter|volume|length|width|height|radius|diameter|total|sum|product|difference|ratio|probability|remainder|"
    "minimum|maximum|min|max|mean|median|mode|answer|value|cost|price|time|distance|speed|rate|number|count|slope|angle"
)
_OTHER_NAME = re.compile(  # a title, a probability, an inverse; but xyz = 8 does not say that something is 8
    rf"(?i:{_TITLES})|\"[A-Za-z]{{3,}}(?: [A-Za-z]+){{0,3}}\"|[A-Za-z]{{3,}}(?: [A-Za-z]{{2,}}){{1,3}}"
    r"|[PE]\s*[(\[][^()\[\]]*[)\]]|[fgh]\s*\^\s*\{\s*-1\s*\}\s*\([a-z]\)"
)
_NO_TITLE = re.compile(
    r"\b(?:no|not|never|except|without|minus|negative|wrong|incorrect|or|and|if|than)\b", re.IGNORECASE
)


def is_name(text: str) -> bool:
    """Whether `text = 3` says of something that it is 3, and is no equation to be solved."""
    text = text.strip()
    if _OTHER_NAME.fullmatch(text) is not None:
        words = set(re.findall(r"[A-Za-z]+", text))
        return _NO_TITLE.search(text) is None and not words & FUNCTIONS.keys() - {"min", "max"}
    return _NAME.fullmatch(text) is not None and _NO_NAME.fullmatch(text) is None


def name_of(text: str) -> str:
    """One spelling of a name: |AB| and \\overline{AB} are AB."""
    text = re.sub(r"^\s*(?:\\overline\s*\{\s*([A-Z]{2})\s*\}|\|\s*([A-Z]{2})\s*\|)\s*$", r"\1\2", text)
    return re.sub(r"[\s{}\\\"]|mathrm|prime", lambda m: "'" if m.group() == "prime" else "", text)
