"""Questions are made, checked and kept with their parents; a killed stage goes on and ends like an undisturbed one."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import orjson
import pyarrow.parquet as pq
import pytest

from rstar.data.jsonl import read_problems
from rstar.pipeline.search import Models
from rstar.store import manifest
from tests.cli.calling import rstar
from tests.pipeline import augmenting, tiny

ROOT = Path(__file__).parents[2]
FILES = ("made.jsonl", "problems.jsonl", "sft.parquet")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    augmenting.run(folder)
    return folder / "out"


def rows(path: Path) -> list[dict]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def test_every_method_makes_questions_with_the_right_answers_and_their_parent_s_id(undisturbed):
    counts = manifest.read(undisturbed).metrics["methods"]
    assert set(counts) == set(augmenting.METHODS)
    assert all(its["asked"] == 6 for its in counts.values())
    assert all(its["kept"] >= 3 for its in counts.values()), counts
    parents = {row["id"]: row for row in tiny.KNOWN[:6]}
    problems = read_problems(undisturbed / "problems.jsonl")
    assert (
        len({problem.id for problem in problems})
        == len(problems)
        == sum(its["kept"] for method, its in counts.items() if method != "answers")
    )
    for problem in problems:
        parent = parents[problem.parent]
        assert problem.id == f"{parent['id']}/{problem.source}-0"
        if problem.source == "rephrase":
            assert problem.answer == parent["answer"]
        elif problem.source in ("fobar", "self_verification"):
            assert problem.answer in parent["problem"]
            assert problem.text.endswith("what is the value of the unknown variable x?") or "What is" in problem.text
        else:
            a, b, c, more = augmenting.SUM.search(problem.text).groups()
            assert int(problem.answer) == int(a) + int(b) - int(c) + int(more or 0)


def test_a_stage_that_cannot_begin_is_refused_at_once(tmp_path):
    tiny.write(tmp_path / "problems.jsonl", tiny.KNOWN[:2])
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    for policy, out, message in (
        ("empty", "out", "policy: empty is no checkpoint folder"),
        ("none", "file", "--out: file is a file"),
        ("none", "file/out", "--out: "),
        ("none examples=none.jsonl", "out", "none.jsonl"),
        ("none check.agree=11", "out", "11 of 10 solutions can never agree"),
    ):
        done = rstar("augment", "problems=problems.jsonl", *f"policy={policy}".split(), "--out", out, folder=tmp_path)
        assert (done.returncode, message in done.stderr) == (2, True), done.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_a_question_is_kept_if_three_of_ten_solutions_agree(undisturbed):
    for row in rows(undisturbed / "made.jsonl"):
        assert row["solved"] <= 10
        assert row["kept"] == (row["reason"] is None)
        assert not row["kept"] or row["agreeing"] >= 3


def test_where_too_few_agree_nothing_is_kept(tmp_path):
    found = augmenting.run(tmp_path, methods=("new", "rephrase"), check={"solutions": 6, "agree": 6})
    assert found.metrics["kept"] == 0
    assert all(reason.endswith("of 6 agree") for its in found.metrics["methods"].values() for reason in its["reasons"])
    assert rows(tmp_path / "out" / "problems.jsonl") == []


def test_answers_are_other_solutions_of_the_same_problem_and_all_are_training_rows(undisturbed):
    sft = pq.read_table(undisturbed / "sft.parquet").to_pylist()
    own = [row for row in sft if "/" not in row["problem_id"]]
    assert {row["problem_id"] for row in own} <= {row["id"] for row in tiny.KNOWN[:6]}
    assert own
    assert all(row["solution"].startswith("<code>\n# work it out") for row in sft)


@pytest.mark.timeout(240)
def test_kill_9_loses_nothing_and_nothing_is_done_twice(undisturbed, tmp_path):
    tiny.write(tmp_path / "problems.jsonl", tiny.KNOWN[:6])
    journal = tmp_path / "out" / "made.jsonl"
    before: list[bytes] = []
    for wanted in (4, 15):
        words = [sys.executable, "-m", "tests.pipeline.augmenting", str(tmp_path), "0.01"]
        running = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 100
        while not journal.exists() or journal.read_bytes().count(b"\n") < wanted:
            assert running.poll() is None, running.stderr.read().decode()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
        now = journal.read_bytes().split(b"\n")[:-1]
        assert now[: len(before)] == before
        assert max(Counter(orjson.loads(line)["key"] for line in now).values()) == 1
        before = now
    with journal.open("ab") as file:
        file.write(b'{"key": "torn')
    asked: list[str] = []
    script = augmenting.policy()
    models = Models({"policy": lambda call: (asked.append(call.prompt), script(call))[1]})
    augmenting.augment(augmenting.config(tmp_path), tmp_path / "out", models=models)
    assert len(asked) <= 11 * (42 - len(before))
    for name in FILES:
        assert (tmp_path / "out" / name).read_bytes() == (undisturbed / name).read_bytes()


def test_solutions_that_the_value_model_refuses_do_not_count(tmp_path):
    ppm = tiny.evolved() / "runs" / "tiny" / "round-1" / "ppm"
    models = Models({"policy": augmenting.policy()}, {"ppm": ppm / "checkpoint"})
    counted = []
    for least in (-1.0, 1.0):
        folder = tmp_path / str(least)
        folder.mkdir()
        cfg = augmenting.config(folder, ("answers",), value=ppm, check={"min_score": least})
        found = augmenting.augment(cfg, folder / "out", models=models)
        counted.append((found.metrics["kept"], [row["solved"] for row in rows(folder / "out" / "made.jsonl")]))
    (kept, solved), (none, refused) = counted
    assert kept >= 3
    assert min(solved) >= 3
    assert (none, set(refused)) == (0, {0})


def test_a_finished_stage_is_reused(undisturbed):
    def nobody(call):
        raise AssertionError("nothing is owed")

    times = {path.name: path.stat().st_mtime_ns for path in undisturbed.iterdir() if path.name != ".lock"}
    augmenting.augment(augmenting.config(undisturbed.parent), undisturbed, models=Models({"policy": nobody}))
    assert {path.name: path.stat().st_mtime_ns for path in undisturbed.iterdir() if path.name != ".lock"} == times
