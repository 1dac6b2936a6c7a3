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
    "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil ", "\u200b": "", "\ufeff": "", "\u2061": "", "¹": "^{1}",
    "²": "^{2}", "³": "^{3}", "⁴": "^{4}", "⁵": "^{5}", "⁶": "^{6}", "⁷": "^{7}", "⁸": "^{8}", "⁹": "^{9}",
    "⁰": "^{0}", "⁻": "^-", "½": r"\frac{1}{2}", "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}", "¼": r"\frac{1}{4}",
    "¾": r"\frac{3}{4}", "⅕": r"\frac{1}{5}", "⅖": r"\frac{2}{5}", "⅗": r"\frac{3}{5}", "⅘": r"\frac{4}{5}",
    "⅙": r"\frac{1}{6}", "⅚": r"\frac{5}{6}", "⅛": r"\frac{1}{8}", "⅜": r"\frac{3}{8}", "⅝": r"\frac{5}{8}",
    "⅞": r"\frac{7}{8}", "₀": "_0", "₁": "_1", "₂": "_2", "₃": "_3", "₄": "_4", "₅": "_5", "₆": "_6", "₇": "_7",
    "₈": "_8", "₉": "_9", "∠": r"\angle ", "△": r"\triangle ", "€": r"\currency{euro}",
    "£": r"\currency{pound}", "¥": r"\currency{yen}", "￥": r"\currency{yen}",
}  # fmt: skip
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
_FONT = re.compile(rf"\\(?:{_FONT_COMMANDS})\s*(?=\{{)")
_FONT_LETTER = re.compile(rf"\\(?:{_FONT_COMMANDS}|mathrm)\s+([A-Za-z])(?![A-Za-z])")
_BOX = re.compile(r"\\(?:boxed|fbox|framebox|colorbox\s*\{\w+\})\s*(?=\{)")
_COLOUR = re.compile(r"\\(?:color|textcolor)\s*\{[^{}]*\}\s*")
_COMMAND = re.compile(r"\\([A-Za-z]+)")
_THOUSANDS = re.compile(r"(?<=\d)(?:\{,\}|,?\\[!,]|\\ |[\u2009\u202f\u00a0])(?:\\!)?\s*(?=\d{3}(?!\d))")
_ROW_END = "\x01"  # a matrix's line break, kept from the spacing commands
_KEPT_WORDS = frozenset({"and", "or"})
_PREFIX = re.compile(
    r"^(?:(?:so|thus|therefore|hence|final)\b,?\s*)?(?:the\s+)?(?:final\s+|correct\s+)?(?:answer|result|solution)s?\s*(?:is|are|:|=)\s*:?\s*"
    r"|^(?:答案|答)\s*(?:是|为|為)?\s*[:：]?\s*|^(?:therefore|thus|hence|so)\b,?\s*|^=\s*",
    re.IGNORECASE,
)


def tidy(text: str) -> str:
    """The tidied form of an answer; idempotent up to spaces."""
    text = unicodedata.normalize("NFKC", text.strip().translate(_TABLE))
    if "\\begin" not in text:
        text = re.sub(r"\\\\(?=[A-Za-z(\[{|])", r"\\", text)  # backslashes that were escaped twice
        text = re.sub(r"\\\\", " ", text)
    text = text.replace("\\\\", _ROW_END)
    text = _THOUSANDS.sub("", text)
    text = _BOX.sub("", text)
    text = _COLOUR.sub("", text)
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
    text = text.replace('"', "")
    for _ in range(3):  # \text{... \textbf{...} ...}
        replaced = _WORDS.sub(_quoted, text)
        if replaced == text:
            break
        text = replaced
    return text


def _quoted(match: re.Match[str]) -> str:
    inner = match.group(1).replace("$", " ").replace("~", " ")
    word = inner.strip(" \\,;:")
    before = match.string[: match.start()].rstrip()
    if word in ("i", "e") or not re.search(r"[A-Za-z\u0080-\uffff]", word) or word.lower().strip(" ,.") in _KEPT_WORDS:
        return f" {inner} " if len(word) != 1 else word
    bare = match.group().startswith(("\\mathrm", "\\operatorname", "\\mathsf"))
    if len(word) == 1 and bare and inner == word and not (before[-1:].isdigit() or before[-1:] == "}"):
        return f" {word}" if before[-1:].isalpha() else word  # an upright symbol, not a unit
    if bare and re.fullmatch(r"[a-z]{2,6}", word) and word in _UPRIGHT:
        return f"\\{word} "
    if '"' in inner:
        return f" {inner} "
    if "\\" in inner and re.search(r"\\[A-Za-z]{3,}", inner):
        return f" {inner} "
    return f' "{inner.strip()}" '


_UPRIGHT = frozenset(
    str.split("sin cos tan cot sec csc log ln lg exp max min gcd lcm arcsin arccos arctan sinh cosh tanh pi")
)


def _respelt(match: re.Match[str]) -> str:
    name = match.group(1)
    if name in _SPELLINGS:
        return _SPELLINGS[name]
    for glued in _GLUED:
        if name.startswith(glued) and len(name) == len(glued) + 1 and name not in _KNOWN:
            return _SPELLINGS.get(glued, f"\\{glued} ") + name[-1]
    return match.group()


def _signs(text: str) -> str:
    text = re.sub(r"\\mathbb\s*\{?\s*R\s*\}?|\\Bbb\s*\{?R\}?|\\mathbf\s*\{R\}", r"\\reals ", text)
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
        text = _PREFIX.sub("", text)
        text = re.sub(r"(?:\s|[.,;]|\\$)+$", "", text)
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
