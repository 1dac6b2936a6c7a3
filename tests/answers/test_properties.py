"""Laws that hold for whole grammars of answers."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from rstar.answers import compare
from rstar.core.verdict import Verdict

INTEGERS = st.integers(-(10**12), 10**12)
SMALL = st.integers(-30, 30)


def leaves() -> st.SearchStrategy[str]:
    return st.one_of(
        SMALL.map(str),
        st.tuples(SMALL, st.integers(1, 30)).map(lambda pair: rf"\frac{{{pair[0]}}}{{{pair[1]}}}"),
        st.integers(2, 30).map(lambda number: rf"\sqrt{{{number}}}"),
        st.tuples(SMALL, st.sampled_from("xyn")).map(lambda pair: f"{pair[0]}{pair[1]}"),
        st.sampled_from([r"\pi", "x^2", "2+3i", r"\sin x"]),
    )


def answers() -> st.SearchStrategy[str]:
    several = st.lists(leaves(), min_size=2, max_size=3)
    return st.one_of(
        leaves(),
        st.tuples(leaves(), leaves()).map(lambda pair: f"{pair[0]}+({pair[1]})"),
        several.map(", ".join),
        several.map(lambda parts: "(" + ", ".join(parts) + ")"),
        several.map(lambda parts: r"\{" + ", ".join(parts) + r"\}"),
        st.tuples(SMALL, st.integers(1, 9)).map(lambda pair: f"[{pair[0]}, {pair[0] + pair[1]})"),
        st.tuples(st.sampled_from(["<", r"\ge"]), SMALL).map(lambda pair: f"x {pair[0]} {pair[1]}"),
        st.tuples(SMALL, st.sampled_from(["cm", "%", "kg"])).map(lambda pair: rf"{pair[0]}\text{{ {pair[1]}}}"),
        leaves().map(lambda leaf: f"x = {leaf}"),
        st.sampled_from(["A", "(B)", "yes", "no", "10:30 am", "1:2", "101_2", r"\emptyset", r"\infty"]),
    )


@settings(max_examples=150, deadline=None, derandomize=True)
@given(answers())
def test_reflexive_whatever_the_wrapping(answer: str) -> None:
    for other in (answer, f"${answer}$", rf"\boxed{{{answer}}}", f" {answer} .", answer.replace(r"\frac", r"\dfrac")):
        assert compare(answer, other).verdict is Verdict.EQUIVALENT, other


@settings(max_examples=250, deadline=None, derandomize=True)
@given(answers(), answers())
def test_symmetric_but_for_brackets(left: str, right: str) -> None:
    there, back = compare(left, right), compare(right, left)
    if "brackets" not in (
        there.rule,
        back.rule,
    ):  # a bare list may be answered in brackets, brackets not by a bare list
        assert there.verdict is back.verdict


@settings(max_examples=200, deadline=None, derandomize=True)
@given(INTEGERS, INTEGERS, st.integers(1, 10**6), st.integers(1, 10**6))
def test_fractions_agree_with_fraction(a: int, b: int, c: int, d: int) -> None:
    expected = Fraction(a, c) == Fraction(b, d)
    assert (compare(f"{a}/{c}", rf"\frac{{{b}}}{{{d}}}").verdict is Verdict.EQUIVALENT) == expected
    assert compare(f"{a}/{c}", rf"\frac{{{a * d}}}{{{c * d}}}").verdict is Verdict.EQUIVALENT


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(-(10**9), 10**9), st.integers(0, 6), st.integers(-(10**9), 10**9))
def test_decimals_are_exact(digits: int, places: int, other: int) -> None:
    decimal = (
        f"{'-' if digits < 0 else ''}{abs(digits) // 10**places}.{abs(digits) % 10**places:0{places}d}"
        if places
        else str(digits)
    )
    value = Fraction(digits, 10**places)
    assert compare(f"{value.numerator}/{value.denominator}", decimal).verdict is Verdict.EQUIVALENT
    expected = value == Fraction(other, 10**places)
    assert (compare(f"{other}/{10**places}", decimal).verdict is Verdict.EQUIVALENT) == expected


@settings(max_examples=100, deadline=None, derandomize=True)
@given(INTEGERS)
def test_thousands(number: int) -> None:
    for spelling in (
        f"{number:,}",
        f"{number:,}".replace(",", "{,}"),
        f"{number:,}".replace(",", r"\,"),
        f"{number}.0",
    ):
        assert compare(str(number), spelling).verdict is Verdict.EQUIVALENT, spelling
        assert compare(str(number + 1), spelling).verdict is Verdict.DIFFERENT, spelling


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.text(max_size=60))
def test_any_text_is_judged(text: str) -> None:
    assert compare("1", text).verdict in Verdict
    assert compare(text, "x+1").verdict in Verdict


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(alphabet="0123456789xy+-*/^(){}[]\\frac sqrt,.=<>|%!_", max_size=40))
def test_any_soup_is_judged(text: str) -> None:
    assert compare(r"\frac{1}{2}", text).verdict in Verdict
    assert compare(text, r"x^2, 3").verdict in Verdict
