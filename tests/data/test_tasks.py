"""Problem files of other tasks: the public forms, what is shown of them, and what is said about wrong lines."""

import json
from pathlib import Path

import pytest

from rstar.core.problem import Problem
from rstar.data.jsonl import read_demonstrations, read_problems
from rstar.errors import InputError

EXAMPLES = Path(__file__).parents[2] / "configs" / "examples"
TESTS = ["assert f(1) == 2", "assert f(2) == 3"]
MBPP = {
    "task_id": 7,
    "text": "Write f.",
    "code": "def f(x): return x + 1",
    "test_list": TESTS,
    "test_setup_code": "",
    "challenge_test_list": ["assert f(9) == 10"],
}
VARIANT = {"id": "mbpp-7", "problem": "Write f.", "answer": "def f…", "tests": TESTS, "test_setup_code": "n = 1"}
SANITIZED = {"task_id": 7, "prompt": "Write f.", "test_list": TESTS, "test_imports": ["import math"]}


def written(folder: Path, *rows: dict) -> Path:
    path = folder / "problems.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("row", "name", "reference"),
    [
        (MBPP, "7", "assert f(1) == 2\nassert f(2) == 3"),
        (VARIANT, "mbpp-7", "n = 1\nassert f(1) == 2\nassert f(2) == 3"),
        (SANITIZED, "7", "import math\nassert f(1) == 2\nassert f(2) == 3"),
    ],
    ids=["original", "variant", "sanitized"],
)
def test_code_problems_in_their_public_forms(tmp_path, row: dict, name: str, reference: str):
    (found,) = read_problems(written(tmp_path, row), "code")
    assert found == Problem(name, "Write f.\nYour code should pass:\nassert f(1) == 2", reference)


@pytest.mark.parametrize(("count", "seen"), [(0, 0), (1, 1), (2, 2), (9, 2)])
def test_only_the_tests_that_are_shown_can_be_seen_when_the_reference_is_hidden(tmp_path, count: int, seen: int):
    (found,) = read_problems(written(tmp_path, MBPP), "code", count)
    hidden = found.hidden()
    assert [test in hidden.text for test in TESTS] == [i < seen for i in range(2)]
    assert "return x + 1" not in str(found), "the solution of the row is read"
    assert hidden.answer is None


@pytest.mark.parametrize(
    ("answer", "reference"), [(True, "yes"), (False, "no"), ("Yes", "yes"), ("no", "no"), ("true", "yes")]
)
def test_yes_or_no_questions(tmp_path, answer: object, reference: str):
    rows = [{"qid": "a", "question": "Is it?", "answer": answer}, {"id": "b", "problem": "Is it?", "answer": answer}]
    assert read_problems(written(tmp_path, *rows), "yesno") == [
        Problem("a", "Is it?", reference),
        Problem("b", "Is it?", reference),
    ]


@pytest.mark.parametrize(
    ("task", "row", "said"),
    [
        ("code", {**MBPP, "test_list": []}, "field 'test_list'"),
        ("code", {k: v for k, v in MBPP.items() if k != "test_list"}, "field 'tests'"),
        ("code", {**MBPP, "test_list": ["assert f(1) =="]}, "field 'test_list': Value error, not Python"),
        ("code", {**MBPP, "test_list": ["f(1)"]}, "field 'test_list': Value error, there is no assertion"),
        ("code", {**MBPP, "test_list": "assert f(1)"}, "field 'test_list'"),
        ("yesno", {"id": "a", "question": "Is it?", "answer": "perhaps"}, "field 'answer': Value error, 'perhaps'"),
        ("yesno", {"id": "a", "question": "Is it?", "answer": None}, "field 'answer'"),
        ("yesno", {"question": "Is it?", "answer": True}, "field 'id'"),
    ],
)
def test_a_wrong_line_is_named_with_its_field(tmp_path, task, row: dict, said: str):
    with pytest.raises(InputError) as caught:
        read_problems(written(tmp_path, row), task)
    assert str(caught.value).startswith(f"{tmp_path / 'problems.jsonl'}, line 1, {said}")


@pytest.mark.parametrize("task", ["code", "yesno"])
def test_the_shipped_examples_are_read_with_their_steps(task):
    for name in (task, f"{task}-test"):
        demonstrations = read_demonstrations(EXAMPLES / f"{name}.jsonl", task)
        assert [d.problem for d in demonstrations] == read_problems(EXAMPLES / f"{name}.jsonl", task)
        assert all(d.steps for d in demonstrations)
