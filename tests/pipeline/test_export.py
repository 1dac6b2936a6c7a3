"""A round's data leaves the run, and a policy is trained from what left it alone."""

import json

import pytest

from rstar.data.jsonl import read_problems
from rstar.pipeline import inspect
from tests.cli.calling import rstar
from tests.pipeline import tiny

MODEL = ["model.kind=tiny", "model.hidden=32", "model.layers=2", "model.heads=2", "model.ffn=64", "model.context=128"]
SHORT = ["policy.steps=3", "policy.batch=4", "ppm.steps=2", "ppm.batch=4", "engine.device=cpu"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    run = tiny.evolved() / "runs" / "tiny"
    for form in ("parquet", "rstar"):
        done = rstar("export", run, "--out", folder / form, "--format", form, "--licence", "mit", "--round", 1)
        assert done.returncode == 0, done.stderr
    return folder


def test_the_folder_is_a_data_set_with_a_card(exported, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    counts = inspect.manifest.read(tiny.evolved() / "runs/tiny/round-1/select").metrics
    for name, rows in (("sft", counts["sft_rows"]), ("pairs", counts["pair_rows"]), ("problems", 10)):
        assert datasets.load_dataset(str(exported / "parquet"), name, split="train").num_rows == rows
    card = (exported / "parquet" / "README.md").read_text()
    assert "license: mit" in card
    assert f"| sft rows | {counts['sft_rows']} |" in card
    assert "| difficulty.medium |" in card
    assert "## Fingerprints" in card


def test_a_policy_and_a_ppm_are_trained_from_the_public_files_alone(exported, tmp_path):
    assert len(read_problems(exported / "rstar" / "problems.json")) == 10
    for name, kind in (("sft", "sft"), ("ppm", "ppm")):
        words = ("train", exported / "rstar" / f"{name}.json", *MODEL, *SHORT, "--out", tmp_path / name, "--json")
        done = rstar(*words)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["kind"] == kind
        assert (tmp_path / name / "checkpoint" / "model.safetensors").exists()
    assert rstar(*words).returncode == 0  # a finished training is reused


def test_nothing_is_overwritten_and_what_is_missing_is_named(exported, tmp_path):
    run = tiny.evolved() / "runs" / "tiny"
    done = rstar("export", run, "--out", exported / "parquet")
    assert (done.returncode, "exists already" in done.stderr) == (2, True)
    done = rstar("export", run, "--out", tmp_path / "x", "--round", 7)
    assert (done.returncode, "round 7 has no selected data yet" in done.stderr) == (2, True)
    done = rstar("train", tmp_path / "none.json", "--out", tmp_path / "t")
    assert (done.returncode, "none.json: cannot be read" in done.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ["parquet", "rstar"])
@pytest.mark.parametrize("file", ["round-1/select/sft.parquet", "round-1/select/pairs.parquet", "problems/train.jsonl"])
def test_damaged_data_does_not_leave_the_run(copy, form, file):
    run = copy / "runs" / "tiny"
    data = bytearray((run / file).read_bytes())
    data[len(data) // 2] ^= 0xFF
    (run / file).write_bytes(data)
    done = rstar("export", run, "--out", copy / "out", "--format", form, "--round", 1)
    assert (done.returncode, f"{file}: changed since it was sealed" in done.stderr) == (4, True), done.stderr
    assert "--repair" in done.stderr
    assert not (copy / "out").exists()


@pytest.mark.parametrize("report", ["", "{", "[]", '{"sha256": "x"}', '{"counts": [], "sha256": 3}'])
def test_a_report_that_no_build_wrote_is_named(tmp_path, report):
    (tmp_path / "set.jsonl").write_text('{"id": "a", "problem": "1 + 1?", "answer": "2"}\n')
    (tmp_path / "set.report.json").write_text(report)
    done = rstar("export", tmp_path / "set.jsonl", "--out", tmp_path / "out")
    assert (done.returncode, "set.report.json: not the report of a build" in done.stderr) == (4, True), done.stderr
    assert not (tmp_path / "out").exists()


def test_a_training_that_cannot_begin_leaves_nothing(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"query": "Q", "response": "R"}\n{"query": "Q"}\n')
    (tmp_path / "good.jsonl").write_text('{"query": "Q", "response": "R"}\n')
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    for words, message in (
        (("rows.jsonl", "--out", "t"), "rows.jsonl, line 2, field 'response'"),
        (("good.jsonl", "--out", "file"), "--out: file is a file"),
        (("good.jsonl", "--out", "file/t"), "--out: "),
        (("good.jsonl", "--out", "t", "--start", "empty"), "--start: empty is no checkpoint folder"),
        (("good.jsonl", "--out", "t", "--start", "none"), "--start: there is no folder none"),
        (("empty", "--out", "t"), "empty: cannot be read (it is a folder)"),
    ):
        done = rstar("train", *words, folder=tmp_path)
        assert (done.returncode, message in done.stderr) == (2, True), done.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_the_trust_report_is_shown(exported):
    run = tiny.evolved() / "runs" / "tiny"
    done = rstar("data", "trust", run, "--round", 1, "--json")
    told = json.loads(done.stdout)
    assert told["trust"]["coverage"]["level"]["easy"]["problems"] == 10
    assert sum(told["trust"]["steps"].values()) == told["sft_fresh"]
    assert "solved %" in rstar("data", "trust", run, "--round", 1).stdout
