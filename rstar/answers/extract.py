"""Finds the final answer of a response: boxes, `<answer>`, `####`, final-answer phrases; never a last number."""

import re
from collections.abc import Iterator
from typing import NamedTuple

_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])\s*")
_MINUS = re.compile(r"(?:(?:[=$]|\\[(\[])\s*[-−]\s*|(?:\A|\n)[-−])\Z")  # x = -\boxed{3}; but no bullet
_ONE_TERM = re.compile(r"[\w.\\{}]+")
_LONGEST_SENTENCE = 300
_GAP_WORDS = 5  # boxes may be joined by a few words that end in "and": "\boxed{1} papers and \boxed{2} bins"
_JOINT = re.compile(r"(?:\\\s|\\quad|\\qquad|\\[,;:!()\[\]]|\\text\s*\{\s*(?:,?\s*and)?\s*\}|\band\b|[\s$,;&~]|\\\\)*")
_WORDY_JOINT = re.compile(r"[^\n.!?\\<>=]{0,60}?\band\W{0,8}")
_TEXT = re.compile(r"\\(?:text|textrm|mathrm|mbox)\s*\{([^{}]*)\}")
_NEGATIVE = re.compile(r"\b(?:no|not|or|nor|but|instead|than|wrong|reject\w*|false)\b", re.IGNORECASE)

_HASHES = re.compile(r"^[ \t]*####[ \t]*(\S.*)$", re.MULTILINE)
_MINERVA, _HOPE = "final answer is", "i hope"  # "The final answer is X. I hope it is correct."
_PHRASE = re.compile(
    r"(?:final answer\**\s*(?:is|:|=|\n)"
    r"|(?:the|our|my|so|therefore,?|thus,?|hence,?)\s+(?:correct\s+|required\s+)?answers?\s*(?:is|are|:|=)"
    r"|correct (?:option|choice)\s*(?:is\b|:)"
    r"|answer\**\s*(?:is\b|are\b|:)|#+ *\**answer\**\s*\n|答案\s*(?:是|为|為|：|:))\s*[:：]?\s*",
    re.IGNORECASE,
)
_BARE_ANSWER = re.compile(r"^\s*(?:#+\s*)?\**answer\**\s*:?\s+", re.IGNORECASE)
_MATHS = re.compile(r"\$\$(.+?)\$\$|(?<!\\)\$(.+?)(?<!\\)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_SENTENCE_END = re.compile(r"\.(?=\s|$)|。|\n|<\||(?<=[a-z])[!](?=\s|$)")
_REASON = re.compile(r"[,;]?\s\(?(?:since|because|which)\b.*\Z", re.IGNORECASE | re.DOTALL)
_CHAT_TAIL = re.compile(r"<\|(?:im_start|im_end|endoftext|eot_id|end)\|?>.*\Z|<end_of_\w+>.*\Z", re.DOTALL)
_PRELIMINARY = re.compile(r"^.{0,120}?\b(?:is|are|be|equals?|of)\s*:?\s*(?=[$\d\-+\\(\[{])", re.IGNORECASE | re.DOTALL)

_DENIAL = re.compile(r"\b(?:not?|never|cannot|anything|nothing|but|than)\b|n't\b", re.IGNORECASE)

_TAG, _TAG_ENDS = "<answer>", ("</answer>", "<end_of_answer>")
_BRACES = re.compile(r"\\.|[{}]", re.DOTALL)
_ONE_TOKEN = re.compile(r"[^\s{}$\\.,;]+")
_TELLING = frozenset(
    str.split("therefore thus hence so we find get have obtain that the a solution answer result value is are")
)
_CLOSING = frozenset({"", "is the solution", "is the answer", "is the final answer", "is our answer", "is the result"})


class _Box(NamedTuple):
    start: int
    end: int
    content: str


def extract(text: str) -> str | None:
    """The final answer written in `text`, or None where it names none. Whatever precedes `</think>` is not searched."""
    text = text.rsplit("</think>", 1)[-1]
    boxes = list(_boxes(text))
    lower = text.lower()
    hope = lower.rfind(_HOPE)
    start = lower.rfind(_MINERVA, 0, hope) if hope > 0 else -1
    if start >= 0 and (not boxes or start > boxes[-1].end):
        inner = text[start + len(_MINERVA) : hope].strip(" :").removesuffix(".").strip()
        return extract(inner) or _first_clause(inner) or None
    if boxes:
        return _joined(text, boxes)
    if _BOX.search(text):
        return None  # an unclosed box is a response that was cut short
    last_end = max(text.rfind(end) for end in _TAG_ENDS)
    tag = text.rfind(_TAG, 0, max(last_end, 0))
    if tag >= 0:
        inner = text[tag + len(_TAG) : last_end]
        for end in _TAG_ENDS:
            inner = inner.partition(end)[0]
        return extract(inner) or inner.strip() or None
    hashes = _HASHES.findall(text)
    if hashes:
        return str(hashes[-1]).strip()
    return _phrased(text)


def answer_text(text: str) -> str:
    """What to grade: the extracted answer; the only formula of a sentence; else the text itself."""
    found = extract(text)
    if found is not None:
        return found.strip()
    text = text.rsplit("</think>", 1)[-1].strip()
    if _BOX.search(text):
        return ""
    return _only_formula(text) or text


def _boxes(text: str) -> Iterator[_Box]:
    """Outermost complete boxes, left to right; `\\boxed 3` holds one token."""
    closings = _closings(text)
    at = 0
    while (match := _BOX.search(text, at)) is not None:
        start = match.end()
        if text[start : start + 1] == "{":
            end = closings.get(start)
            if end is None:
                at = start
                continue
            yield _Box(match.start(), end + 1, text[start + 1 : end].strip())
            at = end + 1
        else:
            token = _ONE_TOKEN.match(text, start)
            if token is not None:
                yield _Box(match.start(), token.end(), token.group())
            at = start + 1


def _closings(text: str) -> dict[int, int]:
    """The place of the closing brace of every brace that is closed; one pass, whatever a model repeats."""
    found: dict[int, int] = {}
    opened: list[int] = []
    for match in _BRACES.finditer(text):
        if match.group() == "{":
            opened.append(match.start())
        elif match.group() == "}" and opened:
            found[opened.pop()] = match.start()
    return found


def _joined(text: str, boxes: list[_Box]) -> str:
    """The last box, with the boxes before it as long as only "and", commas or maths delimiters stand between."""
    parts = [boxes[-1].content]
    for left, right in zip(reversed(boxes[:-1]), reversed(boxes[1:]), strict=True):
        if not _is_joint(text[left.end : right.start]):
            break
        parts.append(left.content)
    unique = list(dict.fromkeys(reversed(parts)))
    if len(parts) == 1 and _MINUS.search(text[: boxes[-1].start]):
        return f"-{parts[0]}" if _ONE_TERM.fullmatch(parts[0]) else f"-({parts[0]})"
    return unique[0] if len(unique) == 1 else ", ".join(unique)


def _is_joint(gap: str) -> bool:
    gap = gap.strip()
    if _JOINT.fullmatch(gap):
        return True
    plain = _TEXT.sub(r" \1 ", gap)
    plain = re.sub(r"\\(?:quad|qquad|[()\[\],;: ])|\$", " ", plain).strip()
    return (
        _WORDY_JOINT.fullmatch(plain) is not None
        and len(plain.split()) <= _GAP_WORDS
        and not _NEGATIVE.search(plain)
        and not any(char.isdigit() for char in plain)
    )


def _phrased(text: str) -> str | None:
    text = _CHAT_TAIL.sub("", text).strip()
    matches = list(_PHRASE.finditer(text))
    if matches:
        rest = _first_clause(text[matches[-1].end() :])
        if rest and matches[-1].group().lower().startswith("final answer"):
            lead = _PRELIMINARY.match(rest)
            if lead is not None and not _DENIAL.search(lead.group()):
                rest = rest[lead.end() :].strip()
        return rest or None
    bare = _BARE_ANSWER.match(text)
    return (text[bare.end() :].strip() or None) if bare is not None else None


def _first_clause(rest: str) -> str:
    rest = rest.strip().removeprefix("**").strip()
    formula = _MATHS.match(rest)
    if formula is not None:
        after = _REASON.sub("", _SENTENCE_END.split(rest[formula.end() :], maxsplit=1)[0]).strip().strip("*")
        inner = next(group for group in formula.groups() if group is not None).strip()
        return f"{inner} {after}".strip() if after else inner
    clause = _REASON.sub("", _SENTENCE_END.split(rest, maxsplit=1)[0])
    return clause.strip().strip("*").strip()


def _only_formula(text: str) -> str | None:
    """The formula of a sentence that holds exactly one: "Therefore $x \\ge 5$ is the solution." """
    formulas = list(_MATHS.finditer(text)) if len(text) <= _LONGEST_SENTENCE else []
    if len(formulas) != 1:
        return None
    match = formulas[0]
    before, after = text[: match.start()], text[match.end() :]
    words = re.sub(r"[,:]", " ", before).lower().split()
    closing = " ".join(after.lower().rstrip(" .!" if words else " .").split())  # $5$! may be a factorial
    if not set(words) <= _TELLING or closing not in _CLOSING:
        return None
    return next(group for group in match.groups() if group is not None).strip()
