"""`rstar check --repair`: what is damaged is made again as it was, and nothing else is."""

import gzip
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rstar.errors import Damaged, StageFailed
from rstar.pipeline import inspect
from rstar.pipeline.prepare import required
from rstar.pipeline.progress import silent
from rstar.pipeline.repair import repair
from rstar.pipeline.round import evolve, search, train_beside
from rstar.store import manifest
from tests.pipeline import tiny

FIRST = "trees/pass-0-00000.jsonl.gz"


def flip(path: Path) -> None:
    """Another byte in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))


def other_answer(path: Path) -> None:
    """A part that is whole and readable, and not what was sealed."""
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b'"visits":1', b'"visits":2')))


DAMAGES: dict[str, tuple[str, str, Callable[[Path], object]]] = {
    "a flipped bit in a part": ("round-2/search", FIRST, flip),
    "another tree in a part": ("round-1/search", FIRST, other_answer),
    "a part that is gone": ("round-2/eval/policy", FIRST, Path.unlink),
    "changed rows": ("round-1/select", "sft.parquet", flip),
    "answers that are gone": ("round-1/eval/search", "answers.jsonl", Path.unlink),
    "a manifest that is none": ("round-2/search", "manifest.json", lambda path: path.write_text("{")),
    "a folder in the manifest's place": (
        "round-2/search",
        "manifest.json",
        lambda path: (path.unlink(), path.mkdir(), (path / "x").touch()),
    ),
    "a folder in a file's place": (
        "round-1/select",
        "sft.parquet",
        lambda path: (path.unlink(), path.mkdir(), (path / "x").touch()),
    ),
    "a manifest that is gone": ("round-1/eval/report", "manifest.json", Path.unlink),
    "the manifest of what all is built on": ("base", "manifest.json", Path.unlink),
    "a recipe that was changed": (
        "round-1/eval/policy",
        "manifest.json",
        lambda path: path.write_text(path.read_text().replace('"max_tokens": 16', '"max_tokens": 17')),
    ),
    "a problem file": ("problems", "test.jsonl", flip),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_stage_is_opened_and_made_again_as_it_was(copy, name):
    stage, file, damage = DAMAGES[name]
    run = copy / "runs" / "tiny"
    before, sound = tiny.files(run), {part: part.read_bytes() for part in run.rglob("*.jsonl.gz")}
    damage(run / stage / file)
    assert inspect.check(run)[2] != []
    assert repair(run) == [stage]
    assert repair(run) == []
    assert inspect.check(run)[2] == []
    evolve(tiny.config(copy))
    assert inspect.check(run) == (len(tiny.STAGES), [], [])
    assert {part: part.read_bytes() for part in run.rglob("*.jsonl.gz")} == sound
    remade = {path for path, (_, when) in tiny.files(run).items() if before[path][1] != when}
    allowed = {"run.json", "report.md", "round-1/spec.json", "round-2/spec.json"}
    assert {path for path in remade if not path.startswith(f"{stage}/")} <= allowed


def test_a_checkpoint_that_vanished_is_said_to_be_missing_and_trained_again(copy):
    run = copy / "runs" / "tiny"
    before = manifest.read(run / "round-2" / "ppm")
    shutil.rmtree(run / "round-1" / "ppm" / "checkpoint")
    (run / "round-2" / "search" / FIRST).unlink()
    assert repair(run) == ["round-1/ppm", "round-2/search"]
    shutil.rmtree(run / "round-2" / "ppm" / "checkpoint")
    with pytest.raises(Damaged, match=r"round-2/ppm/checkpoint/.*: missing.*--repair"):
        required(run / "round-2" / "ppm")
    assert repair(run) == ["round-2/ppm"]
    train_beside(tiny.config(copy), 1)
    search(tiny.config(copy), 2)
    train_beside(tiny.config(copy), 2)
    assert inspect.check(run)[2] == []
    after = manifest.read(run / "round-2" / "ppm")
    assert before is not None
    assert after is not None
    weights = [[part.sha256 for part in its.parts if part.path.endswith("safetensors")] for its in (before, after)]
    assert weights[0] == weights[1]


def test_a_broken_line_of_an_open_part_is_named_and_only_that_line_goes(copy):
    run, stage = copy / "runs" / "tiny", copy / "runs" / "tiny" / "round-2" / "search"
    sealed = {path.name: path.read_bytes() for path in (stage / "trees").iterdir()}
    lines = gzip.decompress((stage / FIRST).read_bytes()).splitlines(keepends=True)
    for path in (stage / "trees").iterdir():
        path.unlink()
    (stage / "trees" / "pass-0-00000.jsonl").write_bytes(lines[0] + lines[1][:30] + b"\n" + lines[2] + lines[3][:9])
    manifest.reopen(stage)
    with pytest.raises(Damaged, match=r"pass-0-00000\.jsonl, line 2: not a tree.*--repair"):
        search(tiny.config(copy), 2)
    assert inspect.check(run)[2] == [f"{stage / 'trees' / 'pass-0-00000.jsonl'}, line 2: not a tree"]
    assert repair(run) == ["round-2/search"]
    told: list[tuple[str, int, int]] = []
    search(tiny.config(copy), 2, lambda *what: told.append(what))
    assert told[0] == ("round 2 search", 2, len(lines))
    assert {path.name: path.read_bytes() for path in (stage / "trees").iterdir()} == sealed


def test_the_command_says_what_it_opened(copy):
    (copy / "runs" / "tiny" / "round-1" / "select" / "pairs.parquet").unlink()
    command = tiny.command("check", "runs/tiny", "--repair")
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "pairs.parquet: missing" in done.stderr
    assert "opened again: round-1/select" in done.stdout


def test_a_stage_that_somebody_works_on_is_left_alone(copy):
    stage = copy / "runs" / "tiny" / "round-1" / "select"
    (stage / "pairs.parquet").unlink()
    with manifest.locked(stage, 0), pytest.raises(StageFailed, match=f"process {os.getpid()} has been working on it"):
        repair(copy / "runs" / "tiny")
    assert manifest.read(stage).status == "complete"


def test_a_manifest_from_another_recipe_is_refused_and_the_run_goes_on_with_the_right_one(copy):
    path = copy / "runs" / "tiny" / "round-1" / "search" / "manifest.json"
    right = path.read_text()
    foreign = json.loads(right)
    foreign["recipe"]["search"]["rollouts"] = 64
    path.write_text(json.dumps(foreign))
    with pytest.raises(Exception, match=r"rounds\.0\.search\.rollouts: 64 -> 4") as caught:
        evolve(tiny.config(copy))
    assert caught.value.exit_code == 3
    path.write_text(right)
    evolve(tiny.config(copy), silent)
    assert inspect.check(copy / "runs" / "tiny")[2] == []
