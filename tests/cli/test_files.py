"""`rstar grade` and `rstar exec`: rows in, the same rows with verdicts or results out; wrong rows are named."""

import json

import pytest

from tests.cli.calling import rstar


@pytest.fixture
def file(tmp_path):
    """Writes rows (objects as JSON, strings as they are) into a file, returns its name."""

    def write(*rows: object) -> str:
        text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
        (tmp_path / "rows.jsonl").write_text(text, encoding="utf-8")
        return "rows.jsonl"

    return write


PAIRS = [
    {"id": "a", "gold": "1/2", "candidate": "0.5", "extra": [1, {"x": None}]},
    {"id": "b", "gold": "7", "candidate": "8"},
    {"id": "c", "gold": "\\boxed{3}", "candidate": "3"},
    {"id": "d", "gold": 12, "candidate": "12"},
    {"id": "é", "gold": "x", "candidate": ""},
]


def test_graded_rows_are_the_same_rows_with_a_verdict(tmp_path, file):
    done = rstar("grade", file(*PAIRS), "--json", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == len(PAIRS)
    for row, given in zip(rows, PAIRS, strict=True):
        assert {name: row[name] for name in given} == given
        assert set(row) - set(given) == {"verdict", "rule", "ms"}
        assert row["verdict"] in ("equivalent", "different", "unverifiable")
        assert isinstance(row["rule"], str)
        assert row["ms"] >= 0
    assert [row["verdict"] for row in rows[:4]] == ["equivalent", "different", "equivalent", "equivalent"]
    assert rows[4]["verdict"] != "equivalent"


def test_a_summary_counts_the_verdicts(tmp_path, file):
    done = rstar("grade", file(*PAIRS[:3]), "--mode", "compat", "--workers", "1", folder=tmp_path)
    assert done.returncode == 0
    cells = [line.split("│") for line in done.stdout.splitlines() if "│" in line]
    assert {row[1].strip(): row[2].strip() for row in cells} == {"equivalent": "2", "different": "1"}


STEPS = [
    {"id": "ok", "steps": ["# one\nx = 6", "x * 7", "print(x)"], "extra": 1},
    {"id": "fails", "steps": ["x = 1", "x / 0", "print('never')"]},
    {"id": "syntax", "steps": ["x ="]},
    {"id": "empty", "steps": []},
    {"id": "apart", "steps": ["print(x)"]},
]


def test_executed_rows_have_a_result_for_each_step_up_to_the_first_that_fails(tmp_path, file):
    done = rstar("exec", file(*STEPS), "--json", "--cpu-s", "2", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    rows = {row["id"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert list(rows) == [row["id"] for row in STEPS]
    for given in STEPS:
        row = rows[given["id"]]
        assert {name: row[name] for name in given} == given
        assert set(row) - set(given) == {"results"}
        for result in row["results"]:
            assert set(result) == {"status", "output", "value", "error", "ms"}
            assert result["ms"] >= 0
    found = {name: [result["status"] for result in row["results"]] for name, row in rows.items()}
    assert found == {
        "ok": ["ok", "ok", "ok"],
        "fails": ["ok", "exception"],
        "syntax": ["syntax"],
        "empty": [],
        "apart": ["exception"],
    }
    shown = [(result["output"], result["value"]) for result in rows["ok"]["results"]]
    assert shown == [("", None), ("", "42"), ("6\n", None)]
    assert rows["fails"]["results"][1]["error"].startswith("ZeroDivisionError")
    assert rows["apart"]["results"][0]["error"].startswith("NameError")


def test_a_step_that_takes_too_long_is_a_status_and_no_error(tmp_path, file):
    done = rstar("exec", file({"steps": ["while True: pass"]}), "--json", "--cpu-s", "0.2", folder=tmp_path)
    assert done.returncode == 0
    (row,) = map(json.loads, done.stdout.splitlines())
    assert row["results"][0]["status"] in ("timeout_cpu", "timeout_wall")


def test_a_summary_counts_how_the_last_steps_ended(tmp_path, file):
    done = rstar("exec", file(*STEPS[:4] * 6), folder=tmp_path)
    assert done.returncode == 0
    cells = [line.split("│") for line in done.stdout.splitlines() if "│" in line]
    assert {row[1].strip(): row[2].strip() for row in cells} == {
        "ok": "6",
        "exception": "6",
        "syntax": "6",
        "no steps": "6",
    }


def test_a_few_rows_are_shown_with_what_they_printed_and_nothing_is_markup(tmp_path, file):
    rows = [{"id": "[/red]", "steps": ["1", "print('[/x] [b]')"]}, {"id": "b", "steps": ["1 / 0", "2"]}]
    done = rstar("exec", file(*rows), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.stdout.splitlines() if "│" in line]
    assert cells == [
        ["[/red]", "ok", "2", "[/x] [b]"],
        ["b", "exception", "1", "ZeroDivisionError: division by zero (line 1)"],
    ]


def test_code_may_be_any_text(tmp_path, file):
    odd = ["print(len('\ud800'))", "print('a\0b')", "print('\\ud800 π')"]
    done = rstar("exec", file(*({"id": n, "steps": [code]} for n, code in enumerate(odd))), "--json", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["steps"] for row in rows] == [[code] for code in odd]
    assert [row["results"][0]["status"] for row in rows] == ["syntax", "syntax", "ok"]
    assert rows[2]["results"][0]["output"] == "? π\n"


EXPECTING = [
    {"id": "loose", "steps": ["while True: pass"], "expected": ["timeout", "cpu"]},
    {"id": "exact", "steps": ["import os", "os.fork()"], "expected": ["denied"]},
    {"id": "other", "steps": ["1 / 0"], "expected": ["ok", "memory"]},
    {"id": "text", "steps": ["1 + 1"], "expected": "2"},
]


def test_rows_that_end_otherwise_than_they_expect_are_told(tmp_path, file):
    name = file(*EXPECTING)
    done = rstar("exec", name, "--cpu-s", "0.2", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    cells = [[cell.strip() for cell in line.split("│")] for line in done.stdout.splitlines() if "│" in line]
    assert [row[1:4] for row in cells if len(row) == 5] == [["other", "exception", "ok memory"]]
    done = rstar("exec", name, "--cpu-s", "0.2", "--check", "--json", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "rstar: rows.jsonl: 1 of 4 rows did not end as expected: other (exception)\n"
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [{name: row[name] for name in given} for row, given in zip(rows, EXPECTING, strict=True)] == EXPECTING
    done = rstar("exec", file(*EXPECTING[:2]), "--cpu-s", "0.2", "--check", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


WRONG = [
    ("grade", [PAIRS[0], {"gold": "1"}], "rows.jsonl, line 2, field 'candidate': Field required"),
    ("grade", [PAIRS[0], {"gold": None, "candidate": "1"}], "rows.jsonl, line 2, field 'gold': "),
    ("grade", [PAIRS[0], "", "{"], "rows.jsonl, line 3: not a line of JSON"),
    ("grade", ["[1, 2]"], "rows.jsonl, element 1: a list of JSON objects"),
    ("exec", [STEPS[0], {"id": "x"}], "rows.jsonl, line 2, field 'steps': Field required"),
    ("exec", [STEPS[0], {"steps": "print(1)"}], "rows.jsonl, line 2, field 'steps': "),
    ("exec", [STEPS[0], {"steps": ["print(1)", None]}], "rows.jsonl, line 2, field 'steps.1': "),
]


@pytest.mark.parametrize(("command", "rows", "said"), WRONG, ids=[said[:40] for _, _, said in WRONG])
def test_wrong_rows_are_named_before_anything_is_printed(tmp_path, file, command, rows, said):
    done = rstar(command, file(*rows), "--json", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"rstar: {said}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["grade", "gone.jsonl"], "rstar: gone.jsonl: cannot be read"),
        (["exec", "gone.jsonl"], "rstar: gone.jsonl: cannot be read"),
        (["grade", "."], "rstar: .: cannot be read"),
        (["grade", "rows.jsonl", "--mode", "loose"], "rstar: --mode: 'loose' is not one of strict, compat"),
        (["exec", "rows.jsonl", "--isolation", "none"], "rstar: --isolation: 'none' is not one of unsafe, rlimits"),
    ],
)
def test_wrong_options_are_named(tmp_path, file, words, said):
    file(PAIRS[0])
    done = rstar(*words, folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1


def test_an_empty_file_gives_no_rows(tmp_path, file):
    file()
    for command in ("grade", "exec"):
        done = rstar(command, "rows.jsonl", "--json", folder=tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
