"""A cron for every minute, made by `rstar evolve --schedule`, on a real server: its runs never overlap."""

import time
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from tests.flows.checkout import Checkout, ask, free_port, until
from tests.pipeline import tiny

COMMAND = ("rstar", "evolve", "run.yaml", "rounds.0.policy.steps=300", "--schedule")
"""With some more steps than usual, so that the first run takes longer than a minute."""

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.timeout(1800)]


def test_a_cron_of_every_minute_creates_runs_that_do_not_overlap(checkout: Checkout) -> None:
    tiny.prepare(checkout.folder)
    port = free_port()
    checkout.up("--port", str(port), "--slots", "4")
    made = checkout.run(*COMMAND, "* * * * *")
    assert made.returncode == 0, made.stderr
    assert "evolve/tiny runs at `* * * * *` (UTC)" in made.stdout
    again = checkout.run(*COMMAND, "* * * * *")
    assert again.returncode == 0, again.stderr
    known = ask(port, "deployments/name/evolve/tiny")
    assert [one["schedule"]["cron"] for one in known["schedules"]] == ["* * * * *"]
    assert known["global_concurrency_limit"]["limit"] == 1

    # Runs that are due while the first one is at work are cancelled.
    def ended() -> list[dict[str, Any]]:
        return [run for run in runs(port, known["id"]) if run["state_type"] == "COMPLETED"]

    until(lambda: time.sleep(1) is None and len(ended()) >= 2, 1500, checkout.logs)
    seen = runs(port, known["id"])
    ran = [run for run in seen if run["end_time"] and run["state_type"] != "CANCELLED"]
    worked = sorted((span(run) for run in ran), key=lambda s: s[0])
    assert len(worked) >= 2
    for (_, end), (start, _) in pairwise(worked):
        assert end <= start, worked
    assert all(run["auto_scheduled"] for run in seen)
    assert any(run["state_type"] == "CANCELLED" for run in seen), "no run was due while another was at work"
    assert checkout.run("rstar", "check", "runs/tiny").returncode == 0

    wrong = checkout.run(*COMMAND, "every night")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "--schedule: Invalid cron string" in wrong.stderr
    assert checkout.python("-m", "flows.down").returncode == 0
    none = checkout.run(*COMMAND, "* * * * *")
    assert (none.returncode, none.stderr.count("\n")) == (1, 1)
    assert "start it with `make up`" in none.stderr


def runs(port: int, deployment: str) -> list[dict[str, Any]]:
    body = {"flow_runs": {"deployment_id": {"any_": [deployment]}}, "sort": "EXPECTED_START_TIME_ASC"}
    found: list[dict[str, Any]] = ask(port, "flow_runs/filter", body)
    return found


def span(run: dict[str, Any]) -> tuple[datetime, datetime]:
    """When a run worked."""
    return datetime.fromisoformat(run["start_time"]), datetime.fromisoformat(run["end_time"])
