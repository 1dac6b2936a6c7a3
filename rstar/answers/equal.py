"""Compares two answers by what they are."""

from rstar.answers.expression import Unreadable, read_expression
from rstar.answers.grade import Mode
from rstar.answers.guard import refusal
from rstar.answers.scalar import same_value
from rstar.core.verdict import Verdict


def judge(gold: str, candidate: str, mode: Mode) -> tuple[Verdict, str]:
    """The verdict and its rule for two answers (already extracted)."""
    for text in (gold, candidate):
        refused = refusal(text)
        if refused:
            return Verdict.UNVERIFIABLE, refused
    try:
        same = same_value(read_expression(gold), read_expression(candidate), mode == "compat")
    except Unreadable:
        return Verdict.UNVERIFIABLE, "unreadable"
    if same.equal is None:
        return Verdict.UNVERIFIABLE, same.rule
    return Verdict.EQUIVALENT if same.equal else Verdict.DIFFERENT, same.rule
