"""A round's value models besides its PPM: labels from the trees that were searched, and a training for each role."""

import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rstar.config.run import RunConfig
from rstar.config.train import AnyValueModel, OrmConfig, PpmConfig, QvmConfig
from rstar.core.tree import Tree
from rstar.errors import ConfigError
from rstar.pipeline.prepare import checkpoint_files, paths_of, required, searched_ids
from rstar.pipeline.progress import Progress
from rstar.pipeline.search import grammar_of
from rstar.pipeline.select import PAIR_SCHEMA
from rstar.pipeline.train import job_fields, recipe_of, trained
from rstar.select.labels import Predict, rows
from rstar.select.pairs import outcome_pairs
from rstar.store.layout import CHECKPOINT, LABELS, PAIRS, TREES
from rstar.store.manifest import Manifest, stage, write_atomic
from rstar.store.table import Writer
from rstar.store.trees import read_grouped
from rstar.train.job import ValueJob

LABEL_SCHEMA = pa.schema(
    [
        ("problem_id", pa.string()),
        ("group", pa.string()),
        ("kind", pa.string()),
        ("prompt", pa.string()),
        ("prefix", pa.string()),
        ("label", pa.float64()),
        ("weight", pa.float64()),
    ]
)


def value_stage(
    cfg: RunConfig, number: int, role: str, progress: Progress, stop: threading.Event | None = None
) -> Manifest:
    """Train the value model that plays `role` in round `number`, started from the round's policy.

    Fitted Q-iteration trains one model after the other, each on labels from the one before; an interrupted stage goes
    on with the iteration it was in.
    """
    how = cfg.rounds[number - 1].values[role]
    paths = paths_of(cfg).round(number)
    sources = _sources(cfg, number, how)
    recipe = {
        "value": recipe_of(how),
        "seed": cfg.seed,
        "round": number,
        "grammar": cfg.grammar.model_dump(mode="json"),
    }
    inputs = {"policy": required(paths.policy).fingerprint, **{name: m.fingerprint for name, m in sources.items()}}
    with stage(paths.value(role), "value", recipe, inputs) as it:
        if it.complete:
            return it.manifest
        started = time.monotonic()
        label = f"round {number} {role}"
        names = _iterations(how)
        files: dict[str, int | None] = {}
        metrics: dict[str, Any] = {}
        for i, (data, checkpoint) in enumerate(names):
            later = [it.folder / one for _, one in names[i + 1 :]]
            if not any(path.exists() for path in later):
                if not (it.folder / data).exists():
                    # No name is given to the model, so that its memory is free when the next one is trained.
                    last = it.folder / names[i - 1][1] if i else None
                    write_data(cfg, number, how, it.folder / data, _predictor(cfg, last), label, progress)
                out = it.folder / checkpoint
                fields = job_fields(cfg, number, role, it.folder / data, it.fingerprint, paths.policy, out)
                metrics = trained(it, cfg, ValueJob(config=how, **fields), label, progress, stop)
            if i:
                shutil.rmtree(it.folder / names[i - 1][1], ignore_errors=True)
            files[data] = pq.ParquetFile(it.folder / data).metadata.num_rows
        it.finish({**files, **checkpoint_files(it.folder)}, metrics, time.monotonic() - started)
        return it.manifest


def _sources(cfg: RunConfig, number: int, how: AnyValueModel) -> dict[str, Manifest]:
    """The stages whose trees (or pairs, for a PPM) are learned from: with `select.pool: newest`, all rounds so far."""
    run = paths_of(cfg)
    if isinstance(how, PpmConfig):
        return {"select": required(run.round(number).select)}
    return {f"search-{n}": required(run.round(n).search) for n in _rounds(cfg, number)}


def _rounds(cfg: RunConfig, number: int) -> list[int]:
    return list(range(number, 0, -1)) if cfg.rounds[number - 1].select.pool == "newest" else [number]


def _iterations(how: AnyValueModel) -> list[tuple[str, str]]:
    """(data file, checkpoint folder) of each training of the stage, the last one's checkpoint being the stage's."""
    if isinstance(how, QvmConfig) and how.labels == "fitted":
        stem = Path(LABELS).stem
        made = [(f"{stem}-{i}.parquet", f"{CHECKPOINT}-{i}") for i in range(1, how.iterations + 1)]
        return [*made[:-1], (made[-1][0], CHECKPOINT)]
    return [(PAIRS if isinstance(how, (PpmConfig, OrmConfig)) else LABELS, CHECKPOINT)]


def write_data(
    cfg: RunConfig,
    number: int,
    how: AnyValueModel,
    path: Path,
    predict: "Predictor | None",
    label: str,
    progress: Progress,
) -> None:
    """The training data of one model, in one stream over the problems. Raises ConfigError when there is none."""
    if isinstance(how, PpmConfig):
        write_atomic(path, (paths_of(cfg).round(number).select / PAIRS).read_bytes())
        count = pq.ParquetFile(path).metadata.num_rows
    else:
        total = sum(searched_ids(cfg, n)[1] for n in _rounds(cfg, number))
        with Writer(path, PAIR_SCHEMA if isinstance(how, OrmConfig) else LABEL_SCHEMA) as file:
            for done, (prompt, found) in enumerate(_found(cfg, number, how, predict), start=1):
                for row in found:
                    file.add({**row, "prompt": prompt})
                progress(f"{label} data", done, total)
        count = file.rows
    if not count:
        raise ConfigError(
            f"{path}: round {number} has nothing to train a model of kind {how.kind} on (no problem came out both right"
            " and wrong, or no answer was decided); search more or leave the role out of `values`"
        )


def _found(
    cfg: RunConfig, number: int, how: AnyValueModel, predict: "Predictor | None"
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """(prompt, rows) of each problem: from the newest round whose trees of it have any."""
    grammar = grammar_of(cfg)
    known: set[str] = set()
    for n in _rounds(cfg, number):
        ids, _ = searched_ids(cfg, n)
        for trees in read_grouped(paths_of(cfg).round(n).search / TREES, ids):
            problem = trees[0].problem
            prompt = grammar.prompt(problem.text)
            behind = None if predict is None else predict.behind(prompt)
            found = [] if problem.id in known else data_of(trees, how, behind)
            if found:
                known.add(problem.id)
            yield prompt, found


def data_of(trees: list[Tree], how: AnyValueModel, predict: Predict | None = None) -> list[dict[str, Any]]:
    """One problem's pairs (for an ORM) or labelled steps, as rows without their prompt."""
    if isinstance(how, PpmConfig):
        raise TypeError("a PPM's pairs are made by the select stage")
    if isinstance(how, OrmConfig):
        return [asdict(pair) for pair in outcome_pairs(trees, how.pairs)]
    return [asdict(row) for row in rows(trees, how, how.kind, predict)]


class Predictor:
    """The last model of fitted Q-iteration."""

    def __init__(self, model: Any):
        self.model = model

    def behind(self, prompt: str) -> Predict:
        """Q̂ = (1 + score) / 2 of solution prefixes behind `prompt`."""
        return lambda prefixes: [(1 + s) / 2 for s in self.model.score([prompt + prefix for prefix in prefixes])]


def _predictor(cfg: RunConfig, checkpoint: Path | None) -> Predictor | None:
    if checkpoint is None:
        return None
    from rstar.engine.hf import HfValue  # torch is imported only where a model answers

    engine = cfg.engine
    return Predictor(HfValue(checkpoint, device=engine.device, dtype=cfg.model.dtype, threads=engine.threads))
