"""A round's data leaves the run, and a policy is trained from what left it alone."""

import json
import subprocess

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
    (tmp_path / "ppm" / "checkpoint" / "model.safetensors").unlink()
    done = rstar(*words)
    assert (done.returncode, "model.safetensors: missing; remove" in done.stderr) == (4, True)


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
    pair = '{"prompt": "P", "pos": "a", "neg": "%s", "pos_count": %s}\n'
    (tmp_path / "equal.jsonl").write_text(pair % ("a", 1))
    (tmp_path / "huge.jsonl").write_text(pair % ("b", 3_000_000_000))
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "rows.parquet").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    for words, message in (
        (("rows.jsonl", "--out", "t"), "rows.jsonl, line 2, field 'response'"),
        (("huge.jsonl", "--out", "t"), "huge.jsonl, line 1, field 'pos_count'"),
        (("equal.jsonl", "--out", "t"), "equal.jsonl: there is no row whose `pos` and `neg` differ"),
        (("good.jsonl", "--out", "mine"), "--out: mine holds other things"),
        (("good.jsonl", "--out", "file"), "--out: file is a file"),
        (("good.jsonl", "--out", "file/t"), "--out: "),
        (("good.jsonl", "--out", "t", "--start", "empty"), "--start: empty is no checkpoint folder"),
        (("good.jsonl", "--out", "t", "--start", "none"), "--start: there is no folder none"),
        (("empty", "--out", "t"), "empty: cannot be read (it is a folder)"),
    ):
        done = rstar("train", *words, folder=tmp_path)
        assert (done.returncode, message in done.stderr) == (2, True), done.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_exports_at_once_are_one_and_nothing_of_others_is_touched(tmp_path):
    run = tiny.evolved() / "runs" / "tiny"
    (tmp_path / ".out.tmp").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    words = tiny.command("export", str(run), "--out", "out")
    running = [subprocess.Popen(words, cwd=tmp_path, stdout=-3, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    said = [(one.communicate()[1], one.returncode) for one in running]
    assert sorted(code for _, code in said) == [0, 2, 2], said
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.tmp", "link", "out"]
    assert (tmp_path / "out" / "README.md").is_file()
    assert rstar("export", run, "--out", tmp_path / "link").returncode == 2


RUINED = ["", "{", '{"config": []}', '{"config": {}}', '{"config": {"rounds": 3}}', '{"config": {"rounds": [{}]}}']


@pytest.mark.parametrize("words", [["status"], ["check"], ["report"], ["export", "--out", "x"], ["evolve"]])
def test_a_run_whose_config_is_ruined_is_damaged(copy, words):
    run = copy / "runs" / "tiny"
    for text in RUINED:
        (run / "run.json").write_text(text)
        done = rstar(words[0], run, *words[1:], folder=copy)
        assert (done.returncode, "run.json: not the config of a run" in done.stderr) == (4, True), (text, done.stderr)
    assert not (copy / "x").exists()


def test_a_run_of_another_place_is_read_and_its_config_is_a_fault(copy):
    run = copy / "runs" / "tiny"
    stored = json.loads((run / "run.json").read_text())
    stored["config"]["runtime"]["tracking"] = "off"
    (run / "run.json").write_text(json.dumps(stored))
    assert rstar("report", run).returncode == 0
    done = rstar("check", run)
    assert (done.returncode, "runtime.tracking" in done.stderr) == (4, True), done.stderr


def test_what_is_shown_of_a_damaged_run_is_nothing(copy):
    run = copy / "runs" / "tiny"
    (run / "round-1/eval/search/answers.jsonl").write_text("{")
    (run / "round-1/select/trust.json").write_text("[")
    (run / "round-2/search/trees/pass-0-00000.jsonl.gz").unlink()
    for words in (["report"], ["data", "trust", "--round", "1"], ["show", "--round", "2"]):
        done = rstar(*words[:-2] or words, run, *(words[-2:] if len(words) > 2 else []))
        assert (done.returncode, "--repair" in done.stderr) == (4, True), (words, done.stderr)


def test_the_trust_report_is_shown(exported):
    run = tiny.evolved() / "runs" / "tiny"
    done = rstar("data", "trust", run, "--round", 1, "--json")
    told = json.loads(done.stdout)
    assert told["trust"]["coverage"]["level"]["easy"]["problems"] == 10
    assert sum(told["trust"]["steps"].values()) == told["sft_fresh"]
    assert "solved %" in rstar("data", "trust", run, "--round", 1).stdout
