"""All rounds in order, each a run of its own deployment: its own process, and nothing left in memory between two."""

from datetime import UTC, datetime
from typing import Any, cast

from prefect import Flow, flow, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.deployments import run_deployment
from prefect.runtime import flow_run as this_run
from prefect.states import Cancelling

from flows import artifacts, pause
from rstar.errors import StageFailed
from rstar.pipeline import inspect

ROUNDS = 4
"""Deployments round-1 to round-4; later rounds go through the last one, with their own number."""


def stop_rounds(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Who cancels an evolution cancels the run of its present round."""
    with get_client(sync_client=True) as client:
        for run in pause.unfinished(client, flow_run.id):
            client.set_flow_run_state(run.id, Cancelling())


@flow(name="evolve", persist_result=False, on_cancellation=[stop_rounds])
def evolve_flow(config: list[str] = ["configs/demo.yaml"]) -> None:  # noqa: B006 (Prefect reads the default)
    """Run every round of an evolution, one after another.

    `prefect flow-run retry` of this run goes on behind its finished rounds; a new run looks at every round again, and
    each finds its finished stages on disk.

    Args:
        config: config files and overrides KEY.KEY=VALUE, as `rstar evolve` takes them
    """
    cfg = inspect.config(config)
    for number in range(1, len(cfg.rounds) + 1):
        _round(config, number)
    artifacts.rounds_so_far(cfg)


def _round(config: list[str], number: int) -> None:
    """Start a round, or find the one that an earlier try of this run started, and wait for its end.

    A key gives the run that was first started with it back, a failed one too: so each try of this run has its own keys.
    """
    asked = datetime.now(UTC)
    for attempt in range(max(1, this_run.run_count)):
        waited = run_deployment(
            f"round/round-{min(number, ROUNDS)}",
            parameters={"config": config, "round_number": number},
            idempotency_key=f"{this_run.id}-round-{number}-{attempt}",
            timeout=None,
            poll_interval=2,
        )
        run = cast(FlowRun, waited)
        if run.state is not None and run.state.is_completed():
            return
        if run.created is None or run.created >= asked:
            break  # not an earlier try's
    raise StageFailed(f"round {number} did not finish: see its run {run.name} ({run.id})")
