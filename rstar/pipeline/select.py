"""From a round's trees to its training data, in one stream over the problems."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from rstar.config.run import RunConfig, SelectConfig
from rstar.core.problem import Problem
from rstar.core.trajectory import Pair, Trajectory
from rstar.core.tree import Tree
from rstar.data import countdown
from rstar.engine.driver import collecting_seldom
from rstar.pipeline.prepare import paths_of, required
from rstar.pipeline.progress import Progress
from rstar.pipeline.search import grammar_of
from rstar.select.pairs import PairRule, pairs
from rstar.select.trajectories import best, drawn, ends
from rstar.select.trust import Ends, Trust
from rstar.store.layout import PAIRS, SFT, SUSPECTS, TREES, TRUST
from rstar.store.manifest import Manifest, replacing, stage, write_atomic
from rstar.store.table import Writer
from rstar.store.trees import read_grouped
from rstar.text.grammar import Grammar

EVERY = 100
"""Problems between two reports of progress."""
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


def select_stage(
    cfg: RunConfig, number: int, ids: Iterable[str], total: int, search: Manifest, progress: Progress
) -> Manifest:
    """Trees of round `number` -> sft.parquet, pairs.parquet, trust.json and suspects.jsonl.

    `ids` are those of its `total` problems, in order. With `select.pool: newest` the rows of problems for which this
    round has no new ones are carried over from the last.
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
            files = RoundData(it.folder, grammar_of(cfg), how, number)
            groups = read_grouped(paths.search / TREES, ids)
            told = it.told(progress)
            counts = files.write(
                groups,
                earlier,
                lambda: plays(how.replay, cfg.seed * 1000 + number, 0.0),
                lambda done: told(f"round {number} select", done, total),
            )
            it.finish(files.parts(counts), counts, time.monotonic() - started)
        return it.manifest


@dataclass(frozen=True, slots=True)
class RoundData:
    """The files of a selection in `folder`, written in one stream over the problems: memory holds one problem's trees
    and a batch of rows, and, where rows of an earlier round may be carried over, the ids of the problems with rows."""

    folder: Path
    grammar: Grammar
    how: SelectConfig
    round: int

    def parts(self, counts: dict[str, Any]) -> dict[str, int | None]:
        """The files' names and rows, for the manifest."""
        return {SFT: counts["sft_rows"], PAIRS: counts["pair_rows"], SUSPECTS: counts["suspects"], TRUST: None}

    def write(
        self,
        groups: Iterable[list[Tree]],
        earlier: Path | None = None,
        replayed: Callable[[], Iterable[dict[str, Any]]] = tuple,
        tell: Callable[[int], None] = lambda done: None,
    ) -> dict[str, Any]:
        """Select from each problem's trees; returns the counts, which are trust.json too."""
        trust, kinds = Trust(), Counter[str]()
        solved, paired = set[str](), set[str]()
        rule = PairRule(self.how.pairs, self.how.answer_pairs, self.how.min_margin, self.how.min_edit_distance)
        with (
            Writer(self.folder / SFT, SFT_SCHEMA, ("solution",)) as sft,
            Writer(self.folder / PAIRS, PAIR_SCHEMA, ("chosen", "rejected")) as preferences,
            replacing(self.folder / SUSPECTS) as suspects,
            collecting_seldom(),
        ):
            done = 0
            for done, trees in enumerate(groups, start=1):
                problem = trees[0].problem
                answered = ends(trees)
                its = Ends.of(trees, answered)
                trust.take(problem, its)
                if (suspect := its.suspect(problem, self.how.suspects)) is not None:
                    trust.counts["suspects"] += 1
                    suspects.write(orjson.dumps(suspect.row()) + b"\n")
                if problem.parent is not None and its.correct < self.how.synthetic * (its.correct + its.wrong):
                    trust.counts["synthetic_dropped"] += 1
                    continue
                prompt = self.grammar.prompt(problem.text)
                taken = (best if self.how.by == "q" else drawn)(trees, self.how.top, answered)
                for trajectory in taken:
                    trust.kept(trajectory)
                    sft.add(self._row(problem, prompt, trajectory))
                found = pairs(trees, rule, answered)
                for pair in found:
                    kinds[pair.kind] += 1
                    preferences.add(_pair_row(pair, prompt))
                trust.counts["solved"] += bool(taken)
                if earlier is not None:
                    solved.update((problem.id,) if taken else ())
                    paired.update((problem.id,) if found else ())
                if done % EVERY == 0:
                    tell(done)
            tell(done)
            fresh = {"sft_fresh": sft.rows, "pairs_fresh": preferences.rows}
            if earlier is not None:
                _carry_over(earlier / SFT, sft, solved)
                _carry_over(earlier / PAIRS, preferences, paired)
            for row in replayed():
                sft.add(row)
        counts: dict[str, Any] = {
            "sft_rows": sft.rows,
            **fresh,
            **({"sft_replayed": self.how.replay} if self.how.replay else {}),
            "pair_rows": preferences.rows,
            "step_pairs": kinds["step"],
            "answer_pairs": kinds["answer"],
            "solved": 0,
            "suspects": 0,
            **trust.told(),
        }
        write_atomic(self.folder / TRUST, orjson.dumps(counts, option=orjson.OPT_INDENT_2))
        return counts

    def _row(self, problem: Problem, prompt: str, trajectory: Trajectory) -> dict[str, Any]:
        return {
            "problem_id": problem.id,
            "prompt": prompt,
            "solution": trajectory.text,
            "answer": trajectory.answer,
            "level": problem.level,
            "round": self.round,
            "attempt": trajectory.attempt,
            "leaf": trajectory.leaf,
            "mean_q": round(trajectory.mean_q, 6),
            "min_q": round(trajectory.min_q, 6),
        }


def _pair_row(pair: Pair, prompt: str) -> dict[str, Any]:
    return {
        "problem_id": pair.problem_id,
        "group": pair.group,
        "kind": pair.kind,
        "prompt": prompt,
        "chosen": pair.chosen,
        "rejected": pair.rejected,
        "margin": pair.margin,
        "weight": pair.weight,
    }


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
