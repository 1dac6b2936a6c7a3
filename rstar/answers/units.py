"""Units of measurement: their spellings, and what counts as a unit at all."""

import re

_SPELLINGS = {
    "cm": "cm centimeter centimetre cms", "m": "meter metre m", "km": "km kilometer kilometre kms",
    "mm": "mm millimeter millimetre", "in": "in inch inches", "ft": "ft foot feet", "yd": "yd yard",
    "mi": "mi mile", "kg": "kg kilogram kgs kilo", "g": "g gram gm", "mg": "mg milligram", "lb": "lb lbs pound",
    "oz": "oz ounce", "s": "s sec second", "min": "min minute mins", "h": "h hr hour hrs", "day": "day",
    "week": "week wk", "month": "month", "year": "year yr", "dollar": "dollar usd bucks", "cent": "cent",
    "euro": "euro eur", "yuan": "yuan 元 rmb", "yen": "yen", "%": "% percent pct percentage 百分",
    "deg": "degree deg \\degree 度", "unit": "unit", "l": "liter litre l", "ml": "ml milliliter millilitre",
    "mph": "mph", "kph": "kph kmph", "n": "n newton", "j": "j joule", "w": "w watt", "v": "v volt", "a": "ampere amp",
    "hz": "hz hertz", "k": "kelvin", "rad": "radian rad", "mol": "mol mole", "gal": "gallon gal", "qt": "quart",
    "pt": "pint", "acre": "acre", "rs": "rupee rs", "个": "个 個", "米": "米", "千米": "千米 公里", "厘米": "厘米",
    "kw": "kw kilowatt", "pa": "pa pascal", "ev": "ev", "nm": "nm nanometer", "°c": "celsius",
    "°f": "fahrenheit",
}  # fmt: skip
_CANONICAL = {spelling: unit for unit, spellings in _SPELLINGS.items() for spelling in spellings.split()}
_SINGLE = frozenset(str.split("m g s h l n j w v a k"))  # units only inside \text: a bare letter is a symbol
_PLAIN_SHORT = frozenset(
    str.split(
        "cm km mm kg mg lb lbs oz ft yd mi in hr hrs min sec mph kph ml deg pct pts usd gal units unit cents"
        " days feet inch sq men man boy ways way cow pig dog cat rad"
    )
)
_ALIASES = {"mi/h": "mph", "km/h": "kph"}
# words that change the value or the meaning of the number before them, or show that the text is no unit
_VETO = frozenset(
    str.split(
        "or and mod modulo less more fewer times squared cubed factorial over out to than not if when where"
        " for base th rd nd st half halves quarter quarters third thirds fourth fourths fifth fifths sixth"
        " sixths eighth eighths tenth tenths hundredth hundredths thousandth thousandths plus minus negative x"
        " by with without is are be was were from into choose given except at most least about below above"
        " approximately between no none tens hundred hundreds thousand thousands million millions billion"
        " billions trillion trillions dozen dozens score gross lakh lakhs crore crores fold bn pm am o'clock"
        " noon midnight remainder r k pi log sin cos tan ln exp e i sqrt of past till until before after iff"
        " only remaining because since under point root repeating recurring percentile percentiles wrong incorrect"
        " false divided multiplied added subtracted increased decreased reduced doubled tripled halved inverse"
        " reciprocal greater higher lower older younger bigger larger smaller longer shorter heavier lighter taller"
        " wider deeper faster slower grand quadrillion quadrillions quintillion quintillions googol zillion"
        " off never unless but undefined infinity infinite inf nan null oo double triple"
        " twice etc although however while maybe perhaps other others"
    )
)
_ORDINAL = re.compile(
    r"(?:seven|nin|eleven|twelf|\w+teen|(?:twen|thir|for|fif|six|seven|eigh|nine)tie|(?:m|b|tr)illion)ths?"
)
_MEGA = re.compile(r"M(?:m|g|W|J|V|N|Pa|Hz|B|eV)")  # of these alone the case matters: 5 mg, 5 Mg
_CAPITALS = frozenset("MBTGSH")  # millions, or no metre, gram, second and hour
_NO_UNITS = frozenset("njwv")  # but N, J, W, V are
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_SPECIAL = {"people": "person", "children": "child", "men": "man", "women": "woman", "feet": "ft", "inches": "inch"}
_FILLER = frozenset(str.split("the a an of each per"))
_PIECES = re.compile(r"[A-Za-z\u00b0\u0370-\uffff%]+|\^\s*\{?\s*-?\d\s*\}?|/|\\degree|\d|\S")

_TOKENS = re.compile(r'"[^"]*"|\\[A-Za-z]+|[A-Za-z]+\.?|[\u3040-\u9fff]+|\^\s*\{?\s*\d\s*\}?|\s+|.', re.DOTALL)
_STARTS = re.compile(r'"[^"]*"|%|\\degree|[A-Za-z]{2,}\.?|[\u3040-\u9fff]+')
_CONTINUES = re.compile(r"\^\s*\{?\s*\d\s*\}?|/|-|\s+|\\cdot|,")


def split_unit(text: str) -> tuple[str, str]:
    """(number, unit) where unit words, quoted or plain, stand behind what can be a number; else (text, "")."""
    tokens = _TOKENS.findall(text)
    start = len(tokens)
    for place in range(len(tokens) - 1, 0, -1):
        token = tokens[place]
        if _STARTS.fullmatch(token):
            start = place
        elif not _CONTINUES.fullmatch(token) and not (token.isalpha() and _takes_letter(tokens[:place])):
            break
    body = "".join(tokens[:start]).rstrip()
    if start == len(tokens) or not (
        body[-1:].isdigit() or body[-1:] in ")}]!." or re.search(r"\\pi$|(?<![A-Za-z])[a-z]$", body)
    ):
        return text, ""
    return body, "".join(tokens[start:]).strip()


def _takes_letter(before: list[str]) -> bool:
    """Whether a letter behind these tokens is a unit: `km/h`, `sq m`."""
    last = next((token.strip('". ') for token in reversed(before) if not token.isspace()), "")
    return last == "/" or last.lower() in ("sq", "square", "cubic")


def is_plain_unit(words: str, spaced: bool) -> bool:
    """Whether undecorated words behind a number ("10weeks", `spaced`: "5 apples") are a unit and not factors."""
    first = re.split(r"[^A-Za-z\u3040-\u9fff]", words, maxsplit=1)[0].lower()
    if first in _PLAIN_SHORT or not first.isascii() or (_CANONICAL.get(_singular(first)) and len(first) > 3):
        return True
    return spaced and len(first) >= 4 and not first.startswith(("sin", "cos", "tan", "log", "sqrt", "ln"))


def canonical_unit(text: str) -> str | None:
    """One spelling per unit: "square centimeters" is "cm^2"; `~word` is a noun, no known unit; None is no unit."""
    pieces = _PIECES.findall(
        text.replace('"', " ").replace("\\cdot", " ").replace("-", " ").replace(",", " ").replace(".", "")
    )
    result: list[str] = []
    power = ""
    known = False
    at = 0
    while at < len(pieces):
        written, piece = pieces[at], pieces[at].lower()
        at += 1
        if piece.startswith("^"):
            digits = piece.strip("^{} ")
            if not result or result[-1] == "/":
                return None
            result[-1] += "" if digits == "1" else f"^{digits}"
        elif piece in ("/", "per"):
            if not result:
                return None
            result.append("/")
        elif piece in ("square", "sq"):
            power = "^2"
        elif piece == "cubic":
            power = "^3"
        elif piece in ("squared", "cubed") and result and result[-1] in _SPELLINGS:
            result[-1] += "^2" if piece == "squared" else "^3"
        elif written in _CAPITALS or _ORDINAL.fullmatch(piece):
            return None
        elif _MEGA.fullmatch(written):
            result.append("mega" + piece[1:] + power)
            known, power = True, ""
        elif piece in _VETO or piece.isdigit() or not re.fullmatch(r"[^\W\d_]+|%|\\degree|°[cf]?", piece):
            if piece == "of" and result and known:  # "5 cm of rain"
                break
            return None
        elif piece in _FILLER and result and result[-1] != "/":
            continue
        else:
            name = _CANONICAL.get(piece) or _CANONICAL.get(_singular(piece))
            if len(piece) == 1 and piece.isascii() and (name is None or written in _NO_UNITS):
                return None  # a letter of its own is a symbol
            known = known or name is not None
            result.append((name if name is not None else "~" + _singular(piece)) + power)
            power = ""
    if power:
        result.append("unit" + power)
    if not result or result[-1] == "/" or len(result) > 12:
        return None
    if result[0] == "deg" and len(result) == 2 and result[1] in ("~c", "~f", "°c", "°f"):
        return "°" + result[1][-1]
    unit = " ".join(result).replace(" / ", "/")
    return _ALIASES.get(unit, unit)


def is_known(unit: str) -> bool:
    """Whether a canonical unit consists of known units only."""
    return "~" not in unit


def split_scale(text: str) -> tuple[int, str]:
    """A leading "million" and the like as a factor, and the rest of the words."""
    words = text.replace('"', " ").split()
    if words and words[0].lower() in _SCALES:
        return _SCALES[words[0].lower()], " ".join(words[1:])
    return 1, text


def _singular(word: str) -> str:
    word = _SPECIAL.get(word, word)
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "sses")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 2 else word
