"""Tidies an answer: one spelling for what LaTeX, Unicode and people spell in many ways. The value never changes.

Afterwards there are no maths delimiters, sizes, spacing commands or fonts; words from `\\text{...}` stand in double
quotes, so that a unit `"m"` is told from a symbol `m`; `\\le \\ge \\ne \\degree \\reals \\emptyset \\ldots` are the
only spellings of what they mean.
"""

import re
import unicodedata

_CHARACTERS = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "﹣": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ",
    "∙": r"\cdot ", "÷": r"\div ", "±": r"\pm ", "∓": r"\mp ", "≤": r"\le ", "⩽": r"\le ", "≦": r"\le ",
    "≥": r"\ge ", "⩾": r"\ge ", "≧": r"\ge ", "≠": r"\ne ", "≈": r"\approx ", "∞": r"\infty ", "π": r"\pi ",
    "√": r"\surd ", "∛": r"\cuberoot ", "∪": r"\cup ", "∩": r"\cap ", "∅": r"\emptyset ", "∈": r"\in ",
    "∖": r"\setminus ", "ℝ": r"\reals ", "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}", "°": r"\degree ",
    "º": r"\degree ", "′": "'", "’": "'", "‘": "'", "“": '"', "”": '"', "…": r"\ldots ", "⋯": r"\ldots ",
    "。": ".", "、": ",", "，": ",", "；": ";", "：": ":", "∶": ":", "（": "(", "）": ")", "［": "[", "］": "]",
    "【": "[", "】": "]", "｛": "{", "｝": "}", "⟨": r"\langle ", "⟩": r"\rangle ", "⌊": r"\lfloor ",
    "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil ", "\u200b": "", "\ufeff": "", "\u2061": "",
    "½": r"\frac{1}{2}", "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}", "¼": r"\frac{1}{4}",
    "¾": r"\frac{3}{4}", "⅕": r"\frac{1}{5}", "⅖": r"\frac{2}{5}", "⅗": r"\frac{3}{5}", "⅘": r"\frac{4}{5}",
    "⅙": r"\frac{1}{6}", "⅚": r"\frac{5}{6}", "⅐": r"\frac{1}{7}", "⅛": r"\frac{1}{8}", "⅜": r"\frac{3}{8}",
    "⅝": r"\frac{5}{8}", "⅞": r"\frac{7}{8}", "⅑": r"\frac{1}{9}", "⅒": r"\frac{1}{10}",
    "∠": r"\angle ", "△": r"\triangle ", "€": r"\currency{euro}",
    "£": r"\currency{pound}", "¥": r"\currency{yen}", "￥": r"\currency{yen}",
}  # fmt: skip
_RAISED = re.compile(r"[\u00b2\u00b3\u00b9\u2070-\u207f\u02b0-\u02b8\u1d2c-\u1d61]+")
_LOWERED = re.compile(r"[\u2080-\u209c\u1d62-\u1d6a]+")
_GREEK_NAMES = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon phi chi psi omega"
    " Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega"
)
_GREEK = dict(zip("αβγδεζηθικλμνξρστυφχψωΓΔΘΛΞΠΣΦΨΩ", _GREEK_NAMES.split(), strict=True))
_TABLE = str.maketrans({**_CHARACTERS, **{letter: f"\\{name} " for letter, name in _GREEK.items()}})

_SPELLINGS = {
    "dfrac": r"\frac", "tfrac": r"\frac", "cfrac": r"\frac", "dbinom": r"\binom", "tbinom": r"\binom",
    "leq": r"\le ", "leqslant": r"\le ", "geq": r"\ge ", "geqslant": r"\ge ", "neq": r"\ne ", "lt": "<",
    "gt": ">", "varnothing": r"\emptyset ", "lbrace": r"\{", "rbrace": r"\}", "lbrack": "[", "rbrack": "]",
    "cdots": r"\ldots ", "dots": r"\ldots ", "dotsc": r"\ldots ", "dotsb": r"\ldots ", "dotsm": r"\ldots ",
    "vdots": r"\ldots ", "colon": ":", "R": r"\reals ", "backslash": r"\setminus ",
    "smallsetminus": r"\setminus ", "lor": " or ", "vee": " or ", "land": " and ", "wedge": " and ",
    "degrees": r"\degree ", "quad": " ", "qquad": " ", "enspace": " ", "thinspace": " ", "displaystyle": "",
    "textstyle": "", "limits": "", "nolimits": "", "left": "", "right": "", "middle": "", "big": "", "Big": "",
    "bigg": "", "Bigg": "", "bigl": "", "bigr": "", "Bigl": "", "Bigr": "", "biggl": "", "biggr": "",
    "Biggl": "", "Biggr": "", "hfill": "", "centering": "", "newline": " ", "thickspace": " ",
    "lVert": r"\lvert ", "rVert": r"\rvert ", "iff": r"\Leftrightarrow ", "to": r"\rightarrow ", "doteq": "=",
    "equiv": r"\equiv ", "percent": "%", "rm": "", "bf": "", "it": "", "scriptstyle": "", "leqq": r"\le ",
    "geqq": r"\ge ", "bigcup": r"\cup ", "bigcap": r"\cap ",
}  # fmt: skip
_GLUED = (
    "leq",
    "geq",
    "neq",
    "quad",
    "times",
    "cdot",
    "infty",
    "cup",
    "pm",
    "pi",
    "le",
    "ge",
    "in",
)  # "\leqx" of stripped sets
_KNOWN = frozenset(
    str.split(
        "leftarrow leftrightarrow rightarrow leftharpoonup int inf intercal inline pitchfork geneq lesssim"
        " lessgtr leadsto lessdot ell lemma gets gemini pink"
    )
)

_WORD_COMMANDS = "text|textrm|textbf|textit|textnormal|textsf|texttt|textsc|mbox|hbox|mathrm|operatorname|emph|mathsf"
_FONT_COMMANDS = "mathbf|boldsymbol|bm|mathit|mathbf|pmb|underline|ensuremath|bold|mathnormal|mathop|mathrel"
_WORDS = re.compile(rf"\\(?:{_WORD_COMMANDS})\*?\s*\{{([^{{}}]*)\}}")
_WRAPPING = re.compile(rf"\\(?:{_WORD_COMMANDS})\*?\s*\{{(?=.*\\)", re.DOTALL)  # \textbf{\frac{1}{2}}
_FONT = re.compile(rf"\\(?:{_FONT_COMMANDS})\s*(?=\{{)")
_FONT_LETTER = re.compile(rf"\\(?:{_FONT_COMMANDS}|mathrm)\s+([A-Za-z])(?![A-Za-z])")
_BOX = re.compile(r"\\(?:boxed|fbox|framebox|colorbox\s*\{\w+\})\s*(?=\{)")
_COLOUR = re.compile(r"\\(?:color|textcolor)\s*\{[^{}]*\}\s*")
_OUTER = re.compile(rf"(?:{_BOX.pattern}|{_COLOUR.pattern}|{_FONT.pattern})\s*\{{")  # around all of the text
_COMMAND = re.compile(r"\\([A-Za-z]+)")
_CROSSED = re.compile(  # a vector's product is no number's: neither commutative nor a dot product
    r"(\\(?:vec|overrightarrow|mathbf|boldsymbol|bm)\s*(?:\{[^{}]*\}|[A-Za-z]))\s*\\times(?![A-Za-z])"
)
_THOUSANDS = re.compile(r"(?<=\d)(?:\{,\}|,?\\[!,]|\\ |[\u2009\u202f\u00a0])(?:\\!)?\s*(?=\d{3}(?!\d))")
_CURRENCY_WORDS = {"USD": "dollar", "US": "dollar", "EUR": "euro", "GBP": "pound", "INR": "rs", "Rs": "rs",
                   "CNY": "yuan", "RMB": "yuan"}  # fmt: skip
_CURRENCY_WORD = re.compile(r"(?<![A-Za-z\\])(USD|EUR|GBP|INR|Rs|CNY|RMB|US(?=\s*\\?\$))\.?\s*(?:\\?\$)?\s*(?=\d)")
_UNIONS = re.compile(r"[(\[][^()\[\]]*,[^()\[\]]*[)\]]\s*U\s*[(\[][^()\[\]]*,[^()\[\]]*[)\]]")  # (0, 1) U (2, 3)
_UNITED = re.compile(r"(?<=[)\]])\s*U\s*(?=[(\[])")
_SPELT_TIMES = re.compile(r"(?<=\d)\s*[xX]\s*(?=10\s*(?:\^|\*\*))")
_ROW_END = "\x01"  # a matrix's line break, kept from the spacing commands
_KEPT_WORDS = frozenset({"and", "or"})
_ORNAMENT = re.compile(
    r"^\\(?:therefore|implies|Rightarrow|quad)(?![A-Za-z])"
    r"|\\(?:blacksquare|square|Box|checkmark|qed)(?![A-Za-z])\s*$|\\tag\*?\s*\{[^{}]*\}\s*$"
)
_PREFIX = re.compile(
    r"^(?:(?:so|thus|therefore|hence|final)\b,?\s*)?(?:the\s+)?(?:final\s+|correct\s+)?(?:answer|result|solution)s?\s*(?:is|are|:|=)\s*:?\s*"
    r"|^(?:答案|答)\s*(?:是|为|為)?\s*[:：]?\s*|^(?:therefore|thus|hence|so)\b,?\s*|^=\s*",
    re.IGNORECASE,
)


def tidy(text: str) -> str:
    """The tidied form of an answer; idempotent up to spaces."""
    text = text.strip()
    if not text.isascii():
        text = _LOWERED.sub(r"_{\g<0>}", _RAISED.sub(r"^{\g<0>}", text))
        text = unicodedata.normalize("NFKC", text.translate(_TABLE)).translate(_TABLE)
    text = _CROSSED.sub(r"\1\\crossed ", text)
    text = re.sub(r"\\mathbf\s*(?:\{\s*R\s*\}|R(?![A-Za-z]))", r"\\reals ", text)
    while (wrapped := _OUTER.match(text)) is not None and _encloses(text[wrapped.end() - 1 :]):
        text = text[wrapped.end() : -1].strip()
    if "\\begin" not in text:
        text = re.sub(r"\\\\(?=[A-Za-z(\[{|])", r"\\", text)  # backslashes that were escaped twice
        text = re.sub(r"\\\\", " ", text)
    text = text.replace("\\\\", _ROW_END)
    text = _THOUSANDS.sub("", text)
    text = _BOX.sub("", text)
    text = _COLOUR.sub("", text)
    text = _CURRENCY_WORD.sub(lambda match: rf"\currency{{{_CURRENCY_WORDS[match[1]]}}}", text)
    text = _UNITED.sub(r"\\cup ", text) if _UNIONS.search(text) else text
    text = _SPELT_TIMES.sub(r"\\times ", text.replace("{:}", ":"))
    text = re.sub(r"\+/-|\(\+-\)", r"\\pm ", text)
    text = re.sub(r"\bper cent\b", "percent", text)
    text = re.sub(r"(?<=[\w)}])\s*\+\s+-(?=\s*[\w\\(])", " - ", text)  # glued, it may be the sign for both
    if "\\" not in text:
        text = re.sub(r"(^\$*|=)\s*~", r"\1\\sim ", text)  # about 5; in LaTeX a space
    text = (
        text.replace(r"\left.", "")
        .replace(r"\right.", "")
        .replace(r"\left|", r"\lvert ")
        .replace(r"\right|", r"\rvert ")
    )
    text = text.replace(r"\left\{", r"\{").replace(r"\right\}", r"\}")
    text = _quoted_words(text)

    text = _FONT_LETTER.sub(r"\1", _FONT.sub("", text))
    text = _COMMAND.sub(_respelt, text)
    text = re.sub(r"\\[,;:> ]|~|\\$", " ", text).replace(r"\!", "").replace(r"\/", "")
    text = re.sub(r"\\\(|\\\)|\\\[|\\\]", " ", text)
    text = _signs(text)
    text = re.sub(r"\^\s*(?:\{\s*\\(?:circ|degree)\s*\}|\\(?:circ|degree)(?![A-Za-z]))", r"\\degree ", text)
    text = (
        text.replace(r"\%", "%").replace(r"\#", "#").replace(r"\&", "&")
        if "\\begin" not in text
        else text.replace(r"\%", "%")
    )
    text = re.sub(r"\\surd\s*(?=\()", r"\\sqrt", text)
    text = re.sub(
        r"\\surd\s*(\d+(?:\.\d+)?|[A-Za-z]|\{)", lambda m: r"\sqrt{" if m[1] == "{" else rf"\sqrt{{{m[1]}}}", text
    )
    text = re.sub(r"\\cuberoot\s*(\d+|[A-Za-z])", r"\\sqrt[3]{\1}", text)
    text = _dollars(text).replace(_ROW_END, r" \\ ")
    return _trimmed(re.sub(r"\s+", " ", text))


def _quoted_words(text: str) -> str:
    text = re.sub(r'(?<![A-Za-z])"([^"]*)"|``([^`\']*)\'\'', lambda m: m[1] or m[2] or "", text)
    text = re.sub(r'(?<=\d)"', "''", text).replace('"', "")  # inches, seconds of arc
    for _ in range(3):  # \text{... \textbf{...} ...}
        replaced = _WORDS.sub(_quoted, text)
        if replaced == text:
            break
        text = replaced
    return text


def _quoted(match: re.Match[str]) -> str:
    inner = match.group(1).replace("$", " ").replace("~", " ")
    word = inner.strip(" \\,;:")
    before = re.sub(r"(?:\\[,;:! ]|\s|~)+$", "", match.string[: match.start()])
    if word in ("i", "e") or not re.search(r"[A-Za-z\u0080-\uffff]", word) or word.lower().strip(" ,.") in _KEPT_WORDS:
        return f" {inner} " if len(word) != 1 else word
    bare = match.group().startswith(("\\mathrm", "\\operatorname", "\\mathsf"))
    if len(word) == 1 and bare and inner == word and not (before[-1:].isdigit() or before[-1:] == "}"):
        return f" {word}" if before[-1:].isalpha() else word  # an upright symbol, not a unit
    if word in _UPRIGHT and (word not in _ALSO_UNITS or (bare and not before[-1:].isdigit())):
        return f"\\{word} "
    if '"' in inner:
        return f" {inner} "
    if "\\" in inner and re.search(r"\\[A-Za-z]{3,}", inner):
        return f" {inner} "
    return f' "{inner.strip()}" '


_UPRIGHT = frozenset(
    str.split("sin cos tan cot sec csc log ln lg exp max min gcd lcm arcsin arccos arctan sinh cosh tanh pi")
)
_ALSO_UNITS = frozenset({"sec", "min", "max", "gcd", "lcm", "pi"})  # or words, unless upright and not behind a number


def _respelt(match: re.Match[str]) -> str:
    name = match.group(1)
    if name in _SPELLINGS:
        return _SPELLINGS[name]
    for glued in _GLUED:
        if name.startswith(glued) and len(name) == len(glued) + 1 and name not in _KNOWN:
            return _SPELLINGS.get(glued, f"\\{glued} ") + name[-1]
    return match.group()


def _signs(text: str) -> str:
    text = re.sub(r"\\mathbb\s*\{?\s*R\s*\}?|\\Bbb\s*\{?R\}?", r"\\reals ", text)
    text = re.sub(r"\\not\s*=|!=(?!=)|<>|/=", r"\\ne ", text)
    text = re.sub(r"<=|=<|≤", r"\\le ", text)
    text = re.sub(r">=|≥", r"\\ge ", text)
    text = re.sub(r"==", "=", text)
    return re.sub(r"\.\.\.+", r"\\ldots ", text)


def _dollars(text: str) -> str:
    """Maths delimiters go; a dollar sign before an amount becomes a currency."""
    text = re.sub(r"\\\$", r"\\currency{dollar}", text)
    text = text.replace("$$", " ")
    if text.count("$") % 2:
        text = re.sub(r"\$\s*(?=[\d.])", r"\\currency{dollar}", text, count=1)
    return text.replace("$", " ")


def _trimmed(text: str) -> str:
    while True:
        before = text
        text = text.strip()
        if text.startswith("**") and text.endswith("**") and len(text) > 4:
            text = text[2:-2]
        text = _ORNAMENT.sub("", _PREFIX.sub("", text))
        text = re.sub(r"(?:\s|[.,;]|\\$)+$", "", text)
        if (wrapped := _WRAPPING.match(text)) is not None and _encloses(text[wrapped.end() - 1 :]):
            text = text[wrapped.end() : -1]
        if text.startswith("{") and text.endswith("}") and _encloses(text) and not _separates(text[1:-1]):
            text = text[1:-1]
        if text == before:
            return text


def _encloses(text: str) -> bool:
    """Whether the first bracket closes at the very end."""
    depth = 0
    for place, char in enumerate(text):
        if char in "{([":
            depth += 1
        elif char in "})]":
            depth -= 1
            if depth == 0:
                return place == len(text) - 1
    return False


def _separates(inner: str) -> bool:
    """Whether a pair of plain braces is a Python set or dictionary rather than a LaTeX group."""
    depth = 0
    for place, char in enumerate(inner):
        depth += (char in "([{") - (char in ")]}")
        if depth == 0 and char in ",:" and inner[place - 1 : place] != "\\":
            return True
    return not inner.strip()
