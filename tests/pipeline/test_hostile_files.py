"""Files that are not what they should be: one clear error with file and line, little memory, nothing half-written."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.calling import rstar

GOOD = [{"id": str(i), "problem": f"What is {i} + {i}?", "answer": str(2 * i)} for i in range(2000)]
LINES = "".join(json.dumps(row) + "\n" for row in GOOD).encode()
LONG = 200 << 20
WATCHED = """
import pathlib, re
from rstar.cli import main
try:
    main()
finally:
    print(re.search(r"VmHWM:.*", pathlib.Path("/proc/self/status").read_text())[0])
"""
"""The command line, and then the most memory that the process had at once, in kB."""
MOST_KB = 350 << 10
"""Of a whole process; one that builds a small file needs 140 MB."""


def long_line(path: Path, head: bytes, tail: bytes) -> None:
    with path.open("wb") as file:
        file.write(LINES[: 1 + LINES.index(b"\n")] if not head.startswith(b"[") else b"")
        file.write(head)
        for _ in range(LONG >> 20):
            file.write(b"x" * (1 << 20))
        file.write(tail)


def truncated(data: bytes) -> bytes:
    return data[: len(data) // 2]


def parquet() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(GOOD), sink)
    return bytes(sink.getvalue())


def with_line(line: bytes) -> bytes:
    rows = LINES.splitlines(keepends=True)
    return b"".join([*rows[:3], line + b"\n", *rows[3:6]])


HOSTILE = {
    "cut.jsonl.gz": (truncated(gzip.compress(LINES)), "cut.jsonl.gz: cannot be decompressed"),
    "cut.json": (json.dumps(GOOD).encode()[:-9], "cut.json: the JSON list is cut short behind its element 1999"),
    "cut.jsonl": (truncated(LINES), "not a line of JSON"),
    "cut.parquet": (truncated(parquet()), "cut.parquet: cannot be read as Parquet behind row 0"),
    "noise.parquet": (b"PAR1" + os.urandom(500) + b"PAR1", "noise.parquet: cannot be read as Parquet behind row 0"),
    "latin.jsonl": (
        with_line('{"problem": "Größe", "answer": "1"}'.encode("latin-1")),
        "line 4: not a line of JSON in",
    ),
    "utf16.jsonl": (LINES.decode().encode("utf-16"), "utf16.jsonl, line 1: not a line of JSON in UTF-8"),
    "nan.jsonl": (with_line(b'{"id": "n", "problem": "P", "answer": NaN}'), "nan.jsonl, line 4: not a line of JSON"),
    "deep.jsonl": (
        with_line(b'{"answer": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        "deep.jsonl, line 4: not a line",
    ),
    "nested.jsonl": (
        with_line(b'{"id": "n", "problem": "P", "answer": {"value": {"value": 3}}}'),
        "nested.jsonl, row 4, field 'answer': a text or a number is expected, not a mapping",
    ),
    "list.jsonl": (with_line(b'["P", "3"]'), "list.jsonl, line 4: a JSON object is expected, not list"),
    "binary.jsonl": (with_line(bytes(range(1, 10)) + b"\xff\xfe"), "binary.jsonl, line 4: not a line of JSON in UTF-8"),
}


def config(folder: Path, name: str) -> list[str]:
    (folder / "b.yaml").write_text(f"sources: {{s: {{files: {name}, answer: answer, id: id}}}}\n")
    return ["data", "build", "b.yaml", "--out", "out.jsonl", "-q"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_build_stops_with_one_line_and_leaves_nothing(tmp_path, name):
    data, message = HOSTILE[name]
    (tmp_path / name).write_bytes(data)
    words = config(tmp_path, name)
    before = sorted(tmp_path.iterdir())
    done = rstar(*words, folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("name", "head", "tail", "message"),
    [
        ("long.jsonl", b'{"problem": "', b'", "answer": "1"}\n', "line 2: is longer than 16 MiB"),
        ("long.json", b'[{"problem": "', b'", "answer": "1"}]', "element 1: is longer than 16 MiB"),
    ],
)
def test_a_line_of_200_mb_is_never_held(tmp_path, name, head, tail, message):
    long_line(tmp_path / name, head, tail)
    words = [sys.executable, "-c", WATCHED, *config(tmp_path, name)]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    (tmp_path / name).unlink()
    assert done.returncode == 2
    assert message in done.stderr
    assert int(done.stdout.split()[1]) < MOST_KB
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.yaml"]


def test_answers_that_are_no_numbers_are_left_out_and_listed(tmp_path):
    table = pa.table(
        {"id": ["a", "b", "c"], "problem": ["P?", "Q?", "R?"], "answer": [1.5, float("nan"), float("inf")]}
    )
    pq.write_table(table, tmp_path / "rows.parquet")
    done = rstar(*config(tmp_path, "rows.parquet"), "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)["counts"]["s"]
    assert (counts["unverifiable"], counts["kept"]) == (2, 1)
    dropped = [json.loads(line)["id"] for line in (tmp_path / "out.dropped.jsonl").read_text().splitlines()]
    assert dropped == ["s/b", "s/c"]


def test_training_files_and_problem_files_are_read_as_carefully(tmp_path):
    (tmp_path / "sft.json.gz").write_bytes(
        truncated(gzip.compress(json.dumps([{"query": "Q", "response": "R"}] * 9).encode()))
    )
    done = rstar("train", "sft.json.gz", "--out", "t", folder=tmp_path)
    assert (done.returncode, "cannot be decompressed" in done.stderr) == (2, True)
    assert not (tmp_path / "t" / "rows.parquet").exists()
