"""The smallest evolution of COUNTDOWN: a base stage, an exploration floor, replayed rows, moves that are verified."""

import functools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rstar.config.load import load
from rstar.config.run import RunConfig
from rstar.core.verdict import Verdict
from rstar.data import sets
from rstar.errors import ConfigError, InputError, RecipeDrift
from rstar.pipeline import base as base_module
from rstar.pipeline import inspect
from rstar.pipeline import round as round_module
from rstar.pipeline.base import base
from rstar.pipeline.prepare import turn_of
from rstar.pipeline.round import evolve, run_round, start
from rstar.pipeline.search import search_stage
from rstar.store import manifest
from rstar.store.trees import read_trees
from rstar.text.grammar import program
from tests.cli.calling import rstar
from tests.pipeline import tiny

ROOT = Path(__file__).parents[2]
CONFIG = """\
name: tiny
problems: {kind: countdown, train: {L2: 6, L3: 6}, test: 3}
task: countdown
grammar: {observe: true, answer: printed}
bootstrap: {kind: teacher, problems: {L2: 12, L3: 6}}
model: {kind: tiny, hidden: 32, layers: 2, heads: 2, ffn: 64, context: 160, tokenizer: {numbers: whole}}
base:
  kind: countdown
  rows: 300
  train: {batch: 32, micro_batch: 32, steps: 40, optimizer: muon, lr: 1.0e-2, max_length: 160,
    augment: {kind: countdown}}
search: {rollouts: 4, candidates: 6, max_depth: 6, max_tokens: 20}
explore: {share: 0.5, by: base}
select: {pool: newest, replay: 5}
policy: {batch: 16, micro_batch: 16, steps: 5, optimizer: muon, lr: 3.0e-3, max_length: 160}
ppm: null
control: true
evaluate: {search: null, max_depth: 6, max_tokens: 20}
sandbox: {preload: []}
rounds:
  - {}
  - policy: {start: previous}
"""


def config(folder: Path, *overrides: str) -> RunConfig:
    (folder / "run.yaml").write_text(CONFIG, encoding="utf-8")
    return load(RunConfig, [folder / "run.yaml", f"runtime.runs={folder / 'runs'}", *overrides])


@functools.cache
def _evolved(folder: Path) -> Path:
    evolve(config(folder))
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    return _evolved(tmp_path_factory.mktemp("countdown"))


def run(folder: Path) -> Path:
    return folder / "runs" / "tiny"


def test_every_correct_leaf_is_a_solution_by_replay(finished):
    found = [
        (tree.problem, tree.prefix(i), tree.nodes[i])
        for n in (1, 2)
        for tree in read_trees(run(finished) / f"round-{n}" / "search" / "trees")
        for i in tree.leaves()
        if tree.nodes[i].verdict is not None
    ]
    assert {node.verdict for _, _, node in found} == {Verdict.EQUIVALENT, Verdict.DIFFERENT}
    for problem, text, node in found:
        assert node.answer == program(text)
        target = (problem.answer or "").rpartition(" ")[2]
        assert (node.verdict is Verdict.EQUIVALENT) == text.endswith(f"Numbers {target} -> {target}<end_of_output>")
        assert (problem.setup or "").startswith("left, target = [")


def test_rounds_and_control_start_from_the_trained_base(finished):
    trained = manifest.read(run(finished) / "pretrained")
    untrained = manifest.read(run(finished) / "base")
    assert trained.inputs == {"start": untrained.fingerprint}
    policies = [manifest.read(run(finished) / f"round-{n}" / "policy") for n in (1, 2)]
    control = manifest.read(run(finished) / "round-2" / "control")
    assert policies[0].inputs["start"] == trained.fingerprint
    assert policies[1].inputs["start"] == control.inputs["start"] == policies[0].fingerprint
    assert manifest.read(run(finished) / "round-2" / "search").inputs["base"] == trained.fingerprint
    assert inspect.check(run(finished))[1:] == ([], [])


def test_the_base_is_trained_on_the_outputs_too(finished):
    """It has learned what moves lead to: the loss on outputs was part of its loss, and is not of the policy's."""
    plays = pq.read_table(run(finished) / "pretrained" / "plays.parquet")
    assert plays.num_rows == 300
    metrics = manifest.read(run(finished) / "pretrained").metrics
    assert metrics["rows"] == 300
    assert metrics["steps"] == 40


def test_replayed_rows_are_drawn_anew_and_not_carried_over(finished):
    rows = [pq.read_table(run(finished) / f"round-{n}" / "select" / "sft.parquet").to_pylist() for n in (1, 2)]
    replayed = [[row["solution"] for row in its if row["round"] == 0] for its in rows]
    assert [len(its) for its in replayed] == [5, 5]
    assert replayed[0] != replayed[1]
    assert all("-> ?" in row["prompt"] for its in rows for row in its if row["round"] == 0)
    assert json.loads((run(finished) / "round-2" / "select" / "trust.json").read_text())["sft_replayed"] == 5


def test_the_same_command_again_changes_nothing(finished):
    before = tiny.files(run(finished))
    evolve(config(finished))
    after = tiny.files(run(finished))
    assert {name for name in before if before[name][0] != after[name][0]} == set()


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("base.rows=301", "base.rows: 300 -> 301"),
        ("base.train.lr=1", "base.train.lr: 0.01 -> 1.0"),
        ("rounds.1.explore.share=0.3", "rounds.1.explore.share: 0.5 -> 0.3"),
        ("rounds.1.explore=null", "rounds.1.explore: "),
        ("rounds.1.retry=[1] rounds.1.explore.after=1", "rounds.1.explore.after: "),
        ("rounds.1.search_problems=3", "rounds.1.search_problems: "),
        ("rounds.0.select.replay=4", "rounds.0.select.replay: 5 -> 4"),
    ],
)
def test_another_recipe_is_refused(finished, override, said):
    with pytest.raises(RecipeDrift) as caught:
        start(config(finished, *override.split(" ")), 2)
    assert said in str(caught.value)


def test_rounds_take_turns_with_the_problems_and_the_first_pass_may_go_without_exploring(
    finished, tmp_path, monkeypatch
):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(run(tmp_path) / "round-2")
    (run(tmp_path) / "run.json").unlink()
    cfg = config(tmp_path, "search_problems=4", "rounds=[{}, {retry: [2], explore: {after: 1}}, {}, {}]")
    train = sets.make(cfg).train
    turns = [[problem.id for problem in turn_of(cfg, number, train)] for number in (2, 3, 4)]
    ids = {level: [one.id for one in train if one.level == level] for level in ("L2", "L3")}
    assert turns[0] == [*ids["L2"][:4], *ids["L3"][:4]]
    around = [0, 1, 4, 5]  # the last two, and from the first again
    assert turns[1] == [ids[level][i] for level in ("L2", "L3") for i in around]
    assert turns[2] == [*ids["L2"][2:], *ids["L3"][2:]]
    passes = []

    def searched(it, cfg, problems, models, told, *rest):
        passes.extend(told)
        return search_stage(it, cfg, problems, models, told, *rest)

    monkeypatch.setattr(round_module, "search_stage", searched)
    run_round(cfg, 2)
    assert [(one.attempt, one.cfg.rollouts, one.explore) for one in passes] == [(0, 4, 0.0), (1, 2, 0.5)]
    trees = list(read_trees(run(tmp_path) / "round-2" / "search" / "trees"))
    assert [tree.problem.id for tree in trees if tree.attempt == 0] == turns[0]
    told = json.loads((run(tmp_path) / "round-2" / "search" / "manifest.json").read_text())["recipe"]
    assert (told["search_problems"], told["explore"]["after"]) == (4, 1)


def test_what_only_fits_into_memory_is_no_drift(finished):
    start(config(finished, "base.train.micro_batch=8"), 2)


def test_a_base_that_was_interrupted_goes_on(finished, tmp_path, monkeypatch):
    """Killed while it trained, and killed between its checkpoint and its seal: in the end the same bytes."""
    kept = run(finished) / "pretrained"
    wanted = {
        part.path: part.sha256 for part in manifest.read(kept).parts if part.path.endswith((".safetensors", "parquet"))
    }
    cfg = config(tmp_path)
    start(cfg, 1)
    jobs = []

    def stop(*_: object, **__: object) -> None:
        jobs.append("began")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(base_module, "trained", stop)
        with pytest.raises(KeyboardInterrupt):
            base(cfg)
    assert jobs == ["began"]
    mine = run(tmp_path) / "pretrained"
    assert manifest.read(mine).status == "open"
    shutil.copytree(kept / "checkpoint", mine / "checkpoint")
    base(cfg)
    assert manifest.read(mine).status == "complete"
    assert wanted.items() <= {part.path: part.sha256 for part in manifest.read(mine).parts}.items()


WRONG = [
    ("task=math", "task: problems of kind `countdown`"),
    ("grammar.observe=false", "grammar.observe: "),
    ("problems.train.L9=1", "problems.train.L9: there is no such level (levels: L2, L3, L4, L5)"),
    ("bootstrap.problems.L1=1", "bootstrap.problems.L1: there is no such level"),
    ("explore.after=1", "rounds.1.explore.after: there is no pass 1 in `retry`"),
    ("base=null", "rounds.0.select.replay: there is no `base` of plays to replay"),
    ("problems={kind: words} explore.by=play", "rounds.0.explore.by: `play` knows problems of kind `countdown` only"),
]


@pytest.mark.parametrize(("overrides", "said"), WRONG)
def test_wrong_settings_are_named(tmp_path, overrides, said):
    parts = ["problems={kind: words}", "explore.by=play"] if " explore" in overrides else [overrides]
    with pytest.raises(ConfigError) as caught:
        sets.make(config(tmp_path, *parts))
    assert said in str(caught.value)


def test_the_floor_is_measured_without_a_model(tmp_path):
    (tmp_path / "run.yaml").write_text(CONFIG, encoding="utf-8")
    words = [sys.executable, "benchmarks/floor.py", str(tmp_path / "run.yaml"), "--seeds", "1", "2", "--alone"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    (row,) = told["coverage"]
    assert (row["round"], row["searched by"]) == (2, "random play")
    assert 0 < row["L3"] < row["L2"] <= 1
    assert set(row["all"]["by_seed"]) == {"1", "2"}
    assert list(tmp_path.iterdir()) == [tmp_path / "run.yaml"]
    done = subprocess.run([*words, "--rounds", "3"], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert (done.returncode, "there is no round 3 that searches" in done.stderr) == (2, True)


def test_an_evolution_is_judged_on_problems_that_it_never_saw(tmp_path):
    (tmp_path / "run.yaml").write_text(CONFIG, encoding="utf-8")
    short = ["rounds=[{}]", "base.train.steps=5", f"runtime.runs={tmp_path / 'runs'}", "problems.test=20"]
    words = [sys.executable, "benchmarks/evolution.py", str(tmp_path / "run.yaml"), *short, "--seeds", "1"]
    done = subprocess.run([*words, "--test-seed", "5"], cwd=ROOT, capture_output=True, text=True, timeout=300)
    told = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, told["ok"]) == (1, False)  # one round gains nothing over itself
    (folder,) = (tmp_path / "runs" / "tiny-seed-1" / "paper").glob("evaluate-*")
    asked = {tree.problem.text for tree in read_trees(folder / "trees")}
    assert told["problems"] == len(asked)
    own = sets.make(load(RunConfig, [tmp_path / "run.yaml", *short]))
    assert not asked & {problem.text for problem in (*own.train, *own.test, *(one.problem for one in own.bootstrap))}

    page = tmp_path / "results.md"
    evolution = json.dumps([str(tmp_path / "run.yaml"), *short, "control=true"])
    places = [f"runs={tmp_path / 'runs'}", f"out={page}"]
    table = rstar("paper", "policy", f"evolution={evolution}", "seeds=[1]", *places, "test_seed=5", "-q", "--json")
    assert table.returncode == 0, table.stderr
    said = json.loads(table.stdout)
    assert (said["table"], said["title"].endswith(", on held-out problems of seed 5")) == ("policy-5", True)
    assert said["grids"][0][0]["policy"]["mean"] == pytest.approx(told["policy"][0] / 100, abs=1e-4)
    assert "<!-- policy-5 -->" in page.read_text(encoding="utf-8")
    assert list(folder.parent.iterdir()) == [folder]  # the evaluation above, not another


def test_problems_of_ones_own(tmp_path):
    from rstar.data.jsonl import read_problems

    path = tmp_path / "own.jsonl"
    path.write_text('{"id": 1, "numbers": [3, 8, 2], "target": 22}\n', encoding="utf-8")
    (one,) = read_problems(path, "countdown")
    assert (one.id, one.text, one.answer) == ("1", "Numbers 8 3 2 -> 22", "8 3 2 -> 22")
    assert (one.setup or "").startswith("left, target = [8, 3, 2], 22\n")
    path.write_text('{"id": 1, "numbers": [3], "target": 22}\n', encoding="utf-8")
    with pytest.raises(InputError, match="field 'numbers'"):
        read_problems(path, "countdown")


def test_a_problem_typed_by_hand(tmp_path):
    cfg = config(tmp_path)
    for text in ("8 3 2 -> 22", " Numbers 2 3 8 -> 22 "):
        one = sets.typed(cfg, text)
        assert (one.text, one.answer) == ("Numbers 8 3 2 -> 22", None)
        assert one.setup
    with pytest.raises(InputError, match="not a puzzle"):
        sets.typed(cfg, "make 22 of 8 3 2")
