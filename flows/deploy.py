"""Make a Prefect server know pool, limit and deployments: a part of `make up`, or alone by `python -m flows.deploy`."""

from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from prefect import Flow, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate, WorkPoolCreate
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import State, StateType
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectAlreadyExists
from prefect.schedules import Cron
from prefect.states import Cancelled, Crashed
from prefect.workers.process import ProcessWorker

from flows.evolve import ROUNDS
from flows.round import LIMIT

POOL = "local"
NIGHTLY = "0 2 * * *"
"""When `evolve/nightly` runs, once somebody switches its schedule on."""


def deploy(slots: int = 1) -> None:
    """Create or renew the pool, the limit of `slots` and the deployments, which run in the current folder.

    The nightly schedule is made asleep the first time, and afterwards left as people set it.
    """
    with get_client(sync_client=True) as client:
        template = ProcessWorker.get_default_base_job_template()
        with suppress(ObjectAlreadyExists):
            client.create_work_pool(WorkPoolCreate(name=POOL, type="process", base_job_template=template))
        client.upsert_global_concurrency_limit_by_name(LIMIT, slots)
        known = {deployment.name for deployment in client.read_deployments()}
    for number in range(1, ROUNDS + 1):
        _deploy("flows/round.py:round_flow", f"round-{number}", parameters={"round_number": number})
    _deploy("flows/evolve.py:evolve_flow", "evolve")
    asleep = None if "nightly" in known else Cron(NIGHTLY, active=False, slug="nightly")
    _deploy("flows/evolve.py:evolve_flow", "nightly", schedule=asleep)


def _deploy(entrypoint: str, name: str, **options: Any) -> None:
    made = cast("Flow[..., Any]", Flow.from_source(str(Path.cwd()), entrypoint))
    cast(RunnerDeployment, made.to_deployment(name, tags=["rstar"], **options)).apply(work_pool_name=POOL)


def bury() -> list[str]:
    """Mark runs whose processes are gone as crashed, and free their slots; returns their names.

    Only for the supervisor, before its worker starts: then no run of the pool can have a process.
    """
    states = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
    with get_client(sync_client=True) as client:
        lost = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=states))),
            work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL])),
        )
        for run in lost:
            cancelled = run.state_type is StateType.CANCELLING
            gone = "Its process is gone; start it again to go on."
            state: State[Any] = Cancelled() if cancelled else Crashed(message=gone)
            client.set_flow_run_state(run.id, state, force=True)
        # The server keeps leases in memory: those of its last life would occupy their slots for ever.
        client.update_global_concurrency_limit(LIMIT, GlobalConcurrencyLimitUpdate(active_slots=0))
    return [run.name for run in lost]


def polls(since: datetime) -> bool:
    """Whether a worker has asked the pool for work since then."""
    with get_client(sync_client=True) as client:
        found = client.read_workers_for_work_pool(POOL)
    return any(worker.last_heartbeat_time is not None and worker.last_heartbeat_time >= since for worker in found)


if __name__ == "__main__":
    deploy()
