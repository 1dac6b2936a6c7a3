"""What is finished is reused, what is owed is made, and what was made otherwise is refused, before anything changes."""

import gzip
import json
import shutil
from pathlib import Path

import pytest

from rstar.errors import Damaged, InputError, RecipeDrift
from rstar.pipeline import inspect
from rstar.pipeline.round import evolve, run_round, search, start
from rstar.store import manifest
from tests.pipeline import tiny


def remove(folder: Path, *stages: str) -> None:
    for stage in stages:
        shutil.rmtree(folder / "runs" / "tiny" / stage)


def test_the_same_command_again_changes_nothing(copy):
    before = tiny.files(copy)
    rounds = evolve(tiny.config(copy))
    after = tiny.files(copy)
    rewritten = {name for name in before if after[name] != before[name]}
    assert after.keys() == before.keys()
    # The words of the run are written again: the same ones.
    assert rewritten <= {"runs/tiny/run.json", "runs/tiny/report.md"} | {
        f"runs/tiny/round-{n}/spec.json" for n in (1, 2)
    }
    for name in rewritten - {"runs/tiny/run.json"}:  # which holds the paths of this call
        assert after[name][0] == before[name][0], name
    assert rounds == inspect.summaries(copy / "runs" / "tiny")


def test_a_run_is_continued_from_its_folder_alone(copy, monkeypatch):
    """Even where the files it was made from are gone."""
    for name in ("run.yaml", "train.jsonl", "test.jsonl", "worked.jsonl"):
        (copy / name).unlink()
    before = tiny.files(copy)
    monkeypatch.chdir(copy / "runs")
    evolve(inspect.config(["tiny"]))
    after = tiny.files(copy)
    stages = {name for name in before if name.count("/") > 2 and "spec.json" not in name}
    assert {name: before[name] for name in stages} == {name: after[name] for name in stages}


def test_files_that_moved_are_the_same_problems(copy):
    (copy / "elsewhere").mkdir()
    for name in ("train.jsonl", "test.jsonl", "worked.jsonl"):
        shutil.move(copy / name, copy / "elsewhere" / f"my-{name}")
    moved = {"train": "problems.train", "test": "problems.test", "worked": "bootstrap.demonstrations"}
    paths = [f"{key}={copy / 'elsewhere'}/my-{name}.jsonl" for name, key in moved.items()]
    before = tiny.files(copy / "runs" / "tiny" / "problems")
    start(tiny.config(copy, *paths), 1)
    assert tiny.files(copy / "runs" / "tiny" / "problems") == before


DRIFTS = [
    ("seed=2", "seed: 1 -> 2"),
    ("grammar.observe=true", "grammar.observe: False -> True"),
    ("model.hidden=64", "model.hidden: 32 -> 64"),
    ("control=false", "control: True -> False"),
    ("evaluate.search_problems=1", "evaluate.search_problems: 2 -> 1"),
    ("bootstrap.noise=0.5", "bootstrap.noise: 0.3 -> 0.5"),
    ("sandbox.limits.cpu_s=1", "sandbox.limits.cpu_s: 5.0 -> 1.0"),
    ("rounds.1.search.rollouts=5", "rounds.1.search.rollouts: 4 -> 5"),
    ("rounds.1.retry=[]", "rounds.1.retry: [3] -> []"),
    ("rounds.0.select.top=3", "rounds.0.select.top: 2 -> 3"),
    ("rounds.1.policy.lr=0.5", "rounds.1.policy.lr: 0.01 -> 0.5"),
    ("rounds.0.ppm.steps=11", "rounds.0.ppm.steps: 10 -> 11"),
    ("rounds.1.ppm=null", "rounds.1.ppm: "),
]


@pytest.mark.parametrize(("override", "said"), DRIFTS, ids=[override for override, _ in DRIFTS])
def test_another_recipe_is_refused_before_anything_changes(tmp_path, finished, override, said):
    # Drift is found before a stage is opened: the finished run itself can be asked, and is not changed.
    before = tiny.files(finished)
    cfg = tiny.config(finished, override)
    for number in (1, 2):
        with pytest.raises(RecipeDrift) as caught:
            run_round(cfg, number)
        assert said in str(caught.value)
        assert caught.value.exit_code == 3
    assert tiny.files(finished) == before


def test_other_problems_are_another_recipe(copy):
    rows = (copy / "train.jsonl").read_text()
    (copy / "train.jsonl").write_text(rows.replace("Start with 11", "Start with 12"))
    before = tiny.files(copy)
    with pytest.raises(RecipeDrift, match=r"recipe\.problems\.train: sha256:.* -> sha256:"):
        evolve(tiny.config(copy))
    assert tiny.files(copy) == before


RUNTIME = [
    "engine.max_batch=3",
    "engine.score_batch=2",
    "runtime.max_live=2",
    "runtime.parallel_training=1",
    "sandbox.workers=1",
    "policy.micro_batch=4",
    "rounds.1.ppm.gradient_checkpointing=true",
]


@pytest.mark.parametrize("override", RUNTIME)
def test_how_it_runs_is_no_recipe(copy, override):
    start(tiny.config(copy, override), 1)
    start(tiny.config(copy, override), 2)


def test_another_round_may_follow(copy):
    one = json.dumps(
        [{}, {"search": {"annotation": "ppm"}, "retry": [3], "policy": {"start": "previous", "steps": 20}}, {}]
    )
    start(tiny.config(copy, f"rounds={one}"), 3)
    stored = json.loads((copy / "runs" / "tiny" / "run.json").read_text())["config"]
    assert len(stored["rounds"]) == 3


def test_only_the_owed_trees_are_searched(copy):
    """A search stage of which half of the trees are gone ends as it had ended before."""
    stage = copy / "runs" / "tiny" / "round-2" / "search"
    whole = manifest.read(stage)
    first = stage / "trees" / "pass-0-00000.jsonl.gz"
    sealed = {path.name: path.read_bytes() for path in (stage / "trees").iterdir()}
    lines = gzip.decompress(first.read_bytes()).splitlines(keepends=True)
    kept = lines[1::2]
    for path in (stage / "trees").iterdir():
        path.unlink()
    # As a killed process leaves it: in the order of completion, the last line torn.
    (stage / "trees" / "pass-0-00000.jsonl").write_bytes(b"".join(reversed(kept)) + lines[0][:-20])
    opened = whole.model_copy(update={"status": "open", "parts": [], "metrics": {}, "seconds": None})
    (stage / "manifest.json").write_text(opened.model_dump_json())
    told: list[tuple[str, int, int]] = []
    made = search(tiny.config(copy), 2, lambda *what: told.append(what))
    assert told[0] == ("round 2 search", len(kept), len(lines))
    assert {path.name: path.read_bytes() for path in (stage / "trees").iterdir()} == sealed
    assert (made.parts, made.metrics, made.fingerprint) == (whole.parts, whole.metrics, whole.fingerprint)
    assert inspect.check(copy / "runs" / "tiny")[2] == []


def test_a_summary_that_is_gone_is_made_again_from_its_stages(copy):
    run = copy / "runs" / "tiny"
    before = {name: data for name, (data, _) in tiny.files(run).items() if name.endswith("report.json")}
    page = (run / "report.md").read_bytes()
    remove(copy, "round-1/eval/report", "round-2/eval/report")
    (run / "report.md").unlink()
    evolve(tiny.config(copy))
    assert {name: data for name, (data, _) in tiny.files(run).items() if name.endswith("report.json")} == before
    assert (run / "report.md").read_bytes() == page


def test_selection_is_made_again_from_the_trees(copy):
    from rstar.pipeline.round import select

    stage = copy / "runs" / "tiny" / "round-2" / "select"
    before = manifest.read(stage)
    remove(copy, "round-2/select")
    after = select(tiny.config(copy), 2)
    assert (after.parts, after.metrics) == (before.parts, before.metrics)


def test_a_checkpoint_whose_manifest_was_not_sealed_is_taken(copy):
    """A kill between the rename of the checkpoint and the manifest costs no training."""
    from rstar.pipeline.progress import silent
    from rstar.pipeline.train import ppm_stage

    stage = copy / "runs" / "tiny" / "round-2" / "ppm"
    whole = manifest.read(stage)
    opened = whole.model_copy(update={"status": "open", "parts": [], "metrics": {}, "seconds": None})
    (stage / "manifest.json").write_text(opened.model_dump_json())
    before = tiny.files(stage / "checkpoint")
    made = ppm_stage(tiny.config(copy), 2, silent)
    assert (made.parts, made.metrics) == (whole.parts, whole.metrics)
    assert tiny.files(stage / "checkpoint") == before


def test_a_damaged_run_file_is_named(copy):
    (copy / "runs" / "tiny" / "run.json").write_text("{")
    with pytest.raises(Damaged, match=r"run\.json"):
        evolve(tiny.config(copy))
    with pytest.raises(Damaged, match=r"run\.json"):
        inspect.config([str(copy / "runs" / "tiny")])


def test_a_run_may_have_any_folder_name_that_is_a_name(copy):
    for name in ("2024", "1e3", "null", "on", "007"):
        (copy / "runs" / "tiny").rename(copy / "runs" / name)
        cfg = inspect.config([str(copy / "runs" / name), "runtime.max_live=3"])
        assert (cfg.name, cfg.runtime.runs, cfg.runtime.max_live) == (name, copy / "runs", 3)
        (copy / "runs" / name).rename(copy / "runs" / "tiny")


def test_a_run_may_lie_anywhere(copy, monkeypatch):
    place = copy / "my runs #1: the first"
    (copy / "runs").rename(place)
    cfg = inspect.config([str(place / "tiny")])
    assert cfg.runtime.runs == place
    monkeypatch.chdir(place / "tiny")
    assert inspect.config(["."]).name == "tiny"


def test_a_setting_for_all_rounds_of_a_run_is_refused_because_it_would_change_nothing(run):
    with pytest.raises(InputError, match=r"policy\.steps=3: .* rounds\.0\.policy\.steps=3"):
        inspect.config([str(run), "policy.steps=3"])
    assert inspect.config([str(run), "rounds.1.policy.steps=3"]).rounds[1].policy.steps == 3
