"""Problem and demonstration files: what is read, and what is said about wrong lines."""

import json
from pathlib import Path

import pytest

from rstar.core.problem import Demonstration, Problem
from rstar.data.jsonl import objects, read_demonstrations, read_problems
from rstar.errors import InputError


@pytest.fixture
def file(tmp_path):
    """Writes lines (objects as JSON, bytes as they are) into a file, returns its path."""

    def write(*rows: object) -> Path:
        lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
        (tmp_path / "problems.jsonl").write_bytes(b"\n".join(lines) + b"\n")
        return tmp_path / "problems.jsonl"

    return write


def row(name: object = "a", **changes: object) -> dict[str, object]:
    return {"id": name, "problem": f"What is {name}?", "answer": "1", **changes}


def worked(name: str = "a", **changes: object) -> dict[str, object]:
    return row(name, **{"steps": ["# one\nx = 1", "print(x)"], **changes})


READERS = [(read_problems, row), (read_demonstrations, worked)]


def wrong(read, path: Path) -> str:
    """What is said about a file that is wrong, without the file's name."""
    with pytest.raises(InputError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert caught.value.exit_code == 2
    return message.removeprefix(str(path))


def test_problems_are_read_in_order_with_what_they_have(file):
    path = file(row("a", level="easy"), b"", b"   ", row("b", answer="2/3", note="ignored"), row("ü", problem="Größe?"))
    assert read_problems(path) == [
        Problem("a", "What is a?", "1", "easy"),
        Problem("b", "What is b?", "2/3"),
        Problem("ü", "Größe?", "1"),
    ]


def test_demonstrations_are_problems_with_steps(file):
    assert read_demonstrations(file(worked("a"))) == [
        Demonstration(Problem("a", "What is a?", "1"), ("# one\nx = 1", "print(x)"))
    ]


def test_numbers_count_as_their_text(file):
    (found,) = read_problems(file({"id": 7, "problem": "What?", "answer": 0.5, "level": 3}))
    assert found == Problem("7", "What?", "0.5", "3")


def test_a_missing_newline_at_the_end_is_no_matter(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_bytes(json.dumps(row()).encode())
    assert len(read_problems(path)) == 1


@pytest.mark.parametrize(("read", "make"), READERS)
@pytest.mark.parametrize("field", ["id", "problem", "answer"])
def test_a_missing_field_is_named_with_its_line(file, read, make, field):
    damaged = {name: value for name, value in make("b").items() if name != field}
    assert wrong(read, file(make("a"), b"", damaged)) == f", line 3, field '{field}': Field required"


@pytest.mark.parametrize("field", ["id", "problem", "answer"])
@pytest.mark.parametrize("value", ["", None, [], {"x": 1}, True])
def test_a_wrong_value_is_named_with_its_line(file, field, value):
    assert wrong(read_problems, file(row("a"), row("b", **{field: value}))).startswith(f", line 2, field '{field}': ")


@pytest.mark.parametrize(
    ("steps", "field"),
    [([], "steps"), ("x = 1", "steps"), (None, "steps"), (["x", None], "steps.1")],
)
def test_wrong_steps_are_named_with_their_line(file, steps, field):
    assert wrong(read_demonstrations, file(worked(steps=steps))).startswith(f", line 1, field '{field}': ")


def test_steps_that_are_missing_are_named(file):
    assert wrong(read_demonstrations, file(worked("a"), row("b"))) == ", line 2, field 'steps': Field required"


@pytest.mark.parametrize(("read", "make"), READERS)
def test_an_id_that_stands_twice_is_named_with_both_lines(file, read, make):
    said = wrong(read, file(make("a"), make("b"), b"", make("a")))
    assert said == ", line 4, field 'id': 'a' stands on line 1 already"


@pytest.mark.parametrize(("read", "make"), READERS)
@pytest.mark.parametrize("raw", [b'{"id": "caf\xe9"}', b"{", b'{"id": "a",}', b"id: a", b"NaN", b'{"answer": NaN}'])
def test_what_is_no_json_in_utf8_is_named_with_its_line(file, read, make, raw):
    assert wrong(read, file(make("a"), raw)).startswith(", line 2: not a line of JSON in UTF-8")


def test_a_byte_that_is_not_utf8_is_named_with_its_field(file):
    raw = json.dumps(row("b", problem="caf_")).encode().replace(b"_", b"\xe9")
    said = wrong(read_problems, file(row("a"), raw))
    assert said == f", line 2: not a line of JSON in UTF-8 (byte {raw.index(0xE9) + 1} is 0xe9, in field 'problem')"


PUBLIC = [
    {"unique_id": "test/algebra/1.json", "problem": "P", "answer": "1", "subject": "Algebra", "level": 2},
    {"id": 60, "question": "P", "answer": 1},
    {"index": 0, "question": "P", "answer": "1"},
    {"idx": 0, "problem": "P", "answer": "1", "solution": None},
]


@pytest.mark.parametrize("public", PUBLIC)
def test_the_usual_public_forms_are_read(file, public):
    (found,) = read_problems(file(public))
    assert (found.text, found.answer) == ("P", "1")
    assert found.id == str(next(iter(public.values())))


@pytest.mark.parametrize(("raw", "kind"), [(b"[]", "list"), (b'"text"', "str"), (b"3", "int"), (b"null", "NoneType")])
def test_what_is_no_object_is_named_with_its_line(file, raw, kind):
    assert wrong(read_problems, file(row("a"), raw)) == f", line 2: a JSON object is expected, not {kind}"


@pytest.mark.parametrize("text", ['[{"a": "x, {"}, {"a": [{}]}]', ' [ {"a": "x, {"} ,\n{"a": [{}]}\n] \n'])
def test_a_json_list_of_objects_is_read_too(tmp_path, text):
    (tmp_path / "list.json").write_text(text)
    assert list(objects(tmp_path / "list.json")) == [(1, {"a": "x, {"}), (2, {"a": [{}]})]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1, 2]", "element 1: a list of JSON objects, with commas"),
        ('[{}, "a"]', "element 2: a list of JSON objects, with commas"),
        ("[{}, 3]", "element 2: a list of JSON objects, with commas"),
        ("[{}, 3, {}]", "element 2: a list of JSON objects, with commas"),
        ("[{} {}]", "element 2: a list of JSON objects, with commas"),
        ("[{},]", "element 2: a list of JSON objects, with commas"),
        ("[[{}]]", "element 1: a JSON object is expected, not list"),
        ("[{}]\n{}", "there is more behind the JSON list"),
        ("[{}] 5", "there is more behind the JSON list"),
        ("[{}][{}]", "there is more behind the JSON list"),
        ("[{}", "the JSON list is cut short behind its element 1"),
    ],
)
def test_a_json_list_loses_nothing_in_silence(tmp_path, text, said):
    path = tmp_path / "list.json"
    path.write_text(text)
    with pytest.raises(InputError, match=f"{path.name}[:,] {said}"):
        list(objects(path))


@pytest.mark.parametrize("rows", [[], [b""], [b"  ", b"\t"]])
def test_an_empty_file_is_said_to_be_empty(file, rows):
    path = file(*rows)
    assert wrong(read_problems, path) == ": holds no problem"
    assert wrong(read_demonstrations, path) == ": holds no demonstration"
    assert list(objects(path)) == []


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    assert wrong(read_problems, tmp_path / "gone.jsonl").startswith(": cannot be read (No such file")
    assert wrong(read_problems, tmp_path).startswith(": cannot be read (")


@pytest.mark.parametrize(("read", "make"), READERS)
def test_a_setup_comes_along(file, read, make):
    (found,) = read(file(make(setup="n = 1")))
    problem = found.problem if isinstance(found, Demonstration) else found
    assert problem.setup == problem.hidden().setup == "n = 1"
    (blank,) = read(file(make(setup="  ")))
    assert (blank.problem if isinstance(blank, Demonstration) else blank).setup is None
    assert "field 'setup': Value error, is not Python: " in wrong(read, file(make(setup="n = ")))
