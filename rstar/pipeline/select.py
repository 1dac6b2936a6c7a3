"""From a round's trees to its training data, in one stream over the problems."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from rstar.config.run import RunConfig, SelectConfig
from rstar.core.tree import Terminal, Tree
from rstar.data import countdown
from rstar.pipeline.prepare import paths_of, required
from rstar.pipeline.progress import Progress
from rstar.pipeline.search import grammar_of
from rstar.select.pairs import PairRule, pairs
from rstar.select.trajectories import best, difficulty, drawn
from rstar.store.layout import PAIRS, SFT, TREES, TRUST
from rstar.store.manifest import Manifest, Stage, stage, write_atomic
from rstar.store.table import Writer
from rstar.store.trees import read_grouped

PLAYED = 0
"""The `round` of rows that no search has found."""
SFT_SCHEMA = pa.schema(
    [
        ("problem_id", pa.string()),
        ("prompt", pa.string()),
        ("solution", pa.string()),
        ("answer", pa.string()),
        ("level", pa.string()),
        ("round", pa.int32()),
        ("attempt", pa.int32()),
        ("leaf", pa.int32()),
        ("mean_q", pa.float64()),
        ("min_q", pa.float64()),
    ]
)
PAIR_SCHEMA = pa.schema(
    [
        ("problem_id", pa.string()),
        ("group", pa.string()),
        ("kind", pa.string()),
        ("prompt", pa.string()),
        ("chosen", pa.string()),
        ("rejected", pa.string()),
        ("margin", pa.float64()),
        ("weight", pa.float64()),
    ]
)


def select_stage(cfg: RunConfig, number: int, ids: Sequence[str], search: Manifest, progress: Progress) -> Manifest:
    """Trees of round `number` -> sft.parquet, pairs.parquet and trust.json.

    With `select.pool: newest` the rows of problems for which this round has no new ones are carried over from the last.
    """
    paths = paths_of(cfg).round(number)
    how = cfg.rounds[number - 1].select
    inputs = {"search": search.fingerprint}
    earlier = None
    if how.pool == "newest" and number > 1:
        earlier = paths_of(cfg).round(number - 1).select
        inputs["earlier"] = required(earlier).fingerprint
    recipe = {"select": how.recipe(), "grammar": cfg.grammar.model_dump(mode="json"), "round": number}
    if how.replay:
        recipe["seed"] = cfg.seed
        inputs["base"] = required(paths_of(cfg).pretrained).fingerprint
    with stage(paths.select, "select", recipe, inputs) as it:
        if not it.complete:
            started = time.monotonic()
            groups = read_grouped(paths.search / TREES, ids)
            counts = _write(it, cfg, how, number, groups, len(ids), earlier, it.told(progress))
            files: dict[str, int | None] = {SFT: counts["sft_rows"], PAIRS: counts["pair_rows"], TRUST: None}
            it.finish(files, counts, time.monotonic() - started)
        return it.manifest


@dataclass(slots=True)
class _Funnel:
    """What is left of the problems' trajectories behind each filter."""

    counts: Counter[str]

    def take(self, trees: Sequence[Tree]) -> None:
        ends = [tree.nodes[leaf] for tree in trees for leaf in tree.leaves()]
        answered = [node for node in ends if node.terminal is Terminal.ANSWERED]
        self.counts.update(
            {
                "problems": 1,
                f"difficulty.{difficulty(trees).value}": 1,
                "terminals": len(ends),
                "answered": len(answered),
                "correct": sum(node.correct for node in answered),
                "wrong": sum(node.wrong for node in answered),
                "undecided": sum(not node.correct and not node.wrong for node in answered),
            }
        )
        self.counts.update(f"rule.{node.rule}" for node in answered if node.correct)


def _write(
    it: Stage,
    cfg: RunConfig,
    how: SelectConfig,
    number: int,
    groups: Iterator[list[Tree]],
    total: int,
    earlier: Path | None,
    progress: Progress,
) -> dict[str, Any]:
    grammar = grammar_of(cfg)
    rule = PairRule(how.pairs, how.answer_pairs, how.min_margin, how.min_edit_distance)
    funnel = _Funnel(Counter())
    kinds: Counter[str] = Counter()
    solved: set[str] = set()
    paired: set[str] = set()
    with Writer(it.folder / SFT, SFT_SCHEMA) as sft, Writer(it.folder / PAIRS, PAIR_SCHEMA) as preferences:
        for done, trees in enumerate(groups, start=1):
            problem = trees[0].problem
            prompt = grammar.prompt(problem.text)
            funnel.take(trees)
            for t in (best if how.by == "q" else drawn)(trees, how.top):
                solved.add(problem.id)
                sft.add(
                    {
                        "problem_id": problem.id,
                        "prompt": prompt,
                        "solution": t.text,
                        "answer": t.answer,
                        "level": problem.level,
                        "round": number,
                        "attempt": t.attempt,
                        "leaf": t.leaf,
                        "mean_q": round(t.mean_q, 6),
                        "min_q": round(t.min_q, 6),
                    }
                )
            for pair in pairs(trees, rule):
                kinds[pair.kind] += 1
                paired.add(problem.id)
                row = {name: getattr(pair, name) for name in PAIR_SCHEMA.names if name != "prompt"}
                preferences.add({**row, "prompt": prompt})
            progress(f"round {number} select", done, total)
        fresh = {"sft_fresh": sft.rows, "pairs_fresh": preferences.rows}
        if earlier is not None:
            _carry_over(earlier / SFT, sft, solved)
            _carry_over(earlier / PAIRS, preferences, paired)
        for row in plays(how.replay, cfg.seed * 1000 + number, 0.0):
            sft.add(row)
    counts: dict[str, Any] = {
        "sft_rows": sft.rows,
        **fresh,
        **({"sft_replayed": how.replay} if how.replay else {}),
        "solved": len(solved),
        "pair_rows": preferences.rows,
        "step_pairs": kinds["step"],
        "answer_pairs": kinds["answer"],
        **{name: funnel.counts[name] for name in sorted(funnel.counts)},
    }
    write_atomic(it.folder / TRUST, orjson.dumps(counts, option=orjson.OPT_INDENT_2))
    return counts


def _carry_over(source: Path, into: Writer, replaced: set[str]) -> None:
    """Copy the rows of all problems that have no new ones; what the base stage makes is made anew."""
    for batch in pq.ParquetFile(source).iter_batches():
        for row in batch.to_pylist():
            if row["problem_id"] not in replaced and row.get("round") != PLAYED:
                into.add(row)


def plays(count: int, seed: int, targets: float) -> Iterator[dict[str, Any]]:
    """Rows of random legal play; a share `targets` of them shows one."""
    for i, play in enumerate(countdown.transcripts(count, seed, targets)):
        yield made_row(i, play.prompt, play.solution, play.level)


def made_row(number: int, prompt: str, solution: str, level: str | None) -> dict[str, Any]:
    """A row of SFT_SCHEMA that no search has found."""
    return {
        "problem_id": f"base-{number}",
        "prompt": prompt,
        "solution": solution,
        "answer": None,
        "level": level,
        "round": PLAYED,
        "attempt": 0,
        "leaf": 0,
        "mean_q": 0.0,
        "min_q": 0.0,
    }
