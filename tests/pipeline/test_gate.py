"""The promotion gate: a round that solves fewer held-out problems warns, stops, or hands on the models of before."""

import json

import orjson
import pytest

from rstar.errors import RecipeDrift, StageFailed
from rstar.pipeline import inspect
from rstar.pipeline.gate import gate_stage, let_pass, promoted, regression
from rstar.pipeline.prepare import paths_of, required
from rstar.pipeline.round import evolve, search, select
from rstar.pipeline.train import policy_stage
from rstar.store.manifest import check, read
from tests.pipeline import tiny

THREE = [
    {},
    {"search": {"annotation": "ppm"}, "retry": [3], "policy": {"start": "previous", "steps": 20}},
    {"search": {"rollouts": 2}, "policy": {"start": "previous", "steps": 5}},
]


def made_worse(copy, *overrides):
    """A run whose round 2 solved nothing that round 1 solved, as its answers say, and whose gate has not been asked."""
    run = copy / "runs" / "tiny"
    cfg = tiny.config(copy, f"rounds={json.dumps(THREE)}", "gate.p=1", *overrides)
    for name in ("policy", "search"):
        path = run / "round-2" / "eval" / name / "answers.jsonl"
        rows = [{**orjson.loads(line), "correct": False} for line in path.read_bytes().splitlines()]
        path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    for path in (run / "round-2" / "gate").iterdir():
        path.unlink()
    gate_stage(cfg, 2)
    return cfg


def test_the_gate_of_the_finished_run_holds_its_answers_against_each_other(run, finished):
    told = read(run / "round-2" / "gate").metrics
    rows = [
        {row["id"]: row["correct"] for row in map(orjson.loads, path.read_bytes().splitlines())}
        for path in (run / f"round-{n}" / "eval" / "policy" / "answers.jsonl" for n in (1, 2))
    ]
    gained = sum(rows[1][name] - rows[0][name] for name in rows[0])
    assert told["policy"]["difference"] == pytest.approx(gained / len(rows[0]))
    assert (told["against"], promoted(tiny.config(finished), 2)) == (1, 1)
    assert check(run / "round-2" / "gate") == ([], [])


def test_a_regression_is_told_and_by_default_lets_the_next_round_pass(copy):
    cfg = made_worse(copy)
    summary = inspect.summaries(copy / "runs" / "tiny")[1]
    assert "policy" in summary["gate"]["regressed"]
    assert "round 2 solves fewer held-out problems than round 1: policy -" in str(regression(summary))
    let_pass(cfg, 2, summary)
    assert promoted(cfg, 3) == 2


def test_it_stops_where_that_was_asked_and_says_how_to_go_on(copy):
    cfg = made_worse(copy, "gate.on_regression=stop")
    with pytest.raises(StageFailed, match=r"stops here.*gate\.json.*gate\.on_regression=warn"):
        let_pass(cfg, 2, inspect.summaries(copy / "runs" / "tiny")[1])


def test_it_rolls_back_to_the_models_of_the_last_promoted_round(copy):
    cfg = made_worse(copy, "gate.on_regression=rollback")
    assert promoted(cfg, 3) == 1
    paths = paths_of(cfg)
    made = search(cfg, 3)
    assert made.inputs["policy"] == required(paths.round(1).policy).fingerprint
    select(cfg, 3)
    trained = policy_stage(cfg, 3, lambda *_: None)
    assert trained.inputs["start"] == required(paths.round(1).policy).fingerprint


def test_a_tie_is_no_regression(copy):
    cfg = tiny.config(copy, "gate.p=1")
    for path in (copy / "runs" / "tiny" / "round-2" / "gate").iterdir():
        path.unlink()
    before = (copy / "runs" / "tiny" / "round-1" / "eval" / "policy" / "answers.jsonl").read_bytes()
    (copy / "runs" / "tiny" / "round-2" / "eval" / "policy" / "answers.jsonl").write_bytes(before)
    assert "policy" not in gate_stage(cfg, 2).metrics["regressed"]


def test_another_p_is_refused_once_a_round_was_judged_by_it(copy):
    before = (copy / "runs" / "tiny" / "run.json").read_bytes()
    with pytest.raises(RecipeDrift, match=r"gate\.p: 0\.05 -> 0\.01"):
        evolve(tiny.config(copy, "gate.p=0.01"))
    assert (copy / "runs" / "tiny" / "run.json").read_bytes() == before
