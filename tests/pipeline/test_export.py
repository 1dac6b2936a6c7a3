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
    assert len(read_problems(exported / "rstar" / "eval.json")) == 10
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


def test_the_trust_report_is_shown(exported):
    run = tiny.evolved() / "runs" / "tiny"
    done = rstar("data", "trust", run, "--round", 1, "--json")
    told = json.loads(done.stdout)
    assert told["trust"]["coverage"]["level"]["easy"]["problems"] == 10
    assert sum(told["trust"]["steps"].values()) == told["sft_fresh"]
    assert "solved %" in rstar("data", "trust", run, "--round", 1).stdout
