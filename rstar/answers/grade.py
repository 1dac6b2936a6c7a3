"""Decides whether a candidate equals the gold answer: pure, synchronous, cheapest question first."""

from collections.abc import Callable
from time import perf_counter
from typing import Literal

from rstar.answers.exact import near_number, plain_number, same_number, squash
from rstar.answers.extract import answer_text
from rstar.core.verdict import Judgement, Verdict

Mode = Literal["strict", "compat"]
Library = Callable[[str, str, Mode], tuple[Verdict, str] | None]


def compare(gold: str, candidate: str, mode: Mode = "strict", library: Library | None = None) -> Judgement:
    """Whether `candidate` (an answer, or a response that holds one) equals `gold`; runs nothing it reads.

    `strict` is for training: exact. `compat` accepts in addition what the published graders do: a relative error of
    1e-4 and a factor of 100 for percentages. `library` is asked last (`rstar.answers.library.ask`, which may hang:
    only a killable process should pass it); it decides integrals and the like, and in compat mode whatever math-verify
    accepts. A pair may take seconds here; `Grader` bounds it. Raises nothing.
    """
    start = perf_counter()
    found = quick(gold, candidate, mode)
    if found is None:
        from rstar.answers.equal import judge  # the parser and its mathematics load on first need

        found = judge(answer_text(gold), answer_text(candidate), mode, library)
    verdict, rule = found
    return Judgement(verdict, rule, (perf_counter() - start) * 1000)


def quick(gold: str, candidate: str, mode: Mode = "strict") -> tuple[Verdict, str] | None:
    """The verdict where it takes microseconds (emptiness, equal strings, plain numbers), else None."""
    left, right = squash(answer_text(gold)), squash(answer_text(candidate))
    if not left:
        return Verdict.UNVERIFIABLE, "empty_gold"
    if not right:
        return Verdict.DIFFERENT, "empty"
    if left == right:
        return Verdict.EQUIVALENT, "string"
    a, b = plain_number(left), plain_number(right)
    if a is None or b is None:
        return None
    if same_number(a, b):
        return Verdict.EQUIVALENT, "number"
    if mode == "compat" and near_number(a.value, b.value):
        return Verdict.EQUIVALENT, "compat_number"
    return Verdict.DIFFERENT, "number"


def unverifiable(reference: str) -> str | None:
    """Why no answer could be held against this reference, None where one can: nothing is said, or nothing that is
    understood as a value, a set, words and so on. Runs nothing it reads; raises nothing."""
    from rstar.answers.guard import refusal
    from rstar.answers.kinds import Opaque
    from rstar.answers.read import read

    text = answer_text(reference)
    if squash(text).lower() in _NO_ANSWERS:
        return "no_answer"
    if refused := refusal(text):
        return refused
    found = read(text)
    return found.reason if isinstance(found, Opaque) else None


_NO_ANSWERS = frozenset({"", "nan", "null", "proof", "n/a", "notfound", "seesolution", "unknown"})
