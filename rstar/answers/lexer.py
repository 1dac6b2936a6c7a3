"""Cuts a tidied expression into tokens and knows the names of functions, constants and letters."""

import re
from dataclasses import dataclass
from fractions import Fraction

from rstar.answers.exact import decimal

_MAX_TOKENS = 1200
_LONGEST_PRODUCT = 3  # letters in a row that may be factors; longer runs are words
_DIGITS = 400


class Unreadable(Exception):
    """The text is not an expression that this reader understands completely."""


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is the syntactic class, `text` the spelling; numbers have their value."""

    kind: str
    text: str = ""
    value: Fraction = Fraction(0)
    digits: int = 0

    @property
    def closes(self) -> bool:
        """Whether a number may follow as a factor."""
        return self.kind in (")", "]")


CONSTANTS = {"pi": "pi", "e": "e", "i": "i", "infty": "inf"}
FUNCTIONS = {
    **{name: name for name in ("sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh")},
    **{name: name for name in ("exp", "ln", "lg", "log")},
    **{"arc" + name: "a" + name for name in ("sin", "cos", "tan", "cot")},
    **{name: name for name in ("asin", "acos", "atan", "acot", "max", "min", "gcd", "lcm")},
    "tg": "tan", "ctg": "cot", "arctg": "atan", "cosec": "csc",
    "sqrt": "sqrt", "cbrt": "cbrt", "abs": "abs", "Abs": "abs", "floor": "floor", "ceil": "ceil", "ceiling": "ceil",
    "factorial": "fact", "binomial": "binom", "comb": "binom", "Rational": "ratio", "Fraction": "ratio",
    "Integer": "ratio",
}  # fmt: skip
PLAIN_WORDS = frozenset(
    {"sqrt", "cbrt", "abs", "floor", "ceil", "fact", "binom", "ratio", "max", "min", "gcd", "lcm", "exp"}
)

_GREEK = frozenset(
    str.split(
        "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho"
        " sigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega ell"
        " hbar"
    )
)
_DECORATIONS = frozenset(
    str.split("overline bar vec overrightarrow hat widehat tilde dot mathbb mathcal angle triangle")
)
_FONTS = frozenset(str.split("mathrm text mathbf mathit boldsymbol textbf textit operatorname rm textrm mathsf bm"))
_OPERATORS = {"cdot": "*", "times": "*", "div": "/", "pm": "pm", "mp": "mp", "over": "over", "choose": "choose",
              "lfloor": "lfloor", "rfloor": "rfloor", "lceil": "lceil", "rceil": "rceil", "lvert": "lvert",
              "rvert": "rvert", "vert": "|", "mid": "|", "degree": "degree", "ast": "*"}  # fmt: skip
_PUNCTUATION = {"+": "+", "-": "-", "*": "*", "/": "/", "^": "^", "!": "!", "(": "(", ")": ")", "[": "[", "]": "]",
                "{": "{", "}": "}", "|": "|", ",": ",", "_": "_", "=": "="}  # fmt: skip

_NUMBER = re.compile(
    r"(?P<sign>)(?P<whole>\d{1,3}(?:\{,\}\d{3})+|\d+|(?=\.\d))(?:\.(?P<part>\d*))?(?:[eE](?P<power>[+-]?\d{1,5})(?![\d.]))?"
)
_FLOAT = r"\d+(?:\.\d*)?(?:e[+-]?\d+)?"
_PYTHON_COMPLEX = re.compile(rf"\s*\(\s*-?{_FLOAT}\s*[+-]\s*{_FLOAT}j\s*\)\s*")  # a bare 4j is a symbol
_REPEATING = re.compile(r"(\d*)\.(\d*)\\(?:overline|bar|dot)\s*\{(\d+)\}|(\d+)\.()\((\d+)\)")
_NO_DECIMAL = re.compile(r"0(?:[xX][0-9a-fA-F]|[bB][01]|[oO][0-7])|\d*\.\d+\(\d+\)")  # 0xff; 0.58(3): period or factor?
_COMMAND = re.compile(r"\\([A-Za-z]+)\s*")
_WORD = re.compile(r"[A-Za-z]+")
_NAME = re.compile(r"\s*\{?\s*([A-Za-z]+)\s*\}?")
_SUBSCRIPT = re.compile(r"\s*_\s*(?:\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}|\\([A-Za-z]+)|([A-Za-z0-9]))")
_PRIMES = re.compile(r"'+|\^\s*\{?\s*(?:\\prime\s*)+\}?")
_ORDER = re.compile(r"\^\s*\{\s*\(\s*(\w+)\s*\)\s*\}")  # of a derivative: f^{(3)}


def tokens(text: str) -> list[Token]:
    """The tokens of `text`, ending with one of kind `end`. Raises Unreadable."""
    found: list[Token] = []
    python = "\\" not in text
    vectors = bool(
        re.search(r"(?<![A-Za-z\\])j(?![A-Za-z])", text) and re.search(r"(?<![A-Za-z\\])i(?![A-Za-z])", text)
    )
    at = 0
    while at < len(text):
        if len(found) > _MAX_TOKENS:
            raise Unreadable("too long")
        char = text[at]
        if char.isspace():
            at += 1
        elif char.isdigit() or (char == "." and text[at + 1 : at + 2].isdigit()):
            at = _numeral(text, at, found)
        elif char == "\\":
            at = _command(text, at, found)
        elif char.isalpha():
            at = _letters(text, at, found, python, vectors)
        elif text.startswith("**", at):
            found.append(Token("^", "**"))
            at += 2
        elif char in _PUNCTUATION:
            found.append(Token(_PUNCTUATION[char], char))
            at += 1
        else:
            raise Unreadable(f"character {char!r}")
    found.append(Token("end", "the end"))
    return found


def _numeral(text: str, at: int, found: list[Token]) -> int:
    repeating = _REPEATING.match(text, at)
    if repeating is not None:
        whole, part, period = (group for group in repeating.groups() if group is not None)
        value = Fraction(int(whole + part or "0"), 10 ** len(part))
        value += Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(part))
        found.append(Token("num", repeating.group(), value))
        return repeating.end()
    if _NO_DECIMAL.match(text, at):
        raise Unreadable("a number in another notation")
    match = _NUMBER.match(text, at)
    if match is None or match.end() - at > _DIGITS:
        raise Unreadable("a number too long")
    if match["power"] is not None and len(match["power"].lstrip("+-")) > 3:
        raise Unreadable("an exponent too large")
    parsed = decimal(match)
    if parsed is None:
        raise Unreadable("a lone point")
    found.append(Token("num", match.group(), parsed.value, parsed.digits))
    end = match.end()
    if text[end : end + 1] == "j" and _PYTHON_COMPLEX.fullmatch(text):
        found.append(Token("const", "i"))
        end += 1
    return end


def _command(text: str, at: int, found: list[Token]) -> int:
    match = _COMMAND.match(text, at)
    if match is None:
        raise Unreadable(f"command {text[at : at + 2]!r}")
    name, end = match.group(1), match.end()
    if name in ("frac", "sqrt"):
        found.append(Token("cmd", name))
    elif name == "binom":
        found.append(Token("cmd", "binom"))
    elif name in ("sum", "prod"):
        found.append(Token("big", name))
    elif name in _OPERATORS:
        found.append(Token(_OPERATORS[name], name))
    elif name == "pi":
        found.append(Token("const", "pi"))
    elif name == "infty":
        found.append(Token("const", "infty"))
    elif name in FUNCTIONS and name not in ("Abs", "Rational", "Fraction", "Integer"):
        found.append(Token("fn", name))
    elif name in _GREEK:
        return _symbol(text, end, name, found)
    elif name in _FONTS | _DECORATIONS:
        inner = _NAME.match(text, end)
        if inner is None:
            raise Unreadable(f"\\{name}")
        return _named(text, inner.end(), name, inner.group(1), found)
    else:
        raise Unreadable(f"\\{name}")
    return end


def _named(text: str, end: int, command: str, inner: str, found: list[Token]) -> int:
    """A letter in a font, or under a decoration: fonts do not change a symbol, decorations do."""
    if command in _FONTS:
        if inner in FUNCTIONS and len(inner) > 1:
            found.append(Token("fn", inner))
            return end
        if inner in ("i", "e"):
            found.append(Token("const", inner))
            return end
        if len(inner) > 1:
            raise Unreadable(f"the word {inner!r}")
        return _symbol(text, end, inner, found)
    return _symbol(text, end, f"{command}:{inner}", found)


def _letters(text: str, at: int, found: list[Token], python: bool, vectors: bool) -> int:
    match = _WORD.match(text, at)
    if match is None:
        raise Unreadable(f"letter {text[at]!r}")
    word, end = match.group(), match.end()
    if word in FUNCTIONS:
        found.append(Token("fn", word))
        return end
    if word in ("pi", "oo", "inf", "infinity"):
        found.append(Token("const", "pi" if word == "pi" else "infty"))
        return end
    if len(word) > _LONGEST_PRODUCT:
        raise Unreadable(f"the word {word!r}")
    for place, letter in enumerate(word):
        after = end - len(word) + place + 1
        last = place == len(word) - 1
        if (
            letter == "e"
            or (letter == "i" and not vectors)
            or (python and _is_python_constant(text, after - 1, letter))
        ):
            if last and _SUBSCRIPT.match(text, after):
                return _symbol(text, after, letter, found)
            found.append(Token("const", letter.lower()))
        elif last:
            return _symbol(text, after, letter, found)
        else:
            found.append(Token("sym", letter))
    return end


def _is_python_constant(text: str, at: int, letter: str) -> bool:
    """sympy prints the imaginary unit as I and Euler's number as E, next to `*`: `3 + 4*I`, `E**2`."""
    if letter not in "IE":
        return False
    before, after = text[:at].rstrip(), text[at + 1 :].lstrip()
    alone_in_sum = "I" if re.search(r"\*", text) else ""
    return before.endswith("*") or after.startswith("*") or letter == alone_in_sum


def _symbol(text: str, at: int, name: str, found: list[Token]) -> int:
    """A symbol with the subscript and the primes that belong to its name."""
    for _ in range(2):
        subscript = _SUBSCRIPT.match(text, at)
        if subscript is not None:
            inner = next(group for group in subscript.groups() if group is not None)
            inner = re.sub(r"\\(?:text|mathrm|rm|operatorname)\b", "", inner)
            name += "_" + re.sub(r"[{}\s\\]", "", inner)
            at = subscript.end()
        primes = _PRIMES.match(text, at)
        if primes is not None:
            name += "'" * (primes.group().count("'") + primes.group().count("prime"))
            at = primes.end()
    order = _ORDER.match(text, at)
    if order is not None:
        name += f"^({order[1]})"
        at = order.end()
    found.append(Token("sym", name))
    return at
