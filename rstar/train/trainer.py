"""What all trainings share: arguments, progress, intermediate checkpoints, and the folder that is left at the end."""

import json
import math
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState  # type: ignore[import-untyped]
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    AutoConfig,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from rstar.config.train import TrainConfig
from rstar.errors import InputError, StageFailed
from rstar.tracking import Track, Tracking, tracked
from rstar.train.card import card
from rstar.train.examples import Stream, steps
from rstar.train.job import SftJob, ValueJob
from rstar.train.optim import muon_with_adamw

Report = Callable[[int, int, float | None], None]
"""Called with (step, of, last loss or None) while training goes on."""

_POINTS = 200
"""Points of the loss curve that are kept."""
_GROUPS = 4
"""Groups of like length in a batch."""
_PAUSE_S = 0.5
"""Time between two progress reports."""
_SCHEDULE = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}
_LOGGED = ("mean_token_accuracy", "entropy", "accuracy", "margin", "error")


def print_progress(step: int, of: int, loss: float | None) -> None:
    """One line of JSON on standard output."""
    print(json.dumps({"step": step, "of": of, "loss": loss}), flush=True)


def open_work(job: SftJob | ValueJob) -> Path:
    """The job's work folder: as an interrupted run of the same job left it if it keeps checkpoints, else a new one."""
    state = PartialState(cpu=job.device == "cpu")
    if state.is_main_process:
        job.check()
        identity = job.model_dump_json(exclude={"threads", "tracking", "lineage"})
        note = job.work / "job.json"
        if job.save_steps is None or not note.exists() or note.read_text() != identity:
            shutil.rmtree(job.work, ignore_errors=True)
            job.work.mkdir(parents=True)
            note.write_text(identity)
    state.wait_for_everyone()
    torch.set_num_threads(job.threads)
    return job.work


def limit(cfg: TrainConfig, model: Any) -> int:
    """The longest example in tokens: `max_length`, or the positions of the model if they are fewer."""
    return min(cfg.max_length, int(model.config.max_position_embeddings))


def arguments(job: SftJob | ValueJob, examples: Stream) -> dict[str, Any]:
    """TrainingArguments of a job over `examples`, and the same for every kind of training."""
    cfg = job.config
    devices = PartialState().num_processes
    if cfg.batch % devices:
        raise InputError(f"train: batch = {cfg.batch} cannot be split evenly over {devices} devices")
    share = cfg.batch // devices
    micro = max(n for n in range(1, min(cfg.micro_batch, share) + 1) if share % n == 0)
    cuda = job.device != "cpu" and torch.cuda.is_available()
    return {
        "output_dir": str(job.work / "trainer"),
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": share // micro,
        # Examples are in order and as many as are wanted already: one pass, no shuffling.
        "num_train_epochs": 1,
        "train_sampling_strategy": "sequential",
        "learning_rate": cfg.lr,
        "lr_scheduler_type": _SCHEDULE[cfg.schedule],
        "warmup_steps": cfg.warmup,
        "weight_decay": cfg.weight_decay,
        "max_grad_norm": cfg.clip,
        "gradient_checkpointing": cfg.gradient_checkpointing,
        "bf16": cuda and _stored_dtype(job.start) != torch.float32,
        "use_cpu": job.device == "cpu",
        "seed": job.seed,
        "logging_steps": max(1, steps(cfg, examples.rows) // _POINTS),
        "logging_nan_inf_filter": False,
        "save_strategy": "no" if job.save_steps is None else "steps",
        "save_steps": job.save_steps or 1,
        "save_total_limit": 2,
        "report_to": "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "dataloader_pin_memory": cuda,
    }


def by_length(inputs: dict[str, Tensor]) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
    """The rows of a batch padded on the right (B, L) in a few groups of like length, each without the columns that are
    padding in all of its rows: (places of the rows in the batch, their inputs).

    On a CPU, where a small model's time goes by tokens, a third to two fifths of a batch's tokens are saved.
    """
    lengths = inputs["attention_mask"].sum(1)
    for rows in lengths.argsort(stable=True).chunk(_GROUPS):
        width = int(lengths[rows].max())
        yield rows, {name: values[rows, :width] for name, values in inputs.items()}


def optimizer(cfg: TrainConfig) -> tuple[Any, dict[str, Any]] | None:
    """What the trainers take as `optimizer_cls_and_kwargs`; None for their own AdamW."""
    if cfg.optimizer == "adamw":
        return None
    return (lambda: muon_with_adamw), {"lr": cfg.lr, "weight_decay": cfg.weight_decay}


def run(trainer: Trainer, job: SftJob | ValueJob, examples: Stream, report: Report) -> dict[str, Any]:
    """Train, then put the finished checkpoint folder in its place; returns what is in its `metrics.json`."""
    began = time.monotonic()
    trainer.remove_callback(PrinterCallback)
    how = job.tracking if trainer.is_world_process_zero() else Tracking()
    with tracked(how, job.config.model_dump(mode="json")) as track:
        trainer.add_callback(_Watch(report, track))
        trainer.train(resume_from_checkpoint=_last_checkpoint(job))
    final = job.work / "final"
    trainer.save_model(str(final))
    trainer.accelerator.wait_for_everyone()
    metrics = _metrics(trainer, job, examples, time.monotonic() - began)
    if trainer.is_world_process_zero():
        (final / "training_args.bin").unlink(missing_ok=True)
        _cast(final, _stored_dtype(job.start))
        (final / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
        (final / "README.md").write_text(card(job, metrics))
        final.rename(job.out)
        shutil.rmtree(job.work)
    return metrics


class _Watch(TrainerCallback):
    """Reports progress, draws curves, and stops a training whose loss is no number."""

    def __init__(self, report: Report, track: Track):
        self.report = report
        self.track = track
        self.loss: float | None = None
        self.told = 0.0

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.loss = (logs or {}).get("loss", self.loss)
        numbers = {name: value for name, value in (logs or {}).items() if isinstance(value, int | float)}
        self.track.log({f"train/{name}": value for name, value in numbers.items()}, step=state.global_step)
        if self.loss is not None and not math.isfinite(self.loss):
            raise StageFailed(f"the loss is {self.loss} at step {state.global_step}; lower the learning rate")

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        now = time.monotonic()
        if state.is_world_process_zero and now - self.told >= _PAUSE_S and state.global_step < state.max_steps:
            self.told = now
            self.report(state.global_step, state.max_steps, self.loss)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.is_world_process_zero:
            self.report(state.global_step, state.max_steps, self.loss)


def _metrics(trainer: Trainer, job: SftJob | ValueJob, examples: Stream, seconds: float) -> dict[str, Any]:
    model: Any = trainer.model
    logs = [entry for entry in trainer.state.log_history if "loss" in entry]
    return {
        "kind": job.makes,
        "steps": trainer.state.global_step,
        "rows": examples.rows,
        "rows_left_out": examples.left_out,
        "tokens": examples.tokens,
        "final_loss": logs[-1]["loss"],
        **{name: logs[-1][name] for name in _LOGGED if name in logs[-1]},
        "parameters": model.num_parameters(),
        "seed": job.seed,
        "seconds": round(seconds, 2),
        "curve": [[entry["step"], entry["loss"]] for entry in logs],
    }


def _last_checkpoint(job: SftJob | ValueJob) -> str | None:
    """The newest intermediate checkpoint that is whole: its state file is written last."""
    whole = [file.parent for file in (job.work / "trainer").glob("checkpoint-*/trainer_state.json")]
    return str(max(whole, key=lambda folder: int(folder.name.rpartition("-")[2]))) if whole else None


def _stored_dtype(folder: Path) -> torch.dtype:
    """The number format in which the weights of a checkpoint are stored."""
    dtype = AutoConfig.from_pretrained(folder).dtype
    return dtype if isinstance(dtype, torch.dtype) else torch.float32


def _cast(folder: Path, dtype: torch.dtype) -> None:
    """Weights are trained in float32 and kept in the format of the model they started from."""
    if dtype == torch.float32:
        return
    for file in folder.glob("*.safetensors"):
        save_file({name: tensor.to(dtype) for name, tensor in load_file(file).items()}, file, {"format": "pt"})
    config = folder / "config.json"
    config.write_text(
        json.dumps(json.loads(config.read_text()) | {"dtype": str(dtype).removeprefix("torch.")}, indent=2)
    )
