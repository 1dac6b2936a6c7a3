"""Benchmarks: shipped mappings on rows of the form that each has, and a set loaded from a local folder."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from rstar.config.benchmark import BenchmarkConfig
from rstar.config.load import load
from rstar.core.problem import Problem
from rstar.data import benchmarks
from rstar.errors import InputError

SHIPPED = sorted(benchmarks.SHIPPED.glob("*.yaml"))
# A row of each as its hub page shows the columns (texts are ours), and the problem it is.
ROWS: dict[str, tuple[dict[str, Any], Problem]] = {
    "aime2024": (
        {"id": 60, "problem": "P", "solution": "S", "answer": "204", "year": "2024"},
        Problem("60", "P", "204"),
    ),
    "amc2023": ({"id": 0, "question": "P", "answer": "27.0", "url": ""}, Problem("0", "P", "27.0")),
    "collegemath": ({"data_source": "", "question": "P", "answer": "$x$"}, Problem("0", "P", "$x$")),
    "gaokao2023en": ({"question": "P", "answer": "$1$"}, Problem("0", "P", "$1$")),
    "gsm8k": ({"question": "P", "answer": "9 * 2 = <<9*2=18>>18\n#### 1,018"}, Problem("0", "P", "1,018")),
    "gsmhard": ({"input": "P", "code": "…", "target": 18.5}, Problem("0", "P", "18.5")),
    "math500": (
        {"problem": "P", "solution": "S", "answer": "2", "subject": "Algebra", "level": 5, "unique_id": "a/1.json"},
        Problem("a/1.json", "P", "2", "5"),
    ),
    "mbpp": (
        {"task_id": 11, "text": "P", "code": "…", "test_list": ["assert f(1)", "assert f(2)"], "test_setup_code": ""},
        Problem("11", "P\nYour code should pass:\nassert f(1)", "assert f(1)\nassert f(2)"),
    ),
    "olympiadbench": (
        {"id": 1606, "question": "P", "solution": ["S"], "final_answer": ["2", "3"], "subfield": "Algebra"},
        Problem("1606", "P", "2, 3", "Algebra"),
    ),
    "omnimath": ({"domain": [], "difficulty": 8.0, "problem": "P", "answer": "3"}, Problem("0", "P", "3", "8.0")),
    "strategyqa": ({"qid": "x1", "term": "T", "question": "P", "answer": False}, Problem("x1", "P", "no")),
    "svamp": ({"ID": "chal-1", "Body": "There are 8.", "Question": "P?", "Answer": "4.0"}, None),  # type: ignore[dict-item]
}
ROWS["svamp"] = (ROWS["svamp"][0], Problem("chal-1", "There are 8. P?", "4.0"))


def test_every_benchmark_of_the_papers_is_there():
    assert {path.stem for path in SHIPPED} == set(ROWS)
    assert set(benchmarks.names()) >= set(ROWS)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_mapping_reads_a_row(path):
    row, problem = ROWS[path.stem]
    cfg = load(BenchmarkConfig, [path])
    assert benchmarks.problems(cfg, iter([row]), path) == [problem]
    assert cfg.task == {"mbpp": "code", "strategyqa": "yesno"}.get(path.stem, "math")


def local(folder: Path, rows: list[dict[str, Any]], **changes: Any) -> Path:
    """A benchmark in a folder, as `datasets` loads one, and its YAML file."""
    (folder / "set").mkdir()
    (folder / "set" / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = {"hub": str(folder / "set"), "id": "name", "problem": "text", "answer": "gold", **changes}
    (folder / "mine.yaml").write_text(yaml.safe_dump(settings))
    return folder / "mine.yaml"


def row(name: Any, **changes: Any) -> dict[str, Any]:
    return {"name": name, "text": f"What is {name}?", "gold": "1", **changes}


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)


def test_a_set_is_loaded_from_a_folder(tmp_path):
    path = local(tmp_path, [row("a"), row("b", gold="2")], level="name")
    assert benchmarks.read(str(path)) == (
        [Problem("a", "What is a?", "1", "a"), Problem("b", "What is b?", "2", "b")],
        "math",
    )


def test_a_name_is_looked_for_here_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs" / "benchmarks").mkdir(parents=True)
    local(tmp_path, [row("a", gold=True)], task="yesno").rename(tmp_path / "configs" / "benchmarks" / "gsm8k.yaml")
    assert benchmarks.read("gsm8k") == ([Problem("a", "What is a?", "yes")], "yesno")


WRONG = {
    "column": (
        [row("a")],
        {"answer": "key"},
        "row 0, field 'answer': there is no column 'key' (columns: name, text, gold)",
    ),
    "twice": ([row("a"), row("b"), row("a")], {}, "row 2, field 'id': 'a' stands in row 0 already"),
    "unanswered": ([row("a"), row("b", gold=" ")], {}, "row 1, field 'answer': is empty"),
    "unmarked": ([row("a")], {"answer_after": "####"}, "row 0, field 'answer': there is no '####' in it"),
    "empty": ([row("a", gold="")], {"drop_unanswered": True}, "holds no problem"),
    "split": ([row("a")], {"split": "nowhere"}, "cannot be loaded ("),
    "gone": ([row("a")], {"hub": "./gone"}, "cannot be loaded ("),
    "setting": ([row("a")], {"columns": "x"}, "columns is not a setting"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_one_line(tmp_path, case):
    rows, changes, said = WRONG[case]
    path = local(tmp_path, rows, **changes)
    with pytest.raises(InputError) as caught:
        benchmarks.read(str(path))
    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_rows_without_an_answer_may_be_left_out(tmp_path):
    path = local(tmp_path, [row("a", gold=None), row("b")], drop_unanswered=True)
    assert [problem.id for problem in benchmarks.read(str(path))[0]] == ["b"]


def test_what_is_neither_a_file_nor_a_benchmark():
    with pytest.raises(InputError, match=r"--problems: 'gsm9k' is neither a file nor a benchmark \(aime2024, "):
        benchmarks.read("gsm9k")
    with pytest.raises(InputError, match=r"gone\.jsonl: cannot be read"):
        benchmarks.read("gone.jsonl")
