"""Numbers under names: there and back, and steps that compute what they did before."""

import contextlib
import io
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rstar.config.run import DemonstrationsConfig, FileProblemsConfig, RunConfig
from rstar.core.problem import Demonstration, Problem
from rstar.data.demonstrator import Demonstrator
from rstar.data.jsonl import read_demonstrations
from rstar.data.numbers import NAME, literals, named, plain, translated
from rstar.data.sets import make, posed
from rstar.search.calls import Generate
from rstar.text.grammar import STOPS, Grammar

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

APPLES = Demonstration(
    Problem("a", "Jo has 48 apples and 3 boxes , 2.50 dollars each . h8 boxes are full .", "16.0"),
    ("# Step 1: Divide 48 by 3\nx1 = 48 / 3", "# Now print the final answer\nprint(x1)"),
)


def printed(problem: Problem, steps: tuple[str, ...]) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec("\n".join([problem.setup or "", *steps]), {})
    return out.getvalue()


def test_the_policy_reads_names_and_the_setup_defines_them():
    problem = named(APPLES.problem)
    assert problem.text == "Jo has n0 apples and n1 boxes , n2 dollars each . h8 boxes are full ."
    assert problem.setup == "n0 = 48\nn1 = 3\nn2 = 2.50"
    assert (problem.id, problem.answer) == ("a", "16.0")


def test_a_demonstration_says_the_names_in_code_and_comments_but_keeps_the_step_count():
    assert translated(APPLES).steps == ("# Step 1: Divide n0 by n1\nx1 = n0 / n1", APPLES.steps[1])


@pytest.mark.parametrize("text", ["What is half of it ?", "Let n1 be 5 .", "x2 and v1.2.3 are no numbers"])
def test_what_has_no_number_or_such_names_of_its_own_stays_as_it_is(text):
    shown = Demonstration(Problem("a", text, "1"), ("x = 5\nprint(x)",))
    assert translated(shown) == shown


def test_an_own_setup_runs_behind_the_names():
    assert named(Problem("a", "3 cups", None, None, "k = n0 + 1")).setup == "n0 = 3\nk = n0 + 1"


@pytest.mark.parametrize(
    ("text", "code", "becomes"),
    [
        ("1,200 men and 007 agents", "x = 1200 + 7", "x = n0 + n1"),
        ("5 bags of 5 , 2 left", "x = 5 * 5 + 5", "x = n0 * n1 + n0"),
        ("3 dozen", "x = 3 * 12", "x = n0 * 12"),
        ("2 of 3.0", "x = 2.0 * 3", "x = 2.0 * 3"),
        ("4 and 2", "x2 = 4 ** 2\nprint('4 of 2', x2)  # 4", "x2 = n0 ** n1\nprint('4 of 2', x2)  # n0"),
        ("4 cups", "n0 = 4\nprint(n0)", "n0 = 4\nprint(n0)"),
        ("4 cups", "this is 4 no python (", "this is 4 no python ("),
    ],
)
def test_a_literal_that_equals_a_number_of_the_problem_becomes_its_name(text, code, becomes):
    assert translated(Demonstration(Problem("a", text, "1"), (code,))).steps == (becomes,)


NUMBERS = st.one_of(
    st.integers(0, 5000).map(str), st.decimals(0, 99, places=2).map(str), st.sampled_from(["1,234", "08"])
)
WORDS = st.sampled_from(["Jo", "has", "apples", ".", "?", "$", "%", "h8", "twenty-one", "(", "n"])


@given(st.lists(st.one_of(NUMBERS, WORDS), min_size=1, max_size=12))
def test_naming_numbers_is_undone_by_plain(pieces):
    problem = Problem("a", " ".join(pieces), "1")
    again = named(problem)
    assert plain(again) == problem.text
    assert named(again) == again


@given(st.lists(NUMBERS, min_size=1, max_size=5), st.integers(0, 10**6))
def test_translated_steps_print_what_they_did(numbers, seed):
    rng = random.Random(seed)
    known = [number.replace(",", "").lstrip("0") or "0" for number in numbers]
    known = ["0" + number if number.startswith(".") else number for number in known] + ["7", "0.5"]
    terms = [rng.choice(known) for _ in range(4)]
    steps = (
        f"# Step 1: Take {terms[0]} and {terms[1]}\nx1 = {terms[0]} {rng.choice('+-*')} {terms[1]}",
        f"# Step 2: Then {terms[2]}\nx2 = x1 {rng.choice('+-*')} {terms[2]} - {terms[3]}",
        "print(x1, x2)",
    )
    before = Demonstration(Problem("a", " and ".join(numbers), "1"), steps)
    after = translated(before)
    assert printed(after.problem, after.steps) == printed(before.problem, before.steps)


def test_a_spoilt_step_exchanges_names():
    shown = translated(APPLES)
    prompt = Grammar(answer="printed").prompt(shown.problem.text)
    replies = Demonstrator([shown], noise=1.0)(Generate(prompt, 60, 0, STOPS))
    lines = {reply.text.splitlines()[2] for reply in replies}
    assert {"x1 = n1 / n1", "x1 = n0 / n2", "x1 = n0 - n1"} <= lines
    assert not any(line == "x1 = n0 / n1" or "48" in line for line in lines)


def test_a_run_with_named_numbers_names_them_everywhere(tmp_path):
    for name, row in {
        "train": '{"id": "a", "problem": "48 apples , 3 boxes", "answer": 16, "steps": ["print(48 // 3)"]}',
        "test": '{"id": "b", "problem": "6 pears", "answer": 6}',
    }.items():
        (tmp_path / f"{name}.jsonl").write_text(row + "\n")
    train, test = tmp_path / "train.jsonl", tmp_path / "test.jsonl"
    cfg = RunConfig(
        name="x",
        problems=FileProblemsConfig(train=train, test=test, numbers="named"),
        bootstrap=DemonstrationsConfig(demonstrations=train),
        grammar={"answer": "printed"},
        rounds=({},),
    )
    sets = make(cfg)
    assert [p.text for p in sets.train + sets.test] == ["n0 apples , n1 boxes", "n0 pears"]
    assert sets.bootstrap[0].steps == ("print(n0 // n1)",)
    assert posed(cfg, Problem("c", "2 figs")).setup == "n0 = 2"


@pytest.mark.skipif(not (DATA / "word_problems").is_dir(), reason="needs the MAWPS folder beside the project")
def test_real_demonstrations_print_the_same_under_names():
    before = read_demonstrations(DATA / "word_problems/mawps/fold0/train.jsonl")
    after = [translated(one) for one in before]
    assert all(plain(b.problem) == a.problem.text for a, b in zip(before, after, strict=True))
    assert all(printed(a.problem, a.steps) == printed(b.problem, b.steps) for a, b in zip(before, after, strict=True))
    # What is left are numbers that the problem does not say: a dozen, a quarter, three people by their names.
    left = sum(literals(one.steps) for one in after)
    assert left < 0.03 * sum(literals(one.steps) for one in before)
    assert not any(NAME.search(one.problem.text) for one in before)
