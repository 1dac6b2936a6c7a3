"""The table of fine-tuning data: the same base model on rows of four kinds, as many of each, for as many steps."""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from rstar.config.paper import PaperConfig
from rstar.config.run import RunConfig
from rstar.config.search import SelfConsistencyConfig
from rstar.core.trajectory import Trajectory
from rstar.core.tree import Tree
from rstar.errors import InputError, StageFailed
from rstar.evaluate.seeds import Measure, count, difference, figure, shares
from rstar.paper import published
from rstar.paper.order import sentence
from rstar.paper.page import Cell, Difference, Grid, Table
from rstar.paper.runs import Run, changed, check_round, evaluated, greedy, right, variant
from rstar.pipeline.prepare import required, searched
from rstar.pipeline.search import grammar_of
from rstar.pipeline.select import SFT_SCHEMA
from rstar.pipeline.train import policy_stage
from rstar.select.trajectories import trajectories
from rstar.store.layout import SFT, TREES
from rstar.store.manifest import stage
from rstar.store.table import Writer
from rstar.store.trees import read_trees

OURS, REJECTION, RANDOM, BOOTSTRAP = "MCTS (top by Q)", "rejection sampling", "random sampling", "bootstrap only"
FOLDERS = {OURS: "sft-mcts", REJECTION: "sft-rejection", RANDOM: "sft-random", BOOTSTRAP: "sft-bootstrap"}

Rows = list[dict[str, Any]]


def sft_data(paper: PaperConfig, runs: list[Run]) -> Table:
    """Fine-tune on each kind of rows, and solve the held-out problems."""
    number = check(paper, runs[0].cfg)
    solved: dict[str, dict[int, dict[str, float]]] = {kind: {} for kind in FOLDERS}
    metrics: dict[str, list[dict[str, Any]]] = {kind: [] for kind in FOLDERS}
    for run in runs:
        drawn = _drawn(paper, run, number)
        for kind in FOLDERS:
            one = _tuned(paper, run, number, kind, drawn)
            solved[kind][run.seed] = right(greedy(one, 1), run.held_out(None))
            metrics[kind].append(required(one.round(1).select).metrics)
    return sft_data_table({kind: shares(found) for kind, found in solved.items()}, metrics, number)


def check(paper: PaperConfig, cfg: RunConfig) -> int:
    """The round that is asked for. Raises InputError where a setting is wrong."""
    number = check_round(cfg, paper.sft_data.round, "sft_data.round")
    if number == 1:
        raise InputError(f"sft_data.round: {cfg.name} has no second round, whose data are compared")
    changed(cfg, {1: {"policy": paper.sft_data.policy}}, "sft_data.policy")
    return number


def _drawn(paper: PaperConfig, run: Run, number: int) -> Path:
    """Random solutions of the training problems by the policy that searched them."""
    own = run.cfg.rounds[number - 1].search
    how = SelfConsistencyConfig(
        n=paper.sft_data.samples,
        temperature=own.temperature,
        top_p=own.top_p,
        max_depth=own.max_depth,
        max_tokens=own.max_tokens,
    )
    models = {"policy": run.round(number - 1).policy}
    return evaluated(run, how, searched(run.cfg, number), models, f"round {number}, {how.n} samples a training problem")


def _tuned(paper: PaperConfig, run: Run, number: int, kind: str, drawn: Path) -> Run:
    """The base model after fine-tuning on rows of one kind: a run of one round, whose rows are these."""
    cfg, how = run.cfg, run.cfg.rounds[number - 1].select
    inputs = {"bootstrap": required(run.round(1).select).fingerprint}
    if kind != BOOTSTRAP:
        inputs |= {"select": required(run.round(number).select).fingerprint, "samples": required(drawn).fingerprint}
    policy = {**paper.sft_data.policy, "start": "base"}
    changes = {1: {"policy": policy, "select": how.model_dump(mode="json")}}
    one = variant(run, FOLDERS[kind], changes, 1, ("round-1/select", "round-1/policy", "round-1/ppm"), also=inputs)
    recipe = {"select": how.recipe(), "rows": kind, "round": number, "seed": cfg.seed}
    with stage(one.round(1).select, "select", recipe, inputs) as it:
        if not it.complete:
            started = time.monotonic()
            rows = sets(run, number, drawn)[kind]
            with Writer(it.folder / SFT, SFT_SCHEMA) as file:
                for row in rows:
                    file.add({name: row[name] for name in SFT_SCHEMA.names})
            fresh = [row for row in rows if "right" in row]
            counts = {"sft_rows": len(rows), "fresh": len(fresh), "right": sum(row["right"] for row in fresh)}
            it.finish({SFT: len(rows)}, counts, time.monotonic() - started)
    policy_stage(one.cfg, 1, one.progress)
    return one


def sets(run: Run, number: int, drawn: Path) -> dict[str, Rows]:
    """The rows of every kind, as many of each.

    Where a round's data are the newest rows of each problem (`select.pool: newest`), the new rows of every kind stand
    beside the same rows of the bootstrap, and replace as many of its rows; else they stand alone.
    """
    how = run.cfg.rounds[number - 1].select
    bootstrap = _read(run.round(1).select / SFT)
    fresh = {
        OURS: [{**row, "right": True} for row in _read(run.round(number).select / SFT) if row["round"] == number],
        REJECTION: list(_sampled(run, drawn, number, how.top, verified=True)),
        RANDOM: list(_sampled(run, drawn, number, how.top, verified=False)),
    }
    return equal(fresh, bootstrap, how.pool == "newest", random.Random(run.cfg.seed))


def equal(fresh: Mapping[str, Rows], bootstrap: Rows, mixed: bool, rng: random.Random) -> dict[str, Rows]:
    """As many rows of each kind, drawn from what there is. Raises StageFailed where one kind has none."""
    size = min(len(bootstrap), *(len(rows) for rows in fresh.values()))
    if not size:
        counts = ", ".join(f"{kind} {len(rows)}" for kind, rows in {**fresh, BOOTSTRAP: bootstrap}.items())
        raise StageFailed(f"sft-data: there are no rows to compare ({counts}); search or sample more")
    kept = rng.sample(bootstrap, len(bootstrap) - size) if mixed else []
    found = {kind: [*kept, *rng.sample(rows, size)] for kind, rows in fresh.items()}
    return {**found, BOOTSTRAP: bootstrap if mixed else rng.sample(bootstrap, size)}


def _sampled(run: Run, drawn: Path, number: int, top: int, verified: bool) -> Iterator[dict[str, Any]]:
    """`top` of each problem's samples that answer, at random, identical texts once; of the verified ones alone or of
    all."""
    grammar = grammar_of(run.cfg)
    for tree in read_trees(drawn / TREES):
        for t in _some(tree, top, verified):
            yield {
                "problem_id": tree.problem.id,
                "prompt": grammar.prompt(tree.problem.text),
                "solution": t.text,
                "answer": t.answer,
                "level": tree.problem.level,
                "round": number,
                "attempt": t.attempt,
                "leaf": t.leaf,
                "mean_q": round(t.mean_q, 6),
                "min_q": round(t.min_q, 6),
                "right": t.correct,
            }


def _some(tree: Tree, top: int, verified: bool) -> Sequence[Trajectory]:
    found = {t.text: t for t in trajectories(tree) if t.correct or not verified}
    return random.Random(tree.problem.id).sample(list(found.values()), min(top, len(found)))


def _read(path: Path) -> Rows:
    return [row for batch in pq.ParquetFile(path).iter_batches() for row in batch.to_pylist()]


def sft_data_table(
    solved: Mapping[str, Measure], metrics: Mapping[str, Sequence[Mapping[str, Any]]], number: int
) -> Table:
    """The table from what each policy solved, and what its rows were."""
    rows: list[list[Cell]] = []
    for kind, measure in solved.items():
        its = metrics[kind]
        fresh, correct = (sum(one[name] for one in its) for name in ("fresh", "right"))
        gain = None if kind == OURS else Difference(difference(solved[OURS], measure))
        paper = published.SFT_DATA.get(kind)
        size = round(sum(one["sft_rows"] for one in its) / len(its))
        share = correct / fresh if fresh else None
        said = None if paper is None else f"{paper:g}"
        rows.append([kind, size, round(fresh / len(its)), share, figure(measure), gain, said])
    ours = {kind: figure(measure).mean for kind, measure in solved.items()}
    gain_of = lambda a, b: difference(solved[a], solved[b])  # noqa: E731
    return Table(
        "sft-data",
        "Fine-tuning data (table 7)",
        f"Greedy pass@1 on {count(solved[OURS])} held-out problems, in %, of the base model fine-tuned with the"
        f" settings of round 1 on as many rows for as many steps. New rows are solutions of round {number}'s training"
        f" problems by the policy of round {number - 1}: the trajectories of its tree search with the highest"
        " Q-values, random verified solutions, or random solutions whether right or not. Where a round keeps the"
        " newest rows of all problems, they replace as many rows of the bootstrap, the others being the same.",
        [
            Grid(
                [
                    "data",
                    "rows",
                    "of them new",
                    "new ones right, %",
                    "pass@1",
                    f"against {OURS}, points",
                    "paper, MATH",
                ],
                rows,
            )
        ],
        [sentence(ours, published.SFT_DATA, gain_of, "data")],
    )
