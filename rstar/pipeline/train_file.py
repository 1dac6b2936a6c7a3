"""A policy or a PPM from one public file alone, in a folder that is a stage like those of a round."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rstar.config.train import FileTrainConfig
from rstar.data.public import checked, parquet_rows, to_parquet
from rstar.errors import InputError
from rstar.pipeline.prepare import checkpoint, checkpoint_files, stage_of_its_own
from rstar.pipeline.progress import Progress, silent
from rstar.pipeline.train import recipe_of
from rstar.store.fingerprint import file_sha256
from rstar.store.layout import CHECKPOINT
from rstar.store.manifest import Manifest, stage
from rstar.train.job import SftJob, ValueJob
from rstar.train.launch import run

ROWS, BASE = "rows.parquet", "base"


def train_file(
    cfg: FileTrainConfig, source: Path, out: Path, start: Path | None = None, progress: Progress = silent
) -> Manifest:
    """Train on a file of `query` and `response` (a policy) or of `prompt`, `pos`, `neg` (a PPM).

    Starts from the checkpoint folder `start`, or from `cfg.model`, whose tokenizer is made from the file if it is tiny.
    A finished folder is reused. Raises InputError on whatever is wrong with the file.
    """
    if not source.is_file():
        raise InputError(f"{source}: cannot be read ({'it is a folder' if source.is_dir() else 'no such file'})")
    if start is not None:
        if not start.is_dir():
            raise InputError(f"--start: there is no folder {start}")
        start = checkpoint("--start", start)
    if not stage_of_its_own(out):
        checked(source)  # before anything is written
    inputs = {"rows": file_sha256(source)}
    model = cfg.model.model_dump(mode="json") if start is None else {"start": str(start)}
    recipe = {"policy": recipe_of(cfg.policy), "ppm": recipe_of(cfg.ppm), "model": model, "seed": cfg.seed}
    with stage(out, "train", recipe, inputs) as it:
        if not it.complete:
            started = time.monotonic()
            kind = to_parquet(source, out / ROWS)
            fields: dict[str, Any] = {
                "rows": out / ROWS,
                "start": start or _base(cfg, out),
                "out": out / CHECKPOINT,
                "seed": cfg.seed,
                "threads": cfg.engine.threads,
                "device": cfg.engine.device,
                "lineage": {"data": inputs["rows"]},
            }
            job = SftJob(config=cfg.policy, **fields) if kind == "sft" else ValueJob(config=cfg.ppm, **fields)
            metrics = run(
                job,
                devices=cfg.devices,
                on_progress=lambda done, of, loss: progress(f"training of a {job.makes}", done, of),
                log=out / "train.log",
            )
            told = {name: value for name, value in metrics.items() if not name.endswith("seconds")}
            it.finish({ROWS: None, **checkpoint_files(out)}, {"kind": job.makes, **told}, time.monotonic() - started)
        return it.manifest


def _base(cfg: FileTrainConfig, out: Path) -> Path:
    folder = out / BASE
    if not (folder / "config.json").exists():
        from rstar.train.base import prepare  # torch is imported where a model is made

        prepare(cfg.model, _texts(out / ROWS), cfg.seed, folder)
    return folder


def _texts(path: Path) -> Iterator[str]:
    """All text of the rows, for a tokenizer."""
    for row in parquet_rows(path):
        yield row["prompt"]
        yield from (row[name] for name in ("solution", "chosen", "rejected") if name in row)
