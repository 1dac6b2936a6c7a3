"""Yes or no: how such an answer is read, and when two agree."""

import re

from rstar.answers.extract import answer_text
from rstar.core.verdict import Judgement, Verdict

_WORDS = {"yes": "yes", "y": "yes", "true": "yes", "no": "no", "n": "no", "false": "no"}
_TEX = re.compile(r"\\(?:text|textbf|mathrm|mbox)\s*\{([^{}]*)\}")
_OUTSIDE = " \t\r\n.,:;!'\"`*_$()[]{}"


def yes_or_no(text: str) -> str | None:
    """`yes` or `no` as `text` says it; None where it says neither, or both.

    A word by itself counts, or the first word of a sentence ("Yes, because ..."); what a box or a phrase names comes
    before anything else.
    """
    plain = _TEX.sub(r"\1", answer_text(text)).strip(_OUTSIDE).lower()
    if plain in _WORDS:
        return _WORDS[plain]
    first, comma, rest = plain.partition(",")
    found = _WORDS.get(first.strip(_OUTSIDE)) if comma else None
    return found if found and not (set(re.findall(r"\w+", rest)) & _WORDS.keys() - {found, "y", "n"}) else None


def judge(reference: str, text: str, printed: str | None = None) -> Judgement:
    """Whether `text` says what `reference` says; whatever is not clearly yes or no is unverifiable.

    A printed value that says the opposite of the text makes it unverifiable, too.
    """
    gold, said = yes_or_no(reference), yes_or_no(text)
    if gold is None or said is None:
        return Judgement(Verdict.UNVERIFIABLE, "yesno:unclear")
    if said != gold:
        return Judgement(Verdict.DIFFERENT, "yesno")
    if printed is not None and yes_or_no(printed) not in (None, gold):
        return Judgement(Verdict.UNVERIFIABLE, "printed_differs")
    return Judgement(Verdict.EQUIVALENT, "yesno")
