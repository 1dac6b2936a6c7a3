"""Overlaps with benchmarks: who is found, by which rule, and who is not."""

from hypothesis import given
from hypothesis import strategies as st

from rstar.data.decontaminate import Index, Rule
from rstar.data.wording import latex_form, numbers, words

LONG = "A train leaves the old station at noon and runs for three hours at 60 miles an hour without a stop."
OTHER = "Find the least positive integer that has exactly twelve divisors and ends in the digit five, or show why not."


def index(*texts: str, n: int = 8, share: float = 0.0) -> Index:
    made = Index(n, share)
    made.add("held", ((str(i), text) for i, text in enumerate(texts)))
    return made


def rules(made: Index, text: str) -> list[tuple[str, Rule]]:
    return [(hit.held.id, hit.rule) for hit in made.hits(text)]


def test_one_run_of_eight_words_is_an_overlap_and_seven_are_none():
    seven, eight = " ".join(words(LONG)[3:10]), " ".join(words(LONG)[3:11])
    assert rules(index(LONG, OTHER), f"Tell me: {eight}?") == [("0", Rule.WORDS)]
    assert rules(index(LONG, OTHER), f"Tell me: {seven}?") == []


def test_the_share_of_runs_can_be_asked_for():
    half = " ".join(words(LONG)[:13])
    (hit,) = index(LONG).hits(half)
    assert hit.share == round(6 / (len(words(LONG)) - 7), 4)
    assert hit.run == " ".join(words(LONG)[:8])
    assert index(LONG, share=0.9).hits(half) == []
    assert rules(index(LONG, share=0.9), LONG.upper()) == [("0", Rule.TEXT)]


def test_short_problems_do_not_slip_through():
    made = index(r"Evaluate $\log_82$.", r"Compute $\sin 60^\circ$.", "What is 2 + 2?")
    assert rules(made, r"Evaluate  \( \log_8 2 \)") == [("0", Rule.LATEX)]
    assert rules(made, r"evaluate $\log_82$") == [("0", Rule.TEXT)]
    assert rules(made, r"Problem 7. Compute $\sin 60^{\circ}$. Show your work.") == [("1", Rule.CONTAINED)]
    assert rules(made, "What is 2+2") == [("2", Rule.TEXT)]
    assert rules(made, "Compute $\\sin 30^\\circ$.") == rules(made, "What is 2 - 3?") == []


def test_latex_spellings_are_one_and_other_mathematics_is_not():
    same = [
        r"$\dfrac{1}{2} \cdot x$",
        r"\(\frac{1}{2}\times x\)",
        r"\frac12 \, \cdot \left. x \right.",
        r"$\tfrac 12\cdot{x}$",
    ]
    assert len({latex_form(text) for text in same}) == 1
    assert len({latex_form(text) for text in ["1 + 2", "1 - 2", "1 < 2", "12", r"\sqrt{12}", "x^2", "x_2"]}) == 7
    assert numbers("1,200 of 3.5 and 7, 8") == ["1200", "3.5", "7", "8"]


def test_every_benchmark_problem_is_listed_not_only_the_first():
    made = index(LONG, LONG + " How far does it run?")
    assert [hit.held.id for hit in made.hits(LONG)] == ["0", "1"]


@given(st.lists(st.sampled_from(words(OTHER)), min_size=1, max_size=30))
def test_a_problem_always_overlaps_itself_whatever_its_length(tokens: list[str]):
    text = " ".join(tokens)
    assert [hit.rule for hit in index(text).hits(text)] == [Rule.TEXT]
