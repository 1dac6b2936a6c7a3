"""The training stages of a round: policy, value models and the control twin, each training a process of its own."""

import math
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from rstar.config.run import RunConfig
from rstar.config.train import AnyValueModel, PairsConfig, SftConfig
from rstar.errors import ConfigError
from rstar.pipeline.gate import promoted
from rstar.pipeline.prepare import base_of, checkpoint_files, paths_of, required
from rstar.pipeline.progress import Progress
from rstar.pipeline.tracking import tracking_of
from rstar.store.layout import CHECKPOINT, PAIRS, SFT
from rstar.store.manifest import Manifest, Stage, stage
from rstar.train.job import SftJob, ValueJob
from rstar.train.launch import run

RUNTIME = ("micro_batch", "gradient_checkpointing")
"""What of a training config says how it fits into memory, and changes no result."""


def policy_stage(cfg: RunConfig, number: int, progress: Progress) -> Manifest:
    """SFT of round `number`'s policy on its selected trajectories."""
    paths = paths_of(cfg)
    how = cfg.rounds[number - 1].policy
    start = _start(cfg, number, how, "policy")
    return _sft(cfg, number, how, paths.round(number).select, start, paths.round(number).policy, "policy", progress)


def control_stage(cfg: RunConfig, number: int, progress: Progress, stop: threading.Event | None = None) -> Manifest:
    """The control: at least as many optimizer steps and tokens as this round's policy had, on the bootstrap data alone.

    Round 1's control is its policy. Whatever later rounds gain over this twin is not plain optimisation.
    """
    paths = paths_of(cfg)
    first, policy = (required(paths.round(n).policy).metrics for n in (1, number))
    steps = control_steps(first, cfg.rounds[0].policy.batch, policy, cfg.rounds[number - 1].policy.batch)
    how = cfg.rounds[number - 1].policy.model_copy(update={"steps": steps})
    start = _start(cfg, number, how, "control")
    return _sft(cfg, number, how, paths.round(1).select, start, paths.round(number).control, "control", progress, stop)


def control_steps(first: Mapping[str, Any], first_batch: int, policy: Mapping[str, Any], batch: int) -> int:
    """The steps in which a control reads as many tokens as the policy did, and no fewer than the policy's.

    What a row of the bootstrap data has in tokens is known from the training of round 1's policy.
    """
    steps = int(policy["steps"])
    a_step: float = batch * first["tokens"] / (first["steps"] * first_batch)
    return max(steps, math.ceil(int(policy["tokens"]) / a_step))


def ppm_stage(cfg: RunConfig, number: int, progress: Progress, stop: threading.Event | None = None) -> Manifest | None:
    """The process preference model of round `number`, started from its policy; None where the round has none."""
    how = cfg.rounds[number - 1].ppm
    if how is None:
        return None
    paths = paths_of(cfg).round(number)
    selected, policy = required(paths.select), required(paths.policy)
    if not selected.metrics["pair_rows"]:
        raise ConfigError(
            f"{paths.select / PAIRS}: round {number} has no preference pair to train a PPM on (every searched problem"
            f" came out all right or all wrong); search more or set rounds.{number - 1}.ppm=null"
        )
    recipe = {"ppm": recipe_of(how), "seed": cfg.seed, "round": number}
    inputs = {"select": selected.fingerprint, "policy": policy.fingerprint}
    with stage(paths.ppm, "ppm", recipe, inputs) as it:
        if not it.complete:
            fields = job_fields(
                cfg, number, "ppm", paths.select / PAIRS, selected.fingerprint, paths.policy, paths.ppm / CHECKPOINT
            )
            _train(it, cfg, ValueJob(config=how, **fields), f"round {number} ppm", progress, stop)
        return it.manifest


def _sft(
    cfg: RunConfig,
    number: int,
    how: SftConfig,
    selected: Path,
    start: Path,
    folder: Path,
    name: str,
    progress: Progress,
    stop: threading.Event | None = None,
) -> Manifest:
    data = required(selected)
    if not data.metrics["sft_rows"] - data.metrics.get("sft_replayed", 0):
        raise ConfigError(
            f"{selected / SFT}: no verified trajectory to train on (the search solved no problem); give the bootstrap"
            " more problems or rollouts"
        )
    recipe = {"sft": recipe_of(how), "seed": cfg.seed, "round": number}
    inputs = {"select": data.fingerprint, "start": required(start).fingerprint}
    with stage(folder, name, recipe, inputs) as it:
        if not it.complete:
            fields = job_fields(cfg, number, name, selected / SFT, data.fingerprint, start, folder / CHECKPOINT)
            _train(it, cfg, SftJob(config=how, **fields), f"round {number} {name}", progress, stop)
        return it.manifest


def _train(
    it: Stage, cfg: RunConfig, job: SftJob | ValueJob, label: str, progress: Progress, stop: threading.Event | None
) -> None:
    """Run the stage's only job and seal it."""
    started = time.monotonic()
    metrics = trained(it, cfg, job, label, progress, stop)
    it.finish(checkpoint_files(it.folder), metrics, time.monotonic() - started)


def trained(
    it: Stage, cfg: RunConfig, job: SftJob | ValueJob, label: str, progress: Progress, stop: threading.Event | None
) -> dict[str, Any]:
    """Run a job, unless its checkpoint is there already: a process killed before it was sealed. Gives its metrics."""
    progress = it.told(progress)
    if job.out.exists():
        return _kept(orjson.loads((job.out / "metrics.json").read_bytes()))
    metrics = run(
        job,
        devices=cfg.runtime.devices,
        on_progress=lambda done, of, loss: progress(label, done, of),
        log=it.folder / "train.log",
        stop=stop,
    )
    return _kept(metrics)


def _start(cfg: RunConfig, number: int, how: SftConfig, name: str) -> Path:
    """The stage whose checkpoint is fine-tuned: the base model, or the last promoted round's model of this name."""
    if how.start == "base" or number == 1:
        return base_of(cfg)
    last = promoted(cfg, number)
    earlier = paths_of(cfg).round(last)
    return earlier.control if name == "control" and last > 1 else earlier.policy


def job_fields(cfg: RunConfig, number: int, name: str, rows: Path, data: str, start: Path, out: Path) -> dict[str, Any]:
    """What every job says: its data and their fingerprint, the stage it starts from, the checkpoint it writes, seed,
    device, tracking, lineage."""
    return {
        "rows": rows,
        "start": start / CHECKPOINT,
        "out": out,
        "seed": cfg.seed * 1000 + number,
        "threads": cfg.engine.threads,
        "device": cfg.engine.device,
        "tracking": tracking_of(cfg, out.parent, name),
        "lineage": {
            "run": cfg.name,
            "round": str(number),
            "data": data,
            "start": required(start).fingerprint,
        },
    }


def recipe_of(how: SftConfig | AnyValueModel) -> dict[str, Any]:
    """What of a training config decides its result; the micro-batch only decides how it fits into memory.

    `tanh_in_loss` counts where it is off: stages from before it was a setting stay valid.
    """
    left_out = set(RUNTIME)
    if isinstance(how, PairsConfig) and how.tanh_in_loss:
        left_out.add("tanh_in_loss")
    return how.model_dump(mode="json", exclude=left_out)


def _kept(metrics: dict[str, Any]) -> dict[str, Any]:
    """Metrics for the manifest: times stay in the checkpoint's own metrics.json."""
    return {name: value for name, value in metrics.items() if not name.endswith("seconds")}
