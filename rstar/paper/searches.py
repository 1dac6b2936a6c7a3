"""The table of searches at like budgets: MCTS by the PPM against simpler ways to spend as many policy tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rstar.config.paper import PaperConfig
from rstar.config.run import RunConfig
from rstar.core.problem import Problem
from rstar.errors import InputError
from rstar.evaluate.seeds import Measure, count, difference, figure, shares
from rstar.paper.order import points
from rstar.paper.page import Cell, Difference, Grid, Table
from rstar.paper.rounds import about, guided
from rstar.paper.runs import Run, check_ppms, check_search, greedy, right
from rstar.store.answers import read_answers

GREEDY, MCTS = "greedy", "MCTS"
COSTS = {"policy tokens": "generated", "value tokens": "value_tokens", "executions": "executions"}
"""Column -> what it sums of an evaluation's answers."""


@dataclass(frozen=True, slots=True)
class Searched:
    """What one strategy solved, and its mean costs of a problem."""

    solved: Measure
    costs: Mapping[str, float]


def searches(paper: PaperConfig, runs: list[Run]) -> Table:
    """Every strategy on the same held-out problems, by the models of each of the rounds."""
    cfg, told = runs[0].cfg, paper.searches
    pairs = check(paper, cfg)
    return searches_table({pair: _by_strategy(paper, runs, *pair) for pair in pairs}, about(cfg, told.rows[MCTS]))


def check(paper: PaperConfig, cfg: RunConfig) -> list[tuple[int, int]]:
    """The pairs of rounds that are asked for: whose policy, whose PPM. Raises InputError where a setting is wrong."""
    told = paper.searches
    rounds = check_ppms(cfg, told.rounds, "searches.rounds")
    judges = check_ppms(cfg, (told.ppm,), "searches.ppm") if told.ppm else []
    for name, row in told.rows.items():
        if "kind" not in row:
            raise InputError(f"searches.rows.{name}: kind is missing")
        check_search(cfg, row, f"searches.rows.{name}")
    if told.rows.get(MCTS, {}).get("kind") != "mcts":
        raise InputError(f"searches.rows: there is no {MCTS!r} of kind mcts, which the others are compared with")
    if GREEDY in told.rows:
        raise InputError(f"searches.rows.{GREEDY}: the table has a row of this name already")
    return [*zip(rounds, rounds, strict=True), *((kept, judge) for judge in judges for kept in rounds if kept != judge)]


def _by_strategy(paper: PaperConfig, runs: list[Run], kept: int, judge: int) -> dict[str, Searched]:
    """Each strategy with the policy of the round `kept` and the value models of the round `judge`."""
    per_level = paper.searches.per_level
    folders: dict[str, list[Path]] = {GREEDY: [greedy(run, kept) for run in runs]}
    for name, told in paper.searches.rows.items():
        folders[name] = [guided(paper, run, judge, kept, told, per_level) for run in runs]
    asked = [run.held_out(per_level) for run in runs]
    return {
        name: Searched(
            shares({run.seed: right(path, its) for run, path, its in zip(runs, found, asked, strict=True)}),
            costs_of(list(zip(found, asked, strict=True))),
        )
        for name, found in folders.items()
    }


def costs_of(found: Sequence[tuple[Path, Sequence[Problem]]]) -> dict[str, float]:
    """Means over the problems asked, of evaluations that may hold more."""
    rows = []
    for folder, asked in found:
        ids = {problem.id for problem in asked}
        rows += [row for row in read_answers(folder) if row["id"] in ids]
    return {column: sum(row[name] for row in rows) / max(len(rows), 1) for column, name in COSTS.items()}


def searches_table(by_models: Mapping[tuple[int, int], Mapping[str, Searched]], ours_is: str) -> Table:
    """The table from what each strategy solved and cost with the policy of one round and the PPM of another."""
    grids, findings = [], []
    for (kept, judge), found in by_models.items():
        ours = found[MCTS]
        rows: list[list[Cell]] = []
        for name, one in sorted(found.items(), key=lambda item: item[1].costs["policy tokens"]):
            gain = None if name == MCTS else Difference(difference(one.solved, ours.solved))
            rows.append([name, figure(one.solved), *(f"{one.costs[column]:,.0f}" for column in COSTS), gain])
        header = ["search", "accuracy", *COSTS, f"{MCTS} against it, points"]
        grids.append(Grid(header, rows, f"{_models(kept, judge)}:"))
        others = {name: difference(one.solved, ours.solved) for name, one in found.items() if name != MCTS}
        told = [f"`{name}` {points(gain)}" for name, gain in others.items() if gain.apart and (gain.mean or 0) > 0]
        same = [f"`{name}`" for name, gain in others.items() if not gain.apart]
        ahead = [f"`{name}` {points(gain)}" for name, gain in others.items() if gain.apart and (gain.mean or 0) < 0]
        parts = [f"beats {', '.join(told)}"] if told else []
        parts += [f"is not told apart from {', '.join(same)}"] if same else []
        parts += [f"is beaten by {', '.join(ahead)}"] if ahead else []
        findings.append(f"{_models(kept, judge)}: {MCTS} {'; '.join(parts)}.")
    asked = max(count(one.solved) for found in by_models.values() for one in found.values())
    return Table(
        "searches",
        "Searches at like budgets",
        f"{asked} held-out problems, in %, the reference hidden; costs are means of a problem. Greedy decoding writes"
        f" one solution; what the others write is in the table. {MCTS} is {ours_is}. The paper has no such table.",
        grids,
        findings,
    )


def _models(kept: int, judge: int) -> str:
    return f"Models of round {kept}" if kept == judge else f"Policy of round {kept} with the PPM of round {judge}"
