"""Make a Prefect server know pool, limit and deployments: a part of `make up`, or alone by `python -m flows.deploy`."""

import argparse
import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from prefect import Flow, get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleUpdate, GlobalConcurrencyLimitUpdate, WorkPoolCreate
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import (
    ConcurrencyLimitConfig,
    ConcurrencyLimitStrategy,
    FlowRun,
    State,
    StateType,
)
from prefect.client.schemas.sorting import FlowRunSort
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.schedules import Cron
from prefect.states import Cancelled, Crashed

from flows.evolve import ROUNDS
from flows.tasks import LIMIT

POOL = "local"
POOLS = Path(__file__).parent / "pools"
"""What a run is in a pool of each type: templates of jobs."""
EVOLVE = "flows/evolve.py:evolve_flow"
EVOLUTIONS = "evolutions"
"""Queue of the pool for evolutions, which wait for their rounds and so must never fill all places of the worker."""
NIGHTLY = "0 2 * * *"
"""When `evolve/nightly` runs, once somebody switches its schedule on."""
OWN = "evolve-schedule"
"""The slug of the schedule that `rstar evolve --schedule` makes or moves."""
ALONE = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)
"""For what runs by the clock: a run that is due while the last one is still at work is cancelled, not heaped up."""


def deploy(limit: int = 8, slots: int = 1, pool: str = POOL, kind: str = "process") -> None:
    """Create or renew pool, queue, limit and deployments (they run in the current folder) for a worker of `limit` runs.

    Parameters and schedules stay as people set them, and so does a pool; the nightly schedule is asleep at first.
    """
    with get_client(sync_client=True) as client:
        template = json.loads((POOLS / f"{kind}.json").read_text(encoding="utf-8"))
        with suppress(ObjectAlreadyExists):
            client.create_work_pool(WorkPoolCreate(name=pool, type=kind, base_job_template=template))
        with suppress(ObjectAlreadyExists):
            client.create_work_queue(EVOLUTIONS, work_pool_name=pool)
        queue = client.read_work_queue_by_name(EVOLUTIONS, pool)
        client.update_work_queue(queue.id, concurrency_limit=limit // 2)
        client.upsert_global_concurrency_limit_by_name(LIMIT, slots)
    for number in range(1, ROUNDS + 1):
        _deploy("flows/round.py:round_flow", f"round-{number}", pool, parameters={"round_number": number})
    _deploy(EVOLVE, "evolve", pool, work_queue_name=EVOLUTIONS)
    what = {"config": ["configs/demo.yaml", "name=nightly"]}
    asleep = Cron(NIGHTLY, active=False, slug="nightly")
    _deploy(
        EVOLVE, "nightly", pool, parameters=what, schedule=asleep, concurrency_limit=ALONE, work_queue_name=EVOLUTIONS
    )


def schedule(name: str, config: list[str], cron: str, timezone: str) -> None:
    """Let an evolution run by the clock: deployment `evolve/NAME`, one run at a time. Its other schedules stay."""
    when = Cron(cron, timezone=timezone, slug=OWN)
    what = {"config": config}
    options = {"parameters": what, "schedule": when, "concurrency_limit": ALONE, "work_queue_name": EVOLUTIONS}
    _deploy(EVOLVE, name, POOL, renew=True, **options)


def _deploy(entrypoint: str, name: str, pool: str, renew: bool = False, **options: Any) -> None:
    """Create a deployment, or renew it: then what people set stays, its schedules and parameters, but with `renew`
    these parameters and this schedule take the place of those of before."""
    made = cast("Flow[..., Any]", Flow.from_source(str(Path.cwd()), entrypoint))
    deployment = cast(RunnerDeployment, made.to_deployment(name, tags=["rstar"], work_pool_name=pool, **options))
    # By the module's name: processes of a Ray cluster, to which a flow is sent, know no file of the worker's.
    deployment.entrypoint = entrypoint.replace("/", ".").replace(".py:", ".")
    with suppress(ObjectNotFound), get_client(sync_client=True) as client:
        there = client.read_deployment_by_name(deployment.full_name)
        own = list(deployment.schedules or []) if renew else []
        if not renew:
            deployment.parameters = there.parameters
        # An update drops schedules that it does not name.
        fields = {"schedule", "active", "parameters", "slug"}
        kept = [one for one in there.schedules if one.slug not in {mine.slug for mine in own}]
        deployment.schedules = [*(DeploymentScheduleUpdate(**one.model_dump(include=fields)) for one in kept), *own]
    deployment.apply()


def tidy() -> list[str]:
    """Settle what the last life of the pool left: runs whose processes are gone are marked as crashed, scheduled runs
    that were missed as cancelled, and slots are freed. Returns the names of the crashed.

    Only for the supervisor, before its worker starts: then no run of the pool can have a process.
    """
    with get_client(sync_client=True) as client:
        lost = _runs(client, StateType.RUNNING, StateType.PENDING, StateType.CANCELLING)
        for run in lost:
            state: State[Any] = Crashed(message="Its process is gone; start it again to go on.")
            if run.state_type is StateType.CANCELLING:
                state = Cancelled()
            client.set_flow_run_state(run.id, state, force=True)
        for run in _runs(client, StateType.SCHEDULED):
            # Several nights missed must not become several evolutions at once.
            if run.auto_scheduled and run.expected_start_time and run.expected_start_time < datetime.now(UTC):
                client.set_flow_run_state(run.id, Cancelled(message="Missed: no worker was up."), force=True)
        # A server without Redis keeps leases in memory: those of its last life would occupy their slots for ever. The
        # limits of deployments are among these.
        for one in client.read_global_concurrency_limits(limit=200):
            client.update_global_concurrency_limit(one.name, GlobalConcurrencyLimitUpdate(active_slots=0))
    return [run.name for run in lost]


def _runs(client: SyncPrefectClient, *states: StateType) -> list[FlowRun]:
    return client.read_flow_runs(
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(states)))),
        work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL])),
        sort=FlowRunSort.EXPECTED_START_TIME_ASC,
    )


def polls(since: datetime) -> bool:
    """Whether a worker has asked the pool for work since then."""
    with get_client(sync_client=True) as client:
        found = client.read_workers_for_work_pool(POOL)
    return any(worker.last_heartbeat_time is not None and worker.last_heartbeat_time >= since for worker in found)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m flows.deploy", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pool", default=POOL, help="the work pool's name")
    parser.add_argument("--type", default="process", choices=sorted(path.stem for path in POOLS.glob("*.json")))
    parser.add_argument("--limit", type=int, default=8, help="runs at once; at most half of them evolutions")
    parser.add_argument("--slots", type=int, default=1, help="stages with models at once (the limit `gpu`)")
    asked = parser.parse_args()
    deploy(asked.limit, asked.slots, asked.pool, asked.type)


if __name__ == "__main__":
    main()
