"""Real W&B, offline, and real trackio, both writing into a folder of the test."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from rstar.tracking import Tracking, tracked

wandb = pytest.importorskip("wandb", reason="needs wandb: pip install 'rstar[train]'")
pytest.importorskip("trackio", reason="needs trackio: pip install 'rstar[train]'")


@pytest.fixture(autouse=True)
def nobody_is_logged_in(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"):
        monkeypatch.delenv(name, raising=False)


def how(kind: str, folder: Path) -> Tracking:
    return Tracking(kind=kind, group="demo", run="demo/round-1/search", job="search", id="abc123", folder=folder)


def test_nothing_is_tracked_unless_it_is_asked_for(tmp_path):
    with tracked(Tracking(folder=tmp_path)) as track:
        track.log({"loss": 1.0})
        track.table("rows", ["a"], [[1]])
        assert not track.on
    assert list(tmp_path.iterdir()) == []


def test_wandb_stays_offline_where_nobody_is_logged_in(tmp_path, capfd):
    with tracked(how("wandb", tmp_path), {"rollouts": 8}) as track:
        for step in range(3):
            track.log({"train/loss": 1.0 / (step + 1)}, step=step)
        track.table("trajectories", ["problem", "answer"], [["p", "42"]])
    wandb.teardown()  # its process has then written all it has
    assert capfd.readouterr().out == ""
    (file,) = tmp_path.glob("wandb/offline-run-*-abc123/run-abc123.wandb")
    written = file.read_bytes()  # records whose texts stand in them as they are
    for words in ("demo", "demo/round-1/search", "search", "rollouts", "train/loss"):
        assert words.encode() in written, words
    (table,) = tmp_path.glob("wandb/offline-run-*/files/media/table/*.table.json")
    assert json.loads(table.read_text())["data"] == [["p", "42"]]


TRACKIO = """
import sys
from pathlib import Path
from rstar.tracking import Tracking, tracked
for start in (0, 2):
    how = Tracking(kind="trackio", group="demo", run="demo/round-1/search", job="search", folder=Path("."))
    with tracked(how, {"rollouts": 8}) as track:
        for step in (start, start + 1):
            track.log({"search/rollouts_per_s": 10.0 + step}, step=step)
        track.table("trajectories", ["problem", "answer"], [["p", "42"]])
"""


def test_trackio_keeps_one_run_a_stage_on_this_machine(tmp_path, monkeypatch):
    """In a process of its own: trackio reads where its files go when it is imported."""
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    done = subprocess.run([sys.executable, "-c", TRACKIO], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    (file,) = (tmp_path / "trackio").glob("*.db")
    with sqlite3.connect(file) as database:
        rows = database.execute("SELECT run_name, step, metrics FROM metrics ORDER BY step").fetchall()
    assert {name for name, _, _ in rows} == {"demo/round-1/search"}
    told = [json.loads(metrics) for _, _, metrics in rows]
    assert [one["search/rollouts_per_s"] for one in told if "trajectories" not in one] == [10.0, 11.0, 12.0, 13.0]
    assert any("42" in str(one["trajectories"]) for one in told if "trajectories" in one)
