"""The smallest evolution in which everything happens: both rounds solve something, fail at something and give pairs.

A model of a few thousand weights learns ten sums by heart in round 1. In round 2 it searches four of them again and
four new ones, so that some rows are carried over and some replaced. Half of the held-out problems are sums that it was
taught, under other ids: what is held out is not the point here, but that some answers are right.
"""

import atexit
import functools
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rstar.config.load import load
from rstar.config.run import RunConfig
from rstar.store import manifest

CONFIG = """\
name: tiny
problems: {kind: files, train: train.jsonl, test: test.jsonl}
bootstrap: {kind: demonstrations, demonstrations: worked.jsonl, noise: 0.3}
grammar: {answer: printed}
model: {kind: tiny, hidden: 32, layers: 2, heads: 2, ffn: 64, context: 128, rope_theta: 1.0e+4,
  tokenizer: {numbers: whole}}
search: {rollouts: 4, candidates: 4, max_depth: 5, max_tokens: 16}
select: {pool: newest}
policy: {batch: 16, micro_batch: 16, steps: 80, optimizer: muon, lr: 1.0e-2, max_length: 128}
ppm: {batch: 8, micro_batch: 8, steps: 10, optimizer: muon, lr: 1.0e-3, max_length: 128}
control: true
evaluate:
  search: {rollouts: 2, candidates: 4, max_depth: 5, max_tokens: 16, annotation: ppm}
  search_problems: 2
  max_depth: 5
  max_tokens: 16
sandbox: {preload: []}
rounds:
  - {}
  - search: {annotation: ppm}
    retry: [3]
    policy: {start: previous, steps: 20}
"""
CHECKPOINTS = ("base", "round-1/policy", "round-1/ppm", "round-2/policy", "round-2/ppm", "round-2/control")
SEARCHES = (
    "round-1/search",
    "round-1/eval/policy",
    "round-1/eval/search",
    "round-2/search",
    "round-2/eval/policy",
    "round-2/eval/control",
    "round-2/eval/search",
)
STAGES = (
    *("problems", "base", "round-1/search", "round-1/select", "round-1/policy", "round-1/ppm"),
    *("round-1/eval/policy", "round-1/eval/search", "round-1/eval/report"),
    *("round-2/search", "round-2/select", "round-2/policy", "round-2/ppm", "round-2/control"),
    *("round-2/eval/policy", "round-2/eval/control", "round-2/eval/search", "round-2/eval/report"),
    "round-2/gate",
)


def problem(name: str, start: int, plus: int, minus: int, level: str = "easy") -> dict[str, Any]:
    text = f"Start with {start}, add {plus} and take {minus}."
    return {"id": name, "problem": text, "answer": str(start + plus - minus), "level": level}


def worked(row: dict[str, Any]) -> dict[str, Any]:
    """The same problem with its steps."""
    start, plus, minus = (int(word.strip(",.")) for word in row["problem"].split() if word[0].isdigit())
    return {**row, "steps": [f"# start\nx = {start}", f"# add\nx = x + {plus}", f"# take\nx = x - {minus}", "print(x)"]}


KNOWN = [problem(f"w{i}", 10 + i, 2 + i % 5, 1 + i % 3) for i in range(10)]
NEW = [problem(f"n{i}", 11 + 2 * i, 5 - i, 2, "new") for i in range(4)]
HELD_OUT = [{**row, "id": f"t{i}"} for i, row in enumerate(KNOWN[4:7])]
HELD_OUT += [problem(f"t{i}", 10 + i, 8 - i, 3 - i % 2, "new") for i in range(3, 6)]


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def prepare(folder: Path) -> None:
    """The config and the problem files of the evolution, in a folder from which `rstar evolve run.yaml` runs it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.yaml").write_text(CONFIG, encoding="utf-8")
    write(folder / "train.jsonl", KNOWN[:4] + NEW)
    write(folder / "test.jsonl", HELD_OUT)
    write(folder / "worked.jsonl", [worked(row) for row in KNOWN])


def config(folder: Path, *overrides: str) -> RunConfig:
    """The config with absolute paths, for calls within this process."""
    paths = [f"problems.{name}={folder / name}.jsonl" for name in ("train", "test")]
    paths += [f"bootstrap.demonstrations={folder / 'worked.jsonl'}", f"runtime.runs={folder / 'runs'}"]
    return load(RunConfig, [folder / "run.yaml", *paths, *overrides])


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "rstar.cli", *words]


def evolve(folder: Path) -> subprocess.CompletedProcess[str]:
    """The whole evolution, in a process of its own."""
    return subprocess.run(command("evolve", "run.yaml"), cwd=folder, capture_output=True, text=True, timeout=900)


@functools.cache
def evolved() -> Path:
    """The folder of a finished evolution, made once for all tests of this process; nobody writes into it."""
    folder = Path(tempfile.mkdtemp(prefix="rstar-tiny-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    prepare(folder)
    done = evolve(folder)
    (folder / "stdout").write_text(done.stdout)
    (folder / "stderr").write_text(done.stderr)
    assert done.returncode == 0, done.stderr
    return folder


def copied(folder: Path) -> Path:
    """A copy of the finished evolution that a test may change."""
    shutil.copytree(evolved(), folder, dirs_exist_ok=True)
    return folder


def files(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Bytes and time of change of every file below a folder but the locks."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def tree_lines(stage: Path) -> dict[str, list[bytes]]:
    """The complete lines of each part of a stage's trees (open or sealed), by part."""
    from rstar.store.trees import lines, parts

    found: dict[str, list[bytes]] = {}
    for path in parts(stage / "trees"):
        whole = list(lines(path)) if path.suffix == ".gz" else path.read_bytes().split(b"\n")[:-1]
        found.setdefault(path.name.partition(".")[0], []).extend(whole)
    return found


def contents(run: Path) -> dict[str, object]:
    """Everything that a run is: all of its bytes, but for times, places, what was written on the way, and the page that
    shows it."""
    found: dict[str, object] = {}
    for path in sorted(run.rglob("*")):
        name = str(path.relative_to(run))
        if (
            not path.is_file()
            or path.name in (".lock", ".progress", "train.log", "report.html")
            or path.suffix == ".tmp"
            or ".tmp/" in name
        ):
            continue
        if path.name == "manifest.json":
            its = manifest.read(path.parent)
            parts = {part.path: part.sha256 for part in its.parts if part.path != "checkpoint/metrics.json"}
            found[name] = (its.stage, its.fingerprint, its.status, its.inputs, its.metrics, parts)
        elif path.name == "metrics.json":
            told = json.loads(path.read_text())
            found[name] = {key: value for key, value in told.items() if key != "seconds"}
        elif path.name == "run.json":
            told = json.loads(path.read_text())["config"]
            found[name] = {key: value for key, value in told.items() if key != "runtime"}
        else:
            found[name] = path.read_bytes()
    return found
