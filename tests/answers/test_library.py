"""What math-verify and sympy decide behind our own reader, and what they must not."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rstar.answers import Grader, Mode, compare, library
from rstar.core.verdict import Judgement, Verdict

EQUAL = [
    (r"\int_0^1 x\,dx", "1/2"), (r"\lim_{x\to 0}\frac{\sin x}{x}", "1"), (r"\sum_{n=1}^{\infty}\frac{1}{2^n}", "1"),
    (r"\sum_{i=1}^{\infty}\frac{1}{i^2}", r"\frac{\pi^2}{6}"), (r"\pi\int_0^1 x^2dx", r"\frac{\pi}{3}"),
    (r"\int_0^{\pi/2}\cos\theta\,\mathrm{d}\theta", "1"), (r"\int_0^1\int_0^x y\,dy\,dx", r"\frac16"),
    (r"\frac{d}{dx}\left(x^3\right)", "3x^2"), (r"\int_0^1\frac{dx}{1+x^2}", r"\frac{\pi}{4}"),
    (r"\lim_{n\to\infty}\left(1+\frac1n\right)^n", "e"), (r"\int_0^x t\,dt", r"\frac{x^2}{2}"),
    (r"2+\int_0^2 x dx", "4"), (r"\int_0^1 2x dx", r"\int_0^1 3x^2 dx"),
]  # fmt: skip
NOT_EQUAL = [
    # another value, or none
    (r"\int_0^1 x\,dx", "1/3"), (r"\frac{d}{dx}(x^2)", "x"), (r"\int_0^1 N dx", "n"), (r"\int_0^2 x dx+1", "4"),
    (r"\lim_{x\to 0}\frac{|x|}{x}", "1"), (r"\sum_{n=1}^\infty (-1)^n", r"-\frac12"),
    (r"\int_{-1}^1\frac{1}{x}dx", "0"), (r"\int_{-1}^1\frac{1}{x^2}dx", "-2"), (r"\lim_{n\to\infty}\sin(n)", "0"),
    (r"\int_0^x\sqrt{t^2}dt", r"\frac{x^2}{2}"),
    # what a partial parse, or a guess, would make equal
    ("2, 3", "2"), (r"\int_0^1 x dx, 3", "1/2"), (r"\int_0^1 x dx \foo", "1/2"), (r"\int_0^1 x dx apples", "1/2"),
    (r"\int_0^1 x dx\text{ cm}", "1/2"), (r"\int_0^1 x dx = 1", "1/2"), (r"\int_0^1 2 3 dx", "5"),
    (r"\int_0^1 2\frac32 dx", r"\frac72"), (r"\int_0^1 x", "1/2"), (r"\int x dx", r"\frac{x^2}{2}"),
    (r"\sum_{n=1}^{\infty}\frac{1}{2^n}+n", "1+n"), (r"\lim_{x\to0}\frac1x", r"\infty"),
    (r"\frac{dy}{dx}", r"\frac yx"),
    (r"\int_0^1 f(x) dx", "f(1)"), (r"\iint_0^1 x dx", "1/2"),
]  # fmt: skip


def judged(gold: str, candidate: str, mode: Mode = "strict") -> Judgement:
    return compare(gold, candidate, mode, library.ask)


@pytest.mark.parametrize(("gold", "candidate"), EQUAL)
def test_equal(gold: str, candidate: str) -> None:
    for judgement in (judged(gold, candidate), judged(candidate, gold)):
        assert (judgement.verdict, judgement.rule) == (Verdict.EQUIVALENT, "library")


@pytest.mark.parametrize(("gold", "candidate"), NOT_EQUAL)
def test_not_called_equal(gold: str, candidate: str) -> None:
    for judgement in (judged(gold, candidate), judged(candidate, gold)):
        assert judgement.verdict is not Verdict.EQUIVALENT, judgement


def test_without_a_library_nothing_heavy_is_loaded() -> None:
    code = (
        "import sys\nfrom rstar.answers import compare, library\ncompare('x', r'\\int_0^1 x dx')\n"
        "print(*{'sympy', 'latex2sympy2_extended', 'math_verify'} & {*sys.modules})"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


def test_compat_asks_math_verify() -> None:
    pair = (r"8\text{ cm}", r"8\text{ m}")  # it drops units
    assert judged(*pair).verdict is not Verdict.EQUIVALENT
    assert judged(*pair, "compat").rule == "math_verify"
    assert judged(r"\frac12", r"\frac13", "compat").verdict is Verdict.DIFFERENT
    assert judged("1, 2, ..., 9", "1, 2, ..., 9, 9", "compat").verdict is not Verdict.EQUIVALENT


def test_a_worker_asks_and_a_hanging_integral_is_killed() -> None:
    hanging = r"\int_0^1 \frac{\sin(x^5+\ln(x+2))\sqrt{x^7+3}}{\cos(x^3)+\tan(x^2+5)+e^{\sin x}} dx"

    async def run() -> None:
        async with Grader(timeout_s=1.0) as grader:
            await grader.grade("x+1", "1+x")
            (pid,) = grader.pids()
            # importing takes longer than the pair's second on a busy machine, and does not count
            assert (await grader.grade(r"\int_0^1 x\,dx", "1/2")).rule == "library"
            assert grader.pids() == [pid]
            start = time.monotonic()
            assert (await grader.grade(hanging, "1")).verdict is Verdict.UNVERIFIABLE
            tower = await grader.grade(r"\int_0^1 9^{9^{9^{9^x}}} dx", "1")
            assert tower.verdict is Verdict.UNVERIFIABLE
            assert time.monotonic() - start < 20
            assert (await grader.grade("x+1", "1+x")).verdict is Verdict.EQUIVALENT

    asyncio.run(run())


@pytest.mark.parametrize("mode", ["strict", "compat"])
def test_code_is_never_run(mode: Mode, tmp_path: Path) -> None:
    target = tmp_path / "created"
    for code in (
        f"__import__('os').system('touch {target}')",
        rf"\int_0^1 x dx + __import__('os').system('touch {target}')",
        rf"\int_0^1 open('{target}','w') dx",
        f"$1 + [].__class__.__base__ or open('{target}','w')$",
    ):
        assert judged("1", code, mode).verdict is not Verdict.EQUIVALENT
        judged(r"\int_0^1 x dx", code, mode)
    assert not target.exists()


def test_the_library_proves_itself() -> None:
    assert library.load() == ""
    assert {expected for *_, expected in library.SELF_TEST} == {True, False}
