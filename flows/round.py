"""One round as a Prefect flow: every stage is a task, and every task calls the pipeline.

Nothing is cached or kept by Prefect. What is finished is what the manifests on disk say, so a run that was interrupted
is resumed by starting it again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from prefect import flow, get_run_logger
from prefect.concurrency.sync import concurrency
from pydantic import Field

from flows import artifacts, shards
from flows.pause import pausable
from flows.tasks import LIMIT, stage
from rstar.config.run import RunConfig
from rstar.pipeline import inspect
from rstar.pipeline import round as pipeline
from rstar.pipeline.base import base
from rstar.pipeline.gate import let_pass, regression
from rstar.pipeline.progress import Progress
from rstar.pipeline.train import policy_stage


@contextmanager
def _slot() -> Iterator[Progress]:
    """Hold one slot of the limit and show progress. The lease of a killed process is free again after a minute."""
    with concurrency(LIMIT, occupy=1, lease_duration=60, strict=False), artifacts.live() as progress:
        yield progress


@stage("prepare")
def prepare(cfg: RunConfig, number: int) -> None:
    """Write down what is run; problems and base model."""
    pipeline.start(cfg, number)
    base(cfg)


@stage("search", LIMIT)
def search(cfg: RunConfig, number: int) -> None:
    """Search the round's problems into trees."""
    with _slot() as progress, shards.spread(cfg.runtime.tasks):
        pipeline.search(cfg, number, progress)


@stage("select")
def select(cfg: RunConfig, number: int) -> None:
    """Trees into training rows and preference pairs."""
    with artifacts.live() as progress:
        pipeline.select(cfg, number, progress)


@stage("train-policy", LIMIT)
def train_policy(cfg: RunConfig, number: int) -> None:
    """Fine-tune the policy."""
    with _slot() as progress:
        policy_stage(cfg, number, progress)


@stage("train-beside", LIMIT)
def train_beside(cfg: RunConfig, number: int) -> None:
    """Train the PPM, and the control twin beside it."""
    with _slot() as progress:
        pipeline.train_beside(cfg, number, progress)


@stage("evaluate", LIMIT)
def evaluate(cfg: RunConfig, number: int) -> None:
    """Held-out problems: greedy, and searched with the reference hidden."""
    with _slot() as progress, shards.spread(cfg.runtime.tasks):
        pipeline.evaluate(cfg, number, progress)


@stage("summarise")
def summarise(cfg: RunConfig, number: int) -> dict[str, Any]:
    """The round's report, and the table of all rounds so far."""
    summary = pipeline.summarise(cfg, number)
    artifacts.round_is_done(cfg, number, summary)
    if (found := regression(summary)) is not None:
        get_run_logger().warning(found)
    return summary


@flow(name="round", flow_run_name="round-{round_number}", persist_result=False)
def round_flow(
    config: list[str] = ["configs/demo.yaml"],  # noqa: B006 (Prefect reads the default, nobody changes it)
    round_number: Annotated[int, Field(ge=1)] = 1,
) -> dict[str, Any]:
    """Search, select, train, evaluate. Run it again after an interruption: finished stages are kept.

    Args:
        config: config files and overrides KEY.KEY=VALUE, as `rstar evolve` takes them
        round_number: which round, counted from 1; the one before must be finished
    """
    cfg = inspect.config(config)
    with pausable() as hold:
        for step in (prepare, search, select, train_policy, train_beside, evaluate):
            hold()
            step(cfg, round_number)
        summary = summarise(cfg, round_number)
    let_pass(cfg, round_number, summary)
    return summary
