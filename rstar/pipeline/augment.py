"""Augmentation of questions as a stage: every question once, resumable at any moment, files made when all are there."""

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Any

import orjson

from rstar.config.augment import QuestionsConfig
from rstar.core.problem import Demonstration
from rstar.data import public
from rstar.data.jsonl import read_demonstrations, read_problems
from rstar.data.questions import Unit, make, units
from rstar.engine.driver import Driver
from rstar.errors import StageFailed
from rstar.pipeline.engines import Models
from rstar.pipeline.prepare import checkpoint, identity, stage_of_its_own
from rstar.pipeline.progress import Progress, silent
from rstar.pipeline.search import world
from rstar.store.failures import Failures
from rstar.store.fingerprint import file_sha256
from rstar.store.journal import Journal
from rstar.store.layout import FAILURES, SFT
from rstar.store.manifest import Manifest, Stage, stage, write_atomic
from rstar.store.table import Writer
from rstar.text.grammar import Grammar
from rstar.text.prompts import Prompts

MADE, PROBLEMS = "made.jsonl", "problems.jsonl"
RUNTIME = {"problems", "policy", "value", "examples", "engine", "sandbox", "max_live", "max_failure_rate"}
"""Settings that are inputs by their content, or change no result."""


def augment(cfg: QuestionsConfig, out: Path, progress: Progress = silent, models: Models | None = None) -> Manifest:
    """Make the questions that are still owed; then problems.jsonl (what is kept, each with its parent's id) and
    sft.parquet (the solutions that agree). `models` may stand in for the checkpoints that the config names.
    """
    stage_of_its_own(out)
    models = models or _models(cfg)
    problems = read_problems(cfg.problems)[: cfg.limit]
    asked = units(cfg, problems)
    inputs = {"problems": file_sha256(cfg.problems), "policy": identity(cfg.policy)}
    if cfg.value is not None:
        inputs["value"] = identity(cfg.value)
    examples: tuple[Demonstration, ...] = ()
    if cfg.examples is not None:
        examples = tuple(read_demonstrations(cfg.examples))
        inputs["examples"] = file_sha256(cfg.examples)
    recipe = {**cfg.model_dump(mode="json", exclude=RUNTIME), "sandbox": cfg.sandbox.recipe()}
    with stage(out, "augment", recipe, inputs) as it:
        if not it.complete:
            started = time.monotonic()
            journal = Journal(out / MADE)
            try:
                asyncio.run(_make(it, cfg, asked, examples, journal, models, progress))
                files, metrics = _write(out, cfg, asked, journal)
            finally:
                journal.close()
            it.finish(files, metrics, time.monotonic() - started)
        return it.manifest


def _models(cfg: QuestionsConfig) -> Models:
    values = {} if cfg.value is None else {"ppm": checkpoint("value", cfg.value)}
    return Models({"policy": checkpoint("policy", cfg.policy)}, values, cfg.dtype)


async def _make(
    it: Stage,
    cfg: QuestionsConfig,
    asked: list[Unit],
    examples: tuple[Demonstration, ...],
    journal: Journal,
    models: Models,
    progress: Progress,
) -> None:
    owed = [unit for unit in asked if unit.key not in journal.done]
    progress("questions", len(journal.done), len(asked))
    if not owed:
        return
    failures = Failures(it.folder / FAILURES)
    prompts = Prompts(
        Grammar(cfg.grammar.observe, cfg.grammar.answer), "instruct" if examples else "fine_tuned", examples
    )
    async with world(cfg, models, it.folder / "servers") as (lanes, sandbox):
        searches = ((unit.key, make(unit, cfg, prompts)) for unit in owed)
        async for outcome in Driver(lanes, cfg.max_live).run(searches):
            if outcome.result is not None:
                journal.add(outcome.result.row())
                failures.mended(outcome.key, 0)
            else:
                failures.add(outcome.key, 0, outcome.error)
            await sandbox.release(outcome.key)
            progress("questions", len(journal.done), len(asked))
    left = len(asked) - len(journal.done)
    if left > cfg.max_failure_rate * len(asked):
        raise StageFailed(
            f"{it.folder}: {left} of {len(asked)} questions failed ({failures.first()}); all of them are in"
            f" {failures.path}. What is made is kept: mend the cause and start again"
        )


def _write(
    out: Path, cfg: QuestionsConfig, asked: list[Unit], journal: Journal
) -> tuple[dict[str, int | None], dict[str, Any]]:
    """The stage's files in the order of the questions, whatever order they were made in; and counts by method."""
    place = {unit.key: at for at, unit in enumerate(asked)}
    rows = sorted(journal.rows(), key=lambda row: place[row["key"]])
    kept = [row for row in rows if row["kept"]]
    problems = [row["problem"] for row in kept if row["method"] != "answers"]
    write_atomic(out / MADE, b"".join(orjson.dumps(row) + b"\n" for row in rows))
    write_atomic(out / PROBLEMS, b"".join(orjson.dumps(problem) + b"\n" for problem in problems))
    grammar = Grammar(cfg.grammar.observe, cfg.grammar.answer)
    with Writer(out / SFT, public.SFT_SCHEMA) as sft:
        for row in kept:
            prompt = grammar.prompt(row["problem"]["problem"])
            for _, text in row["solutions"]:
                sft.add({"problem_id": row["problem"]["id"], "prompt": prompt, "solution": text})
    methods = {
        method: {
            "asked": sum(unit.method == method for unit in asked),
            "kept": sum(row["method"] == method for row in kept),
            "reasons": dict(Counter(row["reason"] for row in rows if row["method"] == method and row["reason"])),
        }
        for method in cfg.methods
    }
    files: dict[str, int | None] = {MADE: len(rows), PROBLEMS: len(problems), SFT: sft.rows}
    if (out / FAILURES).exists():
        files[FAILURES] = None
    return files, {"asked": len(asked), "made": len(rows), "kept": len(kept), "methods": methods}
