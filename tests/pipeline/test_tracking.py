"""A round whose stages are tracked by real W&B, offline: a run for each, and the same results as without."""

import json
from pathlib import Path

import pytest

from rstar.pipeline.base import base
from rstar.pipeline.progress import silent
from rstar.pipeline.round import search, select, start
from rstar.pipeline.tracking import COLUMNS
from rstar.pipeline.train import policy_stage, ppm_stage
from rstar.store import manifest
from tests.pipeline import tiny

wandb = pytest.importorskip("wandb", reason="needs wandb: pip install 'rstar[train]'")


def test_each_stage_is_a_run_of_the_evolutions_group(finished, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    tiny.prepare(tmp_path)
    short = ("rounds.0.policy.steps=3", "rounds.0.ppm.steps=2")
    cfg = tiny.config(tmp_path, "runtime.tracking.kind=wandb", "runtime.tracking.every_s=0.02", *short)
    start(cfg, 1)
    base(cfg)
    search(cfg, 1)
    select(cfg, 1)
    policy_stage(cfg, 1, silent)
    ppm_stage(cfg, 1, silent)
    wandb.teardown()

    run = tmp_path / "runs" / "tiny"
    texts = {path: path.read_bytes() for path in run.glob("wandb/offline-run-*/run-*.wandb")}
    named = {
        name: text
        for name in ("search", "policy", "ppm")
        for text in texts.values()
        if f"tiny/round-1/{name}".encode() in text
    }
    assert len(texts) == len(named) == 3
    for curve in (
        "search/rollouts_per_s",
        "search/tokens_per_s",
        "search/executions_per_s",
        "use/generate:policy",
        "queue/execute",
    ):
        assert curve.encode() in named["search"], curve
    for name in ("policy", "ppm"):
        assert b"train/loss" in named[name]
        assert b"train/learning_rate" in named[name]
    assert b"train/accuracy" in named["ppm"]

    (table,) = run.glob("wandb/offline-run-*/files/media/table/trajectories*.table.json")
    told = json.loads(table.read_text())
    assert tuple(told["columns"]) == COLUMNS
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in told["data"]]
    assert [row["problem"] for row in rows] == [row["id"] for row in tiny.KNOWN]
    solved = [row for row in rows if row["correct"]]
    assert solved
    assert all(row["reference"] in row["answer"] and "print(x)" in row["solution"] for row in solved)

    assert parts(run / "round-1" / "search") == parts(finished / "runs" / "tiny" / "round-1" / "search")


def parts(stage: Path) -> list[tuple[str, str]]:
    found = manifest.read(stage)
    assert found is not None
    return [(part.path, part.sha256) for part in found.parts]
