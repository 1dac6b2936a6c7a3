"""kill -9 of flow, worker and server at twenty seeded moments of a two-round evolution: it ends as if left alone."""

import random
import time
from pathlib import Path

import pytest

from rstar.pipeline import inspect
from rstar.store import manifest
from tests.flows.checkout import Checkout, free_port, until
from tests.pipeline import tiny

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.timeout(600)]

CONFIG = ["run.yaml", "runtime.max_live=2"]
VICTIMS = {"flow": "prefect.engine", "worker": "prefect worker start", "server": "prefect server start"}
SEED = 20501


def kills(seed: int) -> list[tuple[str, bool, float]]:
    """Twenty of (who dies; whether the seconds count from when a round is at work, or from the start of the flow's
    process; seconds). Most are flows, whose death costs no restart."""
    rng = random.Random(seed)
    victims = ["flow"] * 14 + ["worker"] * 3 + ["server"] * 3
    rng.shuffle(victims)
    return [(victim, rng.random() < 0.6, rng.uniform(0, 7)) for victim in victims]


def test_twenty_kills_lose_and_repeat_nothing(checkout: Checkout) -> None:
    tiny.prepare(checkout.folder)
    run, port = checkout.folder / "runs" / "tiny", free_port()
    started = checkout.up("--port", str(port), "--slots", "4")
    kept: dict[Path, object] = {}
    struck = 0
    for victim, at_work, delay_s in kills(SEED):
        before = taken_up(run)
        checkout.trigger(port, "evolve/evolve", CONFIG)
        until(lambda: bool(checkout.processes("prefect.engine")), 120, checkout.logs)
        if at_work:
            until(lambda: taken_up(run) != before, 120, checkout.logs)  # noqa: B023 (called before the next kill)
        time.sleep(delay_s)
        if victim == "flow":
            struck += bool(checkout.kill(VICTIMS[victim], there=False))
        else:
            checkout.kill(VICTIMS[victim])
            assert started.wait(90) == 1
            assert checkout.processes() == []
            started = checkout.up("--port", str(port), "--slots", "4")
            struck += 1
        now = finished(run)
        assert {path: now.get(path) for path in kept} == kept, "what was finished is gone, or was made again"
        kept = now
    assert struck == 20, "a run ended before its kill"

    done = checkout.run("prefect", "deployment", "run", "evolve", "--watch", "-p", 'config=["run.yaml"]', timeout_s=400)
    assert done.returncode == 0, done.stdout + checkout.logs()
    checked = checkout.run("rstar", "check", "runs/tiny")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    now = finished(run)
    assert {path: now.get(path) for path in kept} == kept
    assert inspect.check(run) == (len(tiny.STAGES), [], [])
    assert tiny.contents(run) == tiny.contents(tiny.evolved() / "runs" / "tiny")
    assert checkout.python("-m", "flows.down").returncode == 0
    assert checkout.processes() == []


def taken_up(run: Path) -> int:
    """When a round of the run was taken up last."""
    return (run / "run.json").stat().st_mtime_ns if (run / "run.json").exists() else 0


def finished(run: Path) -> dict[Path, object]:
    """What is done and may not be done again: every tree on disk, and when each stage was sealed."""
    found: dict[Path, object] = {}
    if not (run / "run.json").exists():
        return found
    for stage in inspect.stages(run):
        for part, lines in tiny.tree_lines(stage).items():
            found |= {stage / part / str(hash(line)): 1 for line in lines}
        its = manifest.read(stage)
        if its is not None and its.status == "complete":
            found[stage] = (stage / manifest.NAME).stat().st_mtime_ns
    return found
