"""Pausing a run: `python -m flows.pause RUN`, and with `--resume` on again.

A paused round ends with the stage that it is in and gives its place back; resumed, it starts again behind what is
finished. (Cancelling ends a run at once; starting it again goes on as well.)
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.responses import SetStateStatus
from prefect.exceptions import ObjectNotFound, Pause
from prefect.runtime import flow_run
from prefect.states import Paused, Suspended

A_YEAR_S = 365 * 24 * 3600
"""A paused run fails when nobody has resumed it by then."""
ENDED = "Paused"
"""The state's name once the run's process is gone; until then Prefect calls it Suspended."""


class CannotBe(Exception):
    """What was asked for does not fit the state that the run is in; the message says which."""


@contextmanager
def pausable() -> Iterator[Callable[[], None]]:
    """What a flow does between two stages of the block, to end its process if somebody has paused its run. (Some
    versions of Prefect end it by themselves, where the next task begins.)"""
    try:
        yield _end_if_paused
    except Pause:
        with get_client(sync_client=True) as client:
            ended: State[Any] = Paused(timeout_seconds=A_YEAR_S, reschedule=True, name=ENDED)
            client.set_flow_run_state(UUID(flow_run.id), ended, force=True)
        raise


def _end_if_paused() -> None:
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(UUID(flow_run.id)).state
    if state is not None and state.is_paused():
        raise Pause(state=state)


def unfinished(client: SyncPrefectClient, run: UUID) -> list[FlowRun]:
    """The runs that a run has started and that have not ended."""
    started = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run]))
    found = client.read_flow_runs(flow_run_filter=started)
    return [one for one in found if one.state is None or not one.state.is_final()]


def main() -> int:
    """Returns 0 when the run was paused or resumed, 1 when that cannot be, 2 when there is no such run."""
    parser = argparse.ArgumentParser(prog="python -m flows.pause", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", type=UUID, help="id of a round's run, or of an evolution, whose present round is meant")
    parser.add_argument("--resume", action="store_true", help="let it go on")
    asked = parser.parse_args()
    with get_client(sync_client=True) as client:
        try:
            one = client.read_flow_run(asked.run)
        except ObjectNotFound:
            print(f"rstar: there is no run {asked.run}", file=sys.stderr)
            return 2
        rounds = unfinished(client, one.id) or [one]
        try:
            for run in rounds:
                print((_resume if asked.resume else _pause)(client, run))
        except CannotBe as error:
            print(f"rstar: {error}", file=sys.stderr)
            return 1
    return 0


def _pause(client: SyncPrefectClient, run: FlowRun) -> str:
    if run.state is None or not run.state.is_running():
        raise CannotBe(f"{run.name} cannot be paused: it is not running")
    # By force: else Prefect suspends no run that another one has started, as an evolution starts its rounds.
    client.set_flow_run_state(run.id, Suspended(timeout_seconds=A_YEAR_S), force=True)
    return f"{run.name} pauses when its present stage ends"


def _resume(client: SyncPrefectClient, run: FlowRun) -> str:
    if run.state is None or not run.state.is_paused():
        raise CannotBe(f"{run.name} cannot be resumed: it is not paused")
    if run.state.name != ENDED:
        raise CannotBe(f"{run.name} cannot be resumed yet: the stage it was in has not ended")
    done = client.resume_flow_run(run.id)
    if done.status is not SetStateStatus.ACCEPT:
        raise CannotBe(f"{run.name} cannot be resumed: {getattr(done.details, 'reason', None) or done.status}")
    return f"{run.name} goes on"


if __name__ == "__main__":
    sys.exit(main())
