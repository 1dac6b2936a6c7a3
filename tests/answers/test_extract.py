"""Where the answer stands in a response."""

import time

import pytest

from rstar.answers import extract
from rstar.answers.extract import answer_text


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (r"so \boxed{42}.", "42"),
        (r"first \boxed{1}, later \boxed{2}", "2"),
        (r"first \boxed{1}. But then we see that it is \boxed{2}", "2"),
        (r"\boxed{\frac{1}{\sqrt{2}}}", r"\frac{1}{\sqrt{2}}"),
        (r"\boxed{\boxed{7}}", r"\boxed{7}"),
        (r"\boxed 3", "3"),
        (r"\fbox{x = 1}", "x = 1"),
        (r"$\boxed{2}$ and $\boxed{-3}$", "2, -3"),
        (r"\boxed{2} apples and \boxed{3} pears", "2, 3"),
        (r"\boxed{2} or \boxed{3}", "3"),
        (r"not \boxed{2}, but instead and \boxed{3}", "3"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{5} \boxed{5}", "5"),
        ("<think>\\boxed{1}</think> \\boxed{2}", "2"),
        ("a\n#### 1,234", "1,234"),
        ("#### 1\nno\n#### 2", "2"),
        ("<answer> 12 <end_of_answer>", "12"),
        (r"<answer>it is \boxed{12}</answer>", "12"),
        ("The answer is: 7", "7"),
        ("The answer is $x+1$.", "x+1"),
        ("The final answer is $5$. I hope it is correct.", "5"),
        (r"we get \boxed{255} twice. Final Answer: The final answer is $510$. I hope it is correct.", "510"),
        ("Final Answer: The largest $n$ is 34.", "34"),
        ("答案是：8。", "8"),
        ("The answer is 3.5 meters. Done.", "3.5 meters"),
        ("Answer $ 9 $", "$ 9 $"),
        ("The answer is 7, since 3+4=7.", "7"),
        ("The answer is $7$ because 3+4=7.", "7"),
        ("**Final answer**: $7$", "7"),
        ("## Final Answer\n\n7", "7"),
        ("### Answer\n7", "7"),
        ("The correct option is (B).", "(B)"),
        (r"$x = -\boxed{2}$", "-2"),
        (r"=-\boxed{x+1}", "-(x+1)"),
        (r"- \boxed{2}", "2"),
        ("Final answer: the value cannot be 5", "the value cannot be 5"),
    ],
)
def test_finds_the_answer(response: str, answer: str) -> None:
    assert extract(response) == answer


@pytest.mark.parametrize("response", ["", "there are 12 apples", "x = 3 and y = 4", r"so \boxed{1", "I do not know."])
def test_names_none(response: str) -> None:
    assert extract(response) is None


def test_a_text_without_marks_is_graded_as_it_stands() -> None:
    assert answer_text("x+1") == "x+1"
    assert answer_text(r"Therefore $x \ge 5$ is the solution.") == r"x \ge 5"


def test_an_unclosed_box_is_no_answer() -> None:
    assert answer_text(r"so \boxed{12") == ""


@pytest.mark.parametrize(
    "part",
    [
        r"\boxed{",
        r"\boxed{1} and ",
        "final answer is ",
        "<answer>",
        "\n",
        "####\n",
        "$",
        "the answer is ",
        "{",
        "(",
        " ",
    ],
)
def test_a_model_that_repeats_itself_costs_no_time(part: str) -> None:
    start = time.perf_counter()
    answer_text(part * (100_000 // len(part)))
    assert time.perf_counter() - start < 2
