"""The policy that replays demonstrations: exactly, or with one token of code exchanged."""

import io
import random
import tokenize

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rstar.core.problem import Demonstration, Problem
from rstar.data.demonstrator import Borrower, Demonstrator, check, spoil
from rstar.errors import RolloutError
from rstar.search.calls import Generate
from rstar.text.grammar import END_CODE, STOPS, Grammar, written

SHOWN = Demonstration(
    Problem("a", "Tom has 12 apples, eats 3 and buys 4.5 more.", "13.5"),
    (
        "# Step 1: He eats 3\nx1 = 12 - 3",
        "# Step 2: He buys 4.5\nx2 = x1 + 4.5",
        "# Now print the final answer\nprint(x2)",
    ),
)
OTHER = Demonstration(Problem("b", "How much is 7 times 8?", "56"), ("x = 7 * 8", "print(x)"))


def ask(policy: Demonstrator, problem: Problem, solution: str = "", n: int = 1, seed: int = 0) -> list[str]:
    prompt = Grammar(answer="printed").prompt(problem.text) + solution
    return [completion.text for completion in policy(Generate(prompt, n, seed, STOPS))]


@pytest.mark.parametrize("shown", [SHOWN, OTHER])
def test_without_noise_each_step_is_replayed_exactly(shown):
    policy = Demonstrator([SHOWN, OTHER], noise=0.0)
    solution = ""
    for text in written(shown.steps):
        assert ask(policy, shown.problem, solution, n=3, seed=len(solution)) == [text] * 3
        solution += text
    assert solution.endswith(END_CODE)


def test_the_same_seed_gives_the_same_replies():
    policy = Demonstrator([SHOWN, OTHER], noise=0.5)
    replies = ask(policy, SHOWN.problem, n=20, seed=3)
    assert ask(Demonstrator([OTHER, SHOWN], noise=0.5), SHOWN.problem, n=20, seed=3) == replies
    assert ask(policy, SHOWN.problem, n=20, seed=4) != replies


@pytest.mark.parametrize("noise", [0.15, 0.6, 1.0])
def test_the_share_of_spoilt_steps_is_the_noise(noise):
    (right,) = ask(Demonstrator([SHOWN], noise=0.0), SHOWN.problem)
    replies = ask(Demonstrator([SHOWN], noise=noise), SHOWN.problem, n=4000)
    assert sum(reply != right for reply in replies) / 4000 == pytest.approx(noise, abs=0.032)  # 4 deviations


def test_a_spoilt_path_goes_on_with_the_later_steps():
    policy = Demonstrator([SHOWN], noise=1.0)
    (spoilt,) = ask(policy, SHOWN.problem)
    first, second, _ = written(SHOWN.steps)
    assert spoilt != first
    assert ask(Demonstrator([SHOWN], noise=0.0), SHOWN.problem, spoilt) == [second]


def test_a_problem_without_a_demonstration_fails_that_problem():
    with pytest.raises(RolloutError) as caught:
        ask(Demonstrator([SHOWN]), OTHER.problem)
    assert caught.value.boundary == "demonstrations"


def tokens(code: str) -> list[str]:
    return [token.string for token in tokenize.generate_tokens(io.StringIO(code).readline)]


OPERATORS = ["+", "-", "*", "/"]
NUMBERS = st.integers(0, 99).map(str) | st.sampled_from(["1.5", "0.25"])
VARIABLES = st.sampled_from(["x", "x1", "total_2", "n3m"])
OPERANDS = NUMBERS | VARIABLES
EXPRESSIONS = st.lists(OPERANDS, min_size=1, max_size=4).flatmap(
    lambda parts: st.lists(st.sampled_from(OPERATORS), min_size=len(parts) - 1, max_size=len(parts) - 1).map(
        lambda ops: parts[0] + "".join(f" {op} {part}" for op, part in zip(ops, parts[1:], strict=True))
    )
)
STEPS = st.builds(
    lambda comment, name, value: f"{comment}{name} = {value}",
    st.sampled_from(["", "# Step 1: take 3 from 12 - 4\n", "# a + b # c\n"]),
    VARIABLES,
    EXPRESSIONS,
)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(STEPS, st.lists(NUMBERS, max_size=4), st.randoms(use_true_random=False))
def test_a_spoilt_step_has_exactly_one_other_token_of_code(step, numbers, rng):
    before, after = tokens(step), tokens(spoil(step, numbers, rng))
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    possible = any(token in OPERATORS for token in before) or any(
        token[0].isdigit() and set(numbers) - {token} for token in before if token
    )
    assert len(changed) == (1 if possible else 0)
    for old, new in changed:
        if old in OPERATORS:
            assert new in OPERATORS
        else:
            assert old[0].isdigit()
            assert new in numbers


def test_spoiling_reaches_every_place():
    step = "# half of 10\nx = y * 5 + 2"
    seen = {spoil(step, ["5", "2", "7"], random.Random(seed)) for seed in range(500)}
    by_operator = {f"# half of 10\nx = y {op} 5 + 2" for op in "+-/"} | {
        f"# half of 10\nx = y * 5 {op} 2" for op in "-*/"
    }
    by_number = {f"# half of 10\nx = y * {n} + 2" for n in "27"} | {f"# half of 10\nx = y * 5 + {n}" for n in "57"}
    assert seen == by_operator | by_number


@pytest.mark.parametrize("step", ["print(x)", "# 3 + 4\nprint(x)", "x1 = x2", "x = y  # 3 + 4"])
def test_a_step_with_nothing_to_exchange_stays(step):
    assert spoil(step, ["3", "4"], random.Random(0)) == step


def test_steps_that_are_not_python_are_found_with_their_number():
    assert check(SHOWN) is None
    assert check(Demonstration(SHOWN.problem, ("x = 1", "x = = 2"))).startswith("step 2 is not Python: ")
    assert check(Demonstration(SHOWN.problem, ("if x:", "print(x)"))).startswith("step 1 is not Python: ")


def borrowed(problem: Problem, solution: str = "", n: int = 200, changed: float = 0.25, seed: int = 0) -> list[str]:
    prompt = Grammar(answer="printed").prompt(problem.text) + solution
    policy = Borrower([SHOWN, OTHER], changed)
    return [completion.text for completion in policy(Generate(prompt, n, seed, STOPS))]


def test_a_borrowed_step_has_the_numbers_of_the_problem_in_their_places():
    asked = Problem("c", "Of 90 pears Ann sells 20 and finds 6.")
    assert set(borrowed(asked, changed=0.0)) == {
        "<code>\n# Step 1: He eats 20\nx1 = 90 - 20\n<end_of_step>",
        "<code>\nx = 90 * 20\n<end_of_step>",
    }
    assert "<code>\nx = 90 * 6\n<end_of_step>" in borrowed(asked)
    assert borrowed(asked, seed=1) == borrowed(asked, seed=1) != borrowed(asked, seed=2)


def test_borrowed_steps_stand_as_deep_as_they_stood_and_come_to_an_end():
    first = written(SHOWN.steps)[0]
    asked = Problem("c", "Of 90 pears Ann sells 20.")
    second = set(borrowed(asked, first, changed=0.0))
    assert "\n\nprint(x)\n<end_of_code>" in second
    assert second - {"\n\nprint(x)\n<end_of_code>"} <= {
        f"\n\n# Step 2: He buys {n}\nx2 = x1 + {n}\n<end_of_step>" for n in (90, 20)
    }
    assert borrowed(asked, "".join(written(SHOWN.steps[:2] * 4))) == []


def test_what_is_borrowed_for_a_problem_without_numbers_stays_as_it_was():
    assert set(borrowed(Problem("c", "How many legs?"))) == {written(SHOWN.steps)[0], written(OTHER.steps)[0]}
