"""A training file out of sources: the funnel, planted overlaps and duplicates, and the real files."""

import json
from pathlib import Path
from typing import Any

import pytest

from rstar.config.data import BuildConfig
from rstar.data.jsonl import read_problems
from rstar.errors import InputError
from rstar.pipeline.build import REASONS, Report, build
from tests.cli.calling import rstar

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not (SHARED / "train").is_dir(), reason=f"no data at {SHARED}")

LONG = "A farmer has 17 sheep, all but 9 of them run away over the hill to the north. How many sheep are left?"
STORY = "A shop sells pens in boxes of 12 and pencils in boxes of 20. Ann buys 3 boxes of pens and 2 boxes of pencils."


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def config(tmp_path: Path, rows: list[dict[str, Any]], held: list[str], **more: Any) -> BuildConfig:
    write(tmp_path / "held.jsonl", [{"id": f"h{i}", "problem": text, "answer": "1"} for i, text in enumerate(held)])
    rows = [{"id": str(i), **row} for i, row in enumerate(rows)]
    given = {"files": write(tmp_path / "rows.jsonl", rows), "id": "id", "answer": "answer"}
    return BuildConfig(sources={"s": given}, benchmarks=(str(tmp_path / "held.jsonl"),), **more)


def test_what_is_left_out_is_counted_once_and_listed_with_its_reason(tmp_path):
    rows = [
        {"problem": STORY + " How many pens has she?", "answer": "36"},  # 0 stays
        {"problem": STORY + " How many pens  has she", "answer": "36.0"},  # 1 the same up to punctuation
        {"problem": STORY + " How many pencils has she?", "answer": "40"},  # 2 stays: another question
        {"problem": "Well: " + STORY + " How many pens has she?", "answer": "36"},  # 3 nearly the words of 0
        {"problem": STORY.replace("12", "13") + " How many pens has she?", "answer": "39"},  # 4 stays: other numbers
        {"problem": r"What is $\frac{1}{2} + 1$?", "answer": "3/2"},  # 5 conflicts with 6
        {"problem": r"What is \(\dfrac12+1\)?", "answer": "2"},  # 6
        {"problem": "Prove that it is so.", "answer": "proof"},  # 7
        {"problem": "", "answer": "3"},  # 8
        {"problem": LONG, "answer": "9"},  # 9 is in the benchmark
    ]
    report = build(config(tmp_path, rows, [LONG]), tmp_path / "out.jsonl")
    assert [row["id"] for row in lines(tmp_path / "out.jsonl")] == ["s/0", "s/2", "s/4"]
    dropped = {row["id"]: (row["reason"], row.get("other")) for row in lines(tmp_path / "out.dropped.jsonl")}
    assert dropped == {
        "s/1": ("duplicate", "s/0"),
        "s/3": ("near-duplicate", "s/0"),
        "s/5": ("conflict", "s/6"),
        "s/6": ("conflict", "s/5"),
        "s/7": ("unverifiable: no_answer", None),
        "s/8": ("no text", None),
    }
    counts = report.counts["s"]
    assert counts["rows"] == len(rows) == sum(counts[reason] for reason in REASONS if reason != "rows")
    assert report.counts["all"] == counts
    assert Report.model_validate_json((tmp_path / "out.report.json").read_text()) == report
    assert [problem.source for problem in read_problems(tmp_path / "out.jsonl")] == ["s"] * 3


def test_the_hit_list_of_planted_overlaps_is_exact_and_holds_both_texts(tmp_path):
    short = r"Compute $\sin 60^\circ$."
    rows = [
        {"problem": LONG, "answer": "9"},
        {"problem": "Once more: " + LONG[:70], "answer": "9"},
        {"problem": r"Compute \( \sin 60^{\circ} \)", "answer": "1"},
        {"problem": "Find the sum of the first ten odd numbers.", "answer": "100"},
    ]
    build(config(tmp_path, rows, [LONG, short]), tmp_path / "out.jsonl")
    hits = lines(tmp_path / "out.hits.jsonl")
    assert [(hit["id"], hit["benchmark"], hit["benchmark_id"], hit["rule"]) for hit in hits] == [
        ("s/0", "held", "h0", "text"),
        ("s/1", "held", "h0", "words"),
        ("s/2", "held", "h1", "text"),
    ]
    assert [(hit["problem"], hit["benchmark_problem"]) for hit in hits] == [
        (rows[0]["problem"], LONG),
        (rows[1]["problem"], LONG),
        (rows[2]["problem"], short),
    ]
    assert [row["id"] for row in lines(tmp_path / "out.jsonl")] == ["s/3"]


def test_a_wrong_row_leaves_nothing_behind(tmp_path):
    cfg = config(tmp_path, [{"problem": "What is 1 + 1?", "answer": "2"}, {"problem": "P", "answer": {"x": 1}}], [LONG])
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match=r"rows\.jsonl, row 2, field 'answer'"):
        build(cfg, tmp_path / "out.jsonl")
    assert sorted(tmp_path.iterdir()) == before


def test_the_training_file_never_takes_the_place_of_what_it_is_read_from(tmp_path):
    cfg = config(tmp_path, [{"problem": "What is 1 + 1?", "answer": "2"}], [LONG])
    (tmp_path / "held.jsonl").rename(tmp_path / "a.hits.jsonl")
    (tmp_path / "rows.jsonl").rename(tmp_path / "b.report.json")
    source = {"files": [str(tmp_path / "b.report.json")], "id": "id", "answer": "answer"}
    cfg = BuildConfig(sources={"s": source}, benchmarks=(str(tmp_path / "a.hits.jsonl"),))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for out, name in (("a.jsonl", "a.hits.jsonl"), ("a.hits.jsonl", "a.hits.jsonl"), ("b.jsonl", "b.report.json")):
        with pytest.raises(InputError, match=rf"--out: .*{name} is read as a source or a benchmark"):
            build(cfg, tmp_path / out)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("what", ["jsonl", "hits.jsonl", "dropped.jsonl", "report.json"])
def test_a_folder_where_a_file_is_to_be_is_named_before_anything_is_written(tmp_path, what):
    cfg = config(tmp_path, [{"problem": "What is 1 + 1?", "answer": "2"}], [LONG])
    (tmp_path / f"out.{what}").mkdir()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match=r"--out: .*out"):
        build(cfg, tmp_path / "out.jsonl")
    assert sorted(tmp_path.iterdir()) == before


def test_long_whole_numbers_keep_their_digits(tmp_path):
    number = 123456789012345678901234
    build(config(tmp_path, [{"problem": "What is it?", "id": number, "answer": number}], [LONG]), tmp_path / "o.jsonl")
    (row,) = lines(tmp_path / "o.jsonl")
    assert (row["id"], row["answer"]) == (f"s/{number}", str(number))
    (tmp_path / "p.jsonl").write_text(f'{{"id": 1, "problem": "P", "answer": {number}}}\n')
    assert read_problems(tmp_path / "p.jsonl")[0].answer == str(number)


def test_the_same_sources_give_the_same_bytes(tmp_path):
    cfg = config(tmp_path, [{"problem": f"What is {i} + {i}?", "answer": str(2 * i)} for i in range(20)], [LONG])
    first = build(cfg, tmp_path / "one.jsonl")
    assert build(cfg, tmp_path / "two.jsonl") == first


def test_the_command_says_what_is_wrong_and_where(tmp_path):
    (tmp_path / "b.yaml").write_text("sources: {s: {files: none.jsonl, answer: answer}}\n")
    told = rstar("data", "build", "b.yaml", "--out", "out.jsonl", folder=tmp_path)
    assert (told.returncode, told.stdout) == (2, "")
    assert "none.jsonl: cannot be read (No such file or directory)" in told.stderr
    told = rstar("data", "build", "b.yaml", "--out", "out.txt", folder=tmp_path)
    assert told.returncode == 2
    assert "--out: out.txt is to be a file that ends in .jsonl" in told.stderr


@needs_data
@pytest.mark.timeout(240)
def test_real_files_are_built_and_what_is_planted_among_them_is_found(tmp_path):
    """Two hundred rows of each training file, among them copies of benchmark problems in other dress."""
    held = [row for name in ("math500", "gsm8k") for row in lines(SHARED / "benchmarks" / f"{name}.jsonl")[:40]]
    planted = [
        {"id": f"planted-{row['id']}", "problem": f"  {row['problem'].upper()} ", "answer": row["answer"]}
        for row in held
    ]
    train = [
        row for name in ("gsm8k_train", "math_train_7500") for row in lines(SHARED / "train" / f"{name}.jsonl")[:200]
    ]
    rows = [{key: row[key] for key in ("id", "problem", "answer")} for row in train] + planted
    cfg = BuildConfig(
        sources={"s": {"files": write(tmp_path / "rows.jsonl", rows), "id": "id", "answer": "answer"}},
        benchmarks=tuple(str(path) for path in sorted((SHARED / "benchmarks").glob("*.jsonl"))),
    )
    report = build(cfg, tmp_path / "out.jsonl")
    whole = {(hit["id"], hit["benchmark_id"]) for hit in lines(tmp_path / "out.hits.jsonl") if hit["rule"] != "words"}
    assert whole == {(f"s/planted-{row['id']}", row["id"]) for row in held}
    counts = report.counts["s"]
    assert counts["kept"] > 300
    assert not {row["id"] for row in lines(tmp_path / "out.jsonl")} & {f"s/{row['id']}" for row in planted}
