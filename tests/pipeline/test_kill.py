"""kill -9 at ten moments spread over a run, each followed by the same command: the run ends as if nothing had happened.

The killed run also differs from the undisturbed one in how it runs (two searches at once instead of all), so that the
kills fall between trees; a result may depend on neither.
"""

import os
import random
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import psutil
import pytest

from rstar.pipeline import inspect
from rstar.store import manifest
from tests.pipeline import tiny

SEED = 20501
DEAD_WITHIN_S = 3.0
"""Children of a killed process are gone after this; an idle machine needs milliseconds."""
PATIENCE_S = 240.0

Trees = dict[tuple[str, str], list[bytes]]
"""(stage, part) -> complete lines."""


@dataclass(frozen=True)
class Moment:
    """A kill: once `trees` trees of a stage are on disk, or, without a number, once it has begun; then a delay."""

    stage: str
    trees: int
    delay_s: float

    def has_come(self, run: Path) -> bool:
        if not self.trees:
            return (run / self.stage / "manifest.json").exists()
        return sum(len(lines) for lines in tiny.tree_lines(run / self.stage).values()) >= self.trees


def moments(seed: int) -> list[Moment]:
    """Ten moments, one in each stretch of the run: searches, selections, trainings (also side by side), evaluations."""
    rng = random.Random(seed)
    return [
        Moment("problems", 0, rng.uniform(0, 0.3)),
        Moment("round-1/search", rng.randint(1, 9), 0),
        Moment(rng.choice(["round-1/select", "round-1/policy"]), 0, rng.uniform(0, 4)),
        Moment("round-1/ppm", 0, rng.uniform(0, 4)),
        Moment(rng.choice(["round-1/eval/policy", "round-1/eval/search"]), rng.randint(1, 3), 0),
        Moment("round-2/search", rng.randint(2, 7), rng.uniform(0, 0.05)),
        Moment("round-2/search", rng.randint(9, 11), 0),
        Moment(rng.choice(["round-2/select", "round-2/policy"]), 0, rng.uniform(0, 4)),
        Moment("round-2/control", 0, rng.uniform(0, 4)),
        Moment(
            rng.choice(["round-2/eval/policy", "round-2/eval/control", "round-2/eval/search"]), rng.randint(1, 3), 0
        ),
    ]


def start(folder: Path, number: int) -> subprocess.Popen:
    with (folder / f"stderr-{number}").open("wb") as said:
        return subprocess.Popen(
            tiny.command("evolve", "run.yaml", "runtime.max_live=2"), cwd=folder, stdout=subprocess.DEVNULL, stderr=said
        )


def waited(running: subprocess.Popen, has_come: Callable[[], bool]) -> None:
    """Wait until something has come about while the process runs."""
    deadline = time.monotonic() + PATIENCE_S
    while not has_come():
        assert running.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)


def kill(running: subprocess.Popen, folder: Path) -> None:
    """SIGKILL to the main process alone; what it had started is gone soon after."""
    children = psutil.Process(running.pid).children(recursive=True)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    deadline = time.monotonic() + DEAD_WITHIN_S
    while alive := [*filter(is_alive, children), *working_in(folder)]:
        assert time.monotonic() < deadline, f"outlived the killed process: {alive}"
        time.sleep(0.02)


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def working_in(folder: Path) -> Iterator[psutil.Process]:
    """Processes that were started from this folder, whoever their parent is now."""
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder) and is_alive(process):
                yield process
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue


def all_trees(run: Path) -> Trees:
    return {(stage, part): lines for stage in tiny.SEARCHES for part, lines in tiny.tree_lines(run / stage).items()}


def keeps(now: Trees, before: Trees) -> bool:
    """Whether every line that was on disk is there as it was, and no problem stands twice in a pass."""
    ids = {key: [orjson.loads(line)["problem"]["id"] for line in lines] for key, lines in now.items()}
    return all(len(set(names)) == len(names) for names in ids.values()) and all(
        not Counter(lines) - Counter(now.get(key, [])) for key, lines in before.items()
    )


def resumed_with(said: str, stage: str) -> int | None:
    """How many trees the first line of progress about a search says there were; None where it was not begun."""
    number = stage.partition("/")[0].removeprefix("round-")
    found = re.search(rf"  round {number} search: (\d+) of \d+", said)
    return int(found[1]) if found else None


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_run_killed_ten_times_ends_like_one_that_was_left_alone(tmp_path):
    tiny.prepare(tmp_path)
    run = tmp_path / "runs" / "tiny"
    before: Trees = {}
    hit: list[str] = []
    for number, moment in enumerate(moments(SEED)):
        running = start(tmp_path, number)
        try:
            waited(running, lambda: moment.has_come(run))  # noqa: B023 (called before the next moment)
            time.sleep(moment.delay_s)
            assert running.poll() is None, f"the run ended before {moment}"
        finally:
            kill(running, tmp_path)
        now = all_trees(run)
        assert keeps(now, before), f"a tree was lost or made again before {moment}"
        for stage in ("round-1/search", "round-2/search"):
            resumed = resumed_with((tmp_path / f"stderr-{number}").read_text(), stage)
            assert resumed is None or resumed == len(before.get((stage, "pass-0-00000"), [])), moment
        hit += [stage for stage in tiny.STAGES if (found := read(run / stage)) and found.status == "open"][:2]
        before = now

    last = start(tmp_path, 10)
    assert last.wait(timeout=PATIENCE_S) == 0, (tmp_path / "stderr-10").read_text()
    assert keeps(all_trees(run), before)
    assert inspect.check(run) == (len(tiny.STAGES), [], [])
    # The kills hit what they were meant to hit.
    assert {"round-1/search", "round-2/search"} <= set(hit)
    assert sum(stage.endswith(("policy", "ppm", "control")) and "eval" not in stage for stage in hit) >= 3
    assert any("eval" in stage for stage in hit)
    assert len(hit) >= 8

    undisturbed = tiny.evolved() / "runs" / "tiny"
    assert tiny.contents(run) == tiny.contents(undisturbed)


def read(stage: Path) -> manifest.Manifest | None:
    return manifest.read(stage) if stage.exists() else None
