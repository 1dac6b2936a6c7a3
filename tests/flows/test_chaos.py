"""kill -9 of the worker and of the flow's process at ten seeded moments: the same command completes the round."""

import gzip
import json
import random
import time
from pathlib import Path

import pytest

from tests.flows.checkout import Checkout, free_port, until

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.timeout(1200)]

COMMAND = ("round-1", "-p", 'config=["configs/tiny.yaml", "control=false"]')
KILLS = 10


def test_ten_kills_under_prefect_lose_and_repeat_nothing(checkout: Checkout) -> None:
    rng = random.Random(20)
    trees = checkout.folder / "runs" / "tiny" / "round-1" / "search" / "trees"
    port = str(free_port())
    started = checkout.up("--port", port, "--slots", "2")
    kept: set[bytes] = set()
    for number in range(KILLS):
        checkout.start(*COMMAND)
        until(lambda: bool(checkout.processes("prefect.engine")), 180, checkout.logs)
        time.sleep(rng.uniform(0, 9))
        if number % 2:
            checkout.kill("prefect worker start")
            assert started.wait(90) == 1
            assert checkout.processes() == []
            started = checkout.up("--port", port, "--slots", "2")
        elif checkout.processes("prefect.engine"):
            checkout.kill("prefect.engine")
        found = _lines(trees)
        assert kept <= found, "a finished tree was lost or searched again"
        kept = found
    done = checkout.run("prefect", "deployment", "run", "--watch", *COMMAND)
    assert done.returncode == 0, done.stdout + checkout.said()
    checked = checkout.run("rstar", "check", "runs/tiny")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    final = _lines(trees)
    assert kept <= final
    ids = [json.loads(line)["problem"]["id"] for line in final]
    assert len(set(ids)) == len(ids) == 20
    assert checkout.python("-m", "flows.down").returncode == 0
    assert checkout.processes() == []


def _lines(folder: Path) -> set[bytes]:
    """Every complete tree on disk, byte for byte."""
    found: set[bytes] = set()
    for path in folder.glob("*.jsonl*"):
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        found.update(line for line in data.splitlines(keepends=True) if line.endswith(b"\n"))
    return found
