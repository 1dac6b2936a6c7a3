"""The model that rounds start from: a base model, and the training before round 1 where a run has one."""

import time
from collections.abc import Iterator
from typing import Any

from rstar.config.run import BaseConfig, CountdownBaseConfig, CountdownProblemsConfig, RunConfig
from rstar.data import countdown, sets
from rstar.pipeline.prepare import checkpoint_files, content, paths_of, problems
from rstar.pipeline.progress import Progress, silent
from rstar.pipeline.select import SFT_SCHEMA, made_row, plays
from rstar.pipeline.train import job_fields, recipe_of, trained
from rstar.store.layout import CHECKPOINT, PLAYS
from rstar.store.manifest import Manifest, stage
from rstar.store.table import Writer
from rstar.text.grammar import PROMPT_HEAD, PROMPT_TAIL
from rstar.train.job import SftJob


def base(cfg: RunConfig, progress: Progress = silent) -> Manifest:
    """The model that rounds start from: tiny from random weights with a tokenizer of the run's text, or from the hub;
    trained on what `base` makes, if the run has that section."""
    made, manifest = problems(cfg)
    folder = paths_of(cfg).base
    recipe = {"model": cfg.model.model_dump(mode="json"), "seed": cfg.seed}
    with stage(folder, "base", recipe, {"problems": content(manifest)}) as it:
        if not it.complete:
            from rstar.train.base import prepare  # torch is imported where a model is made, not where one is reused

            started = time.monotonic()
            prepare(cfg.model, corpus(cfg, made), cfg.seed, folder / CHECKPOINT)
            it.finish(checkpoint_files(folder), {}, time.monotonic() - started)
    return it.manifest if cfg.base is None else _trained(cfg, cfg.base, made, it.manifest, progress)


def _trained(cfg: RunConfig, how: BaseConfig, made: sets.ProblemSets, start: Manifest, progress: Progress) -> Manifest:
    folder = paths_of(cfg).pretrained
    recipe = {**how.model_dump(mode="json", exclude={"train"}), "train": recipe_of(how.train), "seed": cfg.seed}
    with stage(folder, "pretrained", recipe, {"start": start.fingerprint}) as it:
        if not it.complete:
            started = time.monotonic()
            with Writer(folder / PLAYS, SFT_SCHEMA) as file:
                for row in _rows(cfg, how, made):
                    file.add(row)
            out = folder / CHECKPOINT
            fields = job_fields(cfg, 0, "base", folder / PLAYS, it.fingerprint, paths_of(cfg).base, out)
            outputs = isinstance(how, CountdownBaseConfig) and how.outputs
            job = SftJob(config=how.train, outputs=outputs, **fields)
            metrics = trained(it, cfg, job, "training of the base model", progress, None)
            it.finish({PLAYS: file.rows, **checkpoint_files(folder)}, metrics, time.monotonic() - started)
        return it.manifest


def _rows(cfg: RunConfig, how: BaseConfig, made: sets.ProblemSets) -> Iterator[dict[str, Any]]:
    """What the base model is trained on: plays, or the texts of problems, each up to where its solution would start."""
    if isinstance(how, CountdownBaseConfig):
        yield from plays(how.rows, cfg.seed, how.targets)
        return
    shown = [*made.train, *(demonstration.problem for demonstration in made.bootstrap)]
    for i, problem in enumerate({problem.text: problem for problem in shown}.values()):
        yield made_row(i, PROMPT_HEAD, problem.text + PROMPT_TAIL, problem.level)


def corpus(cfg: RunConfig, made: sets.ProblemSets) -> Iterator[str]:
    """The text a from-scratch tokenizer is made from: training problems and demonstrations, never held-out ones."""
    for problem in made.train:
        yield problem.text
    for demonstration in made.bootstrap:
        yield demonstration.problem.text
        yield "\n".join(demonstration.steps)
    if isinstance(cfg.problems, CountdownProblemsConfig):
        yield from countdown.vocabulary()
