"""Foreign rows as problems: adapters, references out of solutions, ids that stay, and data sets of the hub's form."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rstar.config.data import BuildConfig, SourceConfig
from rstar.config.load import load
from rstar.data import sources
from rstar.errors import ConfigError, InputError

# A row of each as its hub page shows the columns (texts are ours): text, reference, level.
ROWS: dict[str, tuple[dict[str, Any], tuple[str, str | None, str | None]]] = {
    "gsm8k": ({"question": "Q", "answer": "9 * 2 = <<9*2=18>>18\n#### 1,018"}, ("Q", "1,018", None)),
    "math": (
        {"problem": "P", "level": "Level 5", "type": "Algebra", "solution": r"So $\boxed{\frac{1}{2}}$."},
        ("P", r"\frac{1}{2}", "Level 5"),
    ),
    "metamathqa": (
        {
            "query": "Q",
            "response": "So\n#### 12\nThe answer is: 12",
            "type": "GSM_FOBAR",
            "original_question": "What is x?",
        },
        ("Q", "12", "GSM_FOBAR"),
    ),
    "numina-cot": (
        {"source": "olympiads", "problem": "P", "solution": r"\boxed{1} and \boxed{-2}", "messages": []},
        ("P", "1, -2", "olympiads"),
    ),
    "amc-aime": ({"source": "amc_aime", "problem": "P", "solution": r"\boxed{\textbf{(B)}\ 7}"}, None),
    "aime": ({"ID": "1983-1", "Year": 1983, "Question": "Q", "Answer": 60, "Part": None}, ("Q", "60", "1983")),
}


def source(files: Path, **fields: Any) -> SourceConfig:
    return SourceConfig(files=files, **{"answer": "answer"} | fields)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", [path.stem for path in sorted(sources.SHIPPED.glob("*.yaml"))])
def test_a_shipped_adapter_reads_rows_of_its_form(tmp_path, name):
    row, expected = ROWS[name]
    cfg = sources.resolved(BuildConfig(sources={name: {"files": str(write(tmp_path / "rows.jsonl", [row]))}}))[name]
    (taken,) = sources.read(name, cfg)
    if expected is not None:
        assert (taken.problem.text, taken.problem.answer, taken.problem.level) == expected
    assert taken.reason is None
    assert taken.problem.source == name
    assert taken.problem.id.startswith(f"{name}/")


def test_where_and_drop_choose_rows_by_their_values(tmp_path):
    rows = [{"problem": f"P{i}", "answer": i, "year": 2022 + i, "kind": kind} for i, kind in enumerate("aabb")]
    cfg = source(write(tmp_path / "rows.jsonl", rows), where={"kind": ["b"]}, drop={"year": ["2025"]})
    assert [taken.problem.text for taken in sources.read("s", cfg)] == ["P2"]


def test_ids_stay_when_rows_move_and_when_latex_is_written_otherwise(tmp_path):
    rows = [{"problem": rf"What is $\frac{{{i}}}{{7}}$?", "answer": i} for i in range(1, 5)]
    before = {t.problem.text: t.problem.id for t in sources.read("s", source(write(tmp_path / "a.jsonl", rows)))}
    after = {t.problem.text: t.problem.id for t in sources.read("s", source(write(tmp_path / "b.jsonl", rows[::-1])))}
    assert before == after
    assert len(set(before.values())) == 4
    assert sources.stable_id("s", r"What is \(\dfrac17\)?") == before[r"What is $\frac{1}{7}$?"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "unverifiable: no_answer"),
        (float("nan"), "unverifiable: no_answer"),
        ("", "unverifiable: no_answer"),
        ("proof", "unverifiable: no_answer"),
        ("1, 2, \\ldots, n", "unverifiable: ellipsis"),
        ("x" * 2000, "unverifiable: guard:length"),
        (r"\frac{1}{2}", None),
        (12.5, None),
        (["1", "2"], None),
    ],
)
def test_what_cannot_be_verified_is_marked_and_never_counted(tmp_path, answer, reason):
    table = pa.Table.from_pylist([{"problem": "What is it?", "answer": answer}])
    pq.write_table(table, tmp_path / "rows.parquet")
    (taken,) = sources.read("s", source(tmp_path / "rows.parquet"))
    assert taken.reason == reason


def test_a_solution_that_ends_in_no_answer_gives_no_reference(tmp_path):
    rows = [{"problem": "P", "solution": text} for text in ("We see that it is 3.", r"so \boxed{4", r"\boxed{5}")]
    cfg = SourceConfig(files=write(tmp_path / "rows.jsonl", rows), solution="solution")
    assert [(t.problem.answer, t.reason) for t in sources.read("s", cfg)] == [
        (None, "unverifiable: no_answer"),
        (None, "unverifiable: no_answer"),
        ("5", None),
    ]


def test_a_data_set_of_the_hub_s_form_is_read_by_datasets(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    for part, texts in (("easy", "ab"), ("hard", "c")):
        (tmp_path / "set" / part).mkdir(parents=True)
        table = pa.table({"q": [f"Q{t}" for t in texts], "a": [f"so\n#### {i}" for i, _ in enumerate(texts)]})
        pq.write_table(table, tmp_path / "set" / part / "train-00000-of-00001.parquet")
    (tmp_path / "set" / "README.md").write_text(
        "---\nconfigs:\n"
        + "".join(f"- {{config_name: {p}, data_files: {p}/*.parquet}}\n" for p in ("easy", "hard"))
        + "---\n"
    )
    cfg = SourceConfig(hub=str(tmp_path / "set"), parts=("easy", "hard"), problem="q", solution="a")
    assert [(t.problem.text, t.problem.answer) for t in sources.read("s", cfg)] == [
        ("Qa", "0"),
        ("Qb", "1"),
        ("Qc", "0"),
    ]
    with pytest.raises(InputError, match=r"sources\.s: .*cannot be loaded"):
        list(sources.read("s", cfg.model_copy(update={"split": "nowhere"})))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"problem": "P"}, r"rows\.jsonl, row 2, field 'answer': there is no column 'answer' \(columns: problem\)"),
        ({"problem": "P", "answer": {"x": 1}}, "row 2, field 'answer': a text or a number is expected, not a mapping"),
        ({"problem": [["P"]], "answer": 1}, "row 2, field 'problem': a text or a number is expected, not a list"),
        ({"problem": "P", "answer": 1, "id": "a"}, "row 2, field 'id': 's/a' stands in an earlier row already"),
        ({"problem": "P", "answer": 1, "id": None}, "row 2, field 'id': is empty"),
    ],
)
def test_a_row_of_another_form_is_named(tmp_path, row, message):
    rows = [{"problem": "P", "answer": "1", "id": "a"}, row]
    cfg = source(write(tmp_path / "rows.jsonl", rows), **({"id": "id"} if "id" in row else {}))
    with pytest.raises(InputError, match=message):
        list(sources.read("s", cfg))


def test_a_source_that_says_too_little_or_too_much_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"sources\.mine: give either `hub` or `files`"):
        sources.resolved(BuildConfig(sources={"mine": {"answer": "a"}}))
    with pytest.raises(ConfigError, match=r"sources\.mine: there is no column with references"):
        sources.resolved(BuildConfig(sources={"mine": {"files": "x.jsonl"}}))
    with pytest.raises(ConfigError, match=r"sources\.mine\.adapter: there is no 'nothing'"):
        sources.resolved(BuildConfig(sources={"mine": {"adapter": "nothing"}}))
    with pytest.raises(InputError, match=r"sources\.s: holds no problem"):
        list(sources.read("s", source(write(tmp_path / "rows.jsonl", []))))


def test_own_files_keep_an_adapter_s_columns(tmp_path):
    (tmp_path / "b.yaml").write_text(f"sources: {{mine: {{adapter: gsm8k, files: {tmp_path}/rows.jsonl}}}}")
    found = sources.resolved(load(BuildConfig, [tmp_path / "b.yaml"]))["mine"]
    assert (found.hub, found.problem, found.solution) == (None, "question", "answer")
    taken = {"aime": {"files": "rows.jsonl", "drop": {}, "level": None}}
    found = sources.resolved(BuildConfig(sources=taken))["aime"]
    assert (found.problem, found.drop, found.level, found.id) == ("Question", {}, None, "ID")
