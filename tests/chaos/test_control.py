"""An evolution that is paused, resumed, cancelled and started again: nothing keeps running, and nothing is lost."""

from typing import Any

import pytest

from rstar.store import manifest
from tests.flows.checkout import Checkout, ask, free_port, until
from tests.pipeline import tiny

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.timeout(1800)]


def test_an_evolution_is_paused_resumed_cancelled_and_ends_as_if_left_alone(checkout: Checkout) -> None:
    tiny.prepare(checkout.folder)
    port = free_port()
    round_1 = checkout.folder / "runs" / "tiny" / "round-1"

    def state(run: str) -> str:
        return str(ask(port, f"flow_runs/{run}")["state_name"])

    def rounds() -> list[dict[str, Any]]:
        of_it = {"flow_runs": {"parent_flow_run_id": {"any_": [evolution]}}}
        found: list[dict[str, Any]] = ask(port, "flow_runs/filter", of_it)
        return found

    checkout.up("--port", str(port))
    evolution = checkout.trigger(port, "evolve/evolve", ["run.yaml"])
    until(lambda: (round_1 / "search" / "manifest.json").exists(), 300, checkout.logs)
    (one,) = rounds()

    paused = checkout.python("-m", "flows.pause", evolution)
    assert (paused.returncode, paused.stdout) == (0, "round-1 pauses when its present stage ends\n"), paused.stderr
    until(lambda: state(one["id"]) == "Paused", 300, checkout.logs)
    until(lambda: len(checkout.processes("prefect.engine")) == 1, 120, checkout.logs)  # the evolution waits
    stage = manifest.read(round_1 / "search")
    assert stage is not None
    assert stage.status == "complete"
    again = checkout.python("-m", "flows.pause", one["id"])
    assert (again.returncode, again.stderr) == (1, "rstar: round-1 cannot be paused: it is not running\n")

    resumed = checkout.python("-m", "flows.pause", "--resume", evolution)
    assert (resumed.returncode, resumed.stdout) == (0, "round-1 goes on\n"), resumed.stderr
    until(lambda: (round_1 / "policy" / "train.log").exists(), 300, checkout.logs)

    cancelled = checkout.run("prefect", "flow-run", "cancel", evolution)
    assert cancelled.returncode == 0, cancelled.stdout + cancelled.stderr
    until(lambda: state(evolution) == "Cancelled", 300, checkout.logs)
    until(lambda: all(run["state_type"] in ("CANCELLED", "COMPLETED") for run in rounds()), 300, checkout.logs)
    assert any(run["state_type"] == "CANCELLED" for run in rounds()), "the evolution had ended before"
    until(lambda: not checkout.processes("prefect.engine") + checkout.processes("rstar."), 60, checkout.logs)

    done = checkout.run("prefect", "deployment", "run", "evolve", "--watch", "-p", 'config=["run.yaml"]', timeout_s=900)
    assert done.returncode == 0, done.stdout + checkout.logs()
    assert tiny.contents(checkout.folder / "runs" / "tiny") == tiny.contents(tiny.evolved() / "runs" / "tiny")
    assert checkout.python("-m", "flows.down").returncode == 0
    assert checkout.processes() == []
