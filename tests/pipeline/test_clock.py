"""The clock of a stage: seconds over all its starts, of this process, its children, and models on a GPU."""

import subprocess
import sys
import time

import pytest

from rstar.engine.driver import Lane, LaneStats
from rstar.pipeline.search import clocked
from rstar.store import manifest
from rstar.store.manifest import stage


async def nobody(tickets):
    raise AssertionError


def lane(device: str, busy_s: float) -> Lane:
    return Lane(nobody, stats=LaneStats(busy_s=busy_s), device=device)


def test_a_clock_adds_up_over_the_starts_of_a_stage(tmp_path):
    for _ in range(2):
        with stage(tmp_path, "evaluate", {}, {}) as it, clocked(it) as spent:
            spent.lanes += [lane("cuda", 2.5), lane("cpu", 9.0), lane("cuda", 0.25)]
            time.sleep(0.02)
    clock = manifest.read(tmp_path).clock
    assert clock["gpu_s"] == 5.5
    assert clock["wall_s"] >= 0.04
    assert set(clock) == {"wall_s", "cpu_s", "gpu_s"}


def test_the_time_of_children_and_of_a_failed_start_counts(tmp_path):
    burn = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    with (
        pytest.raises(subprocess.CalledProcessError),
        stage(tmp_path, "evaluate", {}, {}) as it,
        clocked(it),
    ):
        subprocess.run([sys.executable, "-c", f"{burn}\nraise SystemExit(3)"], check=True)
    found = manifest.read(tmp_path)
    assert found.status == "open"
    assert found.clock["cpu_s"] >= 0.3


def test_a_clock_is_no_part_of_what_a_stage_is(tmp_path):
    with stage(tmp_path, "evaluate", {"a": 1}, {}) as it, clocked(it):
        before = it.fingerprint
    with stage(tmp_path, "evaluate", {"a": 1}, {}) as it:
        assert it.fingerprint == before
        it.finish({}, {}, 0.1)
    assert manifest.read(tmp_path).clock
