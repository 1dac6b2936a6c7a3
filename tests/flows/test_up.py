"""`make up` and `make down` for real: a round by its short name, deaths in its middle, and nothing left behind."""

import gzip
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flows.checkout import Checkout, ask, free_port, until

CONFIG = [
    "configs/tiny.yaml",
    "bootstrap.problems={L1: 60, L2: 60}",
    "policy.steps=4",
    "rounds=[{search: {rollouts: 8}, policy: {steps: 10, start: base}}]",
    "ppm=null",
    "control=false",
    "evaluate.search=null",
    "problems.test=2",
]
SAME_COMMAND = ["round-1", "-p", f"config={json.dumps(CONFIG)}"]
MARK = 1_000_000


@pytest.mark.prefect
@pytest.mark.timeout(900)
def test_a_round_outlives_its_process_and_the_worker(checkout: Checkout) -> None:
    port = free_port()
    round_1 = checkout.folder / "runs" / "tiny" / "round-1"
    started = checkout.up("--port", str(port), "--slots", "2")
    second = checkout.python("-m", "flows.up")
    assert second.returncode == 1
    assert "it is up already" in second.stderr

    # kill -9 of the run's process in the middle of the search: the worker reports the crash.
    run = checkout.start(*SAME_COMMAND)
    open_part = round_1 / "search" / "trees" / "pass-0-00000.jsonl"
    until(lambda: open_part.exists() and open_part.read_bytes().count(b"\n") >= 10, 120)
    checkout.kill("prefect.engine")
    until(lambda: ask(port, f"flow_runs/{run}")["state_type"] == "CRASHED", 180, checkout.logs)
    kept = _mark(open_part)
    assert 10 <= len(kept) < 120

    cron = checkout.run("prefect", "deployment", "schedule", "create", "evolve/nightly", "--cron", "0 5 * * *")
    assert cron.returncode == 0, cron.stdout + cron.stderr

    # kill -9 of the worker while the policy is trained: everything else is stopped, and the log says why.
    run = checkout.start(*SAME_COMMAND)
    until(lambda: (round_1 / "policy" / "manifest.json").exists(), 180)
    checkout.kill("prefect worker start")
    assert started.wait(90) == 1
    assert "the worker was killed by signal 9" in checkout.said()
    assert checkout.processes() == []

    # kill -9 of the server while the run goes on: the same.
    started = checkout.up("--port", str(port), "--slots", "2")
    assert ask(port, f"flow_runs/{run}")["state_type"] == "CRASHED"
    checkout.trigger(port, "round/round-1", CONFIG)
    until(lambda: bool(checkout.processes("prefect.engine")), 180, checkout.logs)
    checkout.kill("prefect server start")
    assert started.wait(90) == 1
    assert "the server was killed by signal 9" in checkout.said()
    assert checkout.processes() == []

    # All up again: the same command goes on.
    started = checkout.up("--port", str(port), "--slots", "2")
    nightly = ask(port, "deployments/name/evolve/nightly")["schedules"]
    assert {(one["schedule"]["cron"], one["active"]) for one in nightly} == {("0 2 * * *", False), ("0 5 * * *", True)}
    done = checkout.run("prefect", "deployment", "run", "--watch", *SAME_COMMAND)
    assert done.returncode == 0, done.stdout + checkout.said()
    checked = checkout.run("rstar", "check", "runs/tiny")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    sealed = gzip.decompress(open_part.with_name(open_part.name + ".gz").read_bytes())
    trees = [json.loads(line) for line in sealed.splitlines()]
    assert len(trees) == 120
    assert {tree["problem"]["id"] for tree in trees if tree["cost"]["generated"] >= MARK} == kept
    keys = {artifact["key"] for artifact in ask(port, "artifacts/filter", {})}
    assert {"round-1-search", "tiny-round-1-table", "tiny-round-1-report"} <= keys

    down = checkout.python("-m", "flows.down")
    assert (down.returncode, down.stdout.splitlines()[-1]) == (0, "all is down")
    assert started.wait(10) == 0
    assert checkout.processes() == []


def test_a_taken_port_is_said_to_be_taken(checkout: Checkout) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = checkout.python("-m", "flows.up", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "is taken" in done.stderr
    assert checkout.processes() == []


def test_down_ends_what_a_killed_supervisor_left(checkout: Checkout) -> None:
    assert checkout.python("-m", "flows.down").stdout == "nothing is up in this folder\n"
    sleeper = "import time; print(flush=True); time.sleep(600)"
    started = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]], start_new_session=True)"
    env = checkout.env | {"RSTAR_UP": f"worker of {checkout.folder / '.rstar' / 'prefect'}"}
    with subprocess.Popen([sys.executable, "-c", started, sleeper], env=env, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        assert len(checkout.processes()) == 2
        assert checkout.python("-m", "flows.down").stdout == "all is down\n"
        assert checkout.processes() == []


def _mark(part: Path) -> set[str]:
    """Change the trees on disk in a way that no search would: whoever is searched again loses the mark."""
    lines = part.read_bytes().splitlines(keepends=True)
    trees = [json.loads(line) for line in lines if line.endswith(b"\n")]
    for tree in trees:
        tree["cost"]["generated"] += MARK
    part.write_bytes(b"".join(json.dumps(tree).encode() + b"\n" for tree in trees))
    return {tree["problem"]["id"] for tree in trees}
