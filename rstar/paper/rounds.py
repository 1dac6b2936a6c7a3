"""The tables by round: coverage, policy beside its control, PPM with the policy kept, search with both."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rstar.config.paper import PaperConfig
from rstar.config.run import RunConfig
from rstar.core.problem import Problem
from rstar.errors import InputError
from rstar.evaluate.plot import Axes, Line
from rstar.evaluate.seeds import Figure, Measure, count, difference, figure, shares
from rstar.paper import published
from rstar.paper.order import points, sentence
from rstar.paper.page import Cell, Difference, Grid, Plot, Table
from rstar.paper.runs import Run, check_round, check_search, evaluated, greedy, levels_of, of_level, right
from rstar.pipeline.evaluate import guide_of
from rstar.pipeline.use import models_of, needed_of
from rstar.store.layout import TREES
from rstar.store.trees import read_trees


def coverage(paper: PaperConfig, runs: list[Run]) -> Table:
    """Share of the searched problems with a verified trajectory."""
    last = min(run.last for run in runs)
    level: dict[str, str] = {}
    by_round: dict[str, Measure] = {}
    for number in range(1, last + 1):
        by_round[str(number)] = shares({run.seed: solved(run.round(number).search, level) for run in runs})
    return coverage_table(by_round, level)


def coverage_table(by_round: Mapping[str, Measure], level: Mapping[str, str]) -> Table:
    """The table from what was solved in each round."""
    names = sorted(set(level.values()))
    rows: list[list[Cell]] = []
    before: Measure | None = None
    for number, measure in by_round.items():
        cells: list[Cell] = [number, "bootstrap" if number == "1" else f"policy of round {int(number) - 1}"]
        cells += [figure(of_level(measure, level, one)).mean for one in names]
        gain = difference(before, measure) if before is not None else None
        paper = published.COVERAGE.get(number)
        rows.append([*cells, figure(measure), Difference(gain) if gain is not None and gain.n else None, _said(paper)])
        before = measure
    ours = {number: figure(measure).mean for number, measure in by_round.items() if number != "1"}
    return Table(
        "coverage",
        "Coverage by round and level (table 2)",
        "Share of the searched training problems with a verified trajectory, in %. Round 1 is the bootstrap on its own"
        " problems; later rounds search the training problems, so that they are compared among themselves.",
        [Grid(["round", "searched by", *names, "all", "against the round before", "paper, all"], rows)],
        [_rounds(ours, published.COVERAGE, by_round)],
    )


def policy(paper: PaperConfig, runs: list[Run]) -> Table:
    """Greedy pass@1 of each round's policy, and of the control where there is one."""
    last = min(run.last for run in runs)
    level = {name: its for run in runs for name, its in levels_of(run.held_out(None)).items()}
    asked = {run.seed: run.held_out(None) for run in runs}
    policies: dict[str, Measure] = {}
    controls: dict[str, Measure] = {}
    for number in range(1, last + 1):
        policies[str(number)] = shares({r.seed: right(greedy(r, number), asked[r.seed]) for r in runs})
        if number > 1 and all(run.cfg.control for run in runs):
            found = {r.seed: right(greedy(r, number, "control"), asked[r.seed]) for r in runs}
            controls |= {"1": policies["1"], str(number): shares(found)}
    return policy_table(policies, controls, level)


def policy_table(policies: Mapping[str, Measure], controls: Mapping[str, Measure], level: Mapping[str, str]) -> Table:
    """The table from what policy and control solved after each round."""
    rows: list[list[Cell]] = []
    for number, measure in policies.items():
        control = controls.get(number)
        gain = Difference(difference(control, measure)) if control is not None and number != "1" else None
        shown = None if control is None else figure(control)
        rows.append([number, figure(measure), shown, gain, _said(published.POLICY.get(number))])
    names = sorted(set(level.values()))
    by_level: list[list[Cell]] = [
        [number, who, *(figure(of_level(its[number], level, one)).mean for one in names)]
        for number in policies
        for who, its in (("policy", policies), ("control", controls))
        if number in its
    ]
    lines = [
        _line(who, {number: figure(measure) for number, measure in its.items()})
        for who, its in (("policy", policies), ("control", controls))
        if its
    ]
    ours = {number: figure(measure).mean for number, measure in policies.items()}
    return Table(
        "policy",
        "Pass@1 of the policy by round, beside the control (table 3)",
        f"Greedy solutions of {count(next(iter(policies.values())))} held-out problems, in %. The control is the"
        " same model, trained on the bootstrap data alone for at least as many optimizer steps and tokens; round"
        " 1's control is its policy.",
        [
            Grid(["round", "policy", "control", "policy against control, points", "paper, MATH"], rows),
            Grid(["round", "pass@1 of", *names], by_level, "By level:"),
        ],
        [_rounds(ours, published.POLICY, policies), _last_gain(policies, controls)],
        Plot(Axes("Pass@1 on held-out problems by round", "round", "pass@1, % (95 % interval)"), lines),
    )


def ppm(paper: PaperConfig, runs: list[Run]) -> Table:
    """Search with the policy of one round and the PPM of each."""
    cfg = runs[0].cfg
    kept = check_round(cfg, paper.ppm_policy, "ppm_policy")
    found = {str(n): _searched(paper, runs, n, kept) for n in check_guides(cfg)}
    return _search_table(
        "ppm",
        "PPM by round, the policy kept (table 4)",
        f"with the policy of round {kept} and the PPM of each round",
        found,
        published.PPM,
        {number: shares(_greedy(paper, runs, kept)) for number in found},
        f"against greedy, policy of round {kept}, points",
        about(cfg, paper.search),
    )


def system2(paper: PaperConfig, runs: list[Run]) -> Table:
    """Search with policy and PPM of each round."""
    found = {str(n): _searched(paper, runs, n, n) for n in check_guides(runs[0].cfg)}
    return _search_table(
        "system2",
        "Accuracy with search by round (table 6)",
        "with the policy and the PPM of each round",
        found,
        published.SYSTEM2,
        {number: shares(_greedy(paper, runs, int(number))) for number in found},
        "against greedy, points",
        about(runs[0].cfg, paper.search),
    )


def check_guides(cfg: RunConfig) -> list[int]:
    """The rounds with a PPM to search with. Raises InputError where there is none."""
    found = [number for number, one in enumerate(cfg.rounds, start=1) if one.ppm is not None]
    if not found:
        raise InputError(f"{cfg.name}: no round trains a PPM (ppm: null), so there is none to search with")
    return found


def _search_table(
    name: str,
    title: str,
    compared: str,
    found: Mapping[str, Measure],
    paper: Mapping[str, float],
    greedy: Mapping[str, Measure],
    against: str,
    how: str,
) -> Table:
    first = next(iter(found))
    rows: list[list[Cell]] = []
    for number, measure in found.items():
        since = None if number == first else Difference(difference(found[first], measure))
        over = Difference(difference(greedy[number], measure))
        rows.append([number, figure(measure), since, figure(greedy[number]), over, _said(paper.get(number))])
    header = ["round", "search", f"against round {first}, points", "greedy", against, "paper, MATH"]
    ours = {number: figure(measure).mean for number, measure in found.items()}
    last = list(found)[-1]
    gain = difference(greedy[last], found[last])
    verdict = "" if gain.apart else ", not told apart"
    findings = [_rounds(ours, paper, found), f"Search against greedy in round {last}: {points(gain)} points{verdict}."]
    asked = f"Search of {count(found[last])} held-out problems {compared}, the reference hidden, in %."
    return Table(name, title, f"{asked} The search: {how}.", [Grid(header, rows)], findings)


def _searched(paper: PaperConfig, runs: list[Run], number: int, kept: int) -> Measure:
    """What search solves with the value models of a round and the policy of the round `kept`."""
    return shares(
        {
            run.seed: right(guided(paper, run, number, kept, paper.search, paper.per_level), _asked(paper, run))
            for run in runs
        }
    )


def guided(
    paper: PaperConfig, run: Run, number: int, kept: int, told: dict[str, object], per_level: int | None
) -> Path:
    """The folder of a search of held-out problems; the run's own one where it is the same."""
    cfg = run.cfg
    models = models_of(cfg, number)[1] | {"policy": run.round(kept).policy}
    how = check_search(cfg, told, "search")
    own = guide_of(cfg, number)
    same = own is not None and how == own[0] and per_level == cfg.evaluate.search_problems
    if number == kept and same and run.drawn is None:
        return run.round(number).eval_search
    label = f"{how.kind}, policy of round {kept}, value models of round {number}"
    return evaluated(run, how, run.held_out(per_level), needed_of(cfg, number, how, models), label)


def about(cfg: RunConfig, told: Mapping[str, Any]) -> str:
    """A search by its kind and its size."""
    how = check_search(cfg, told, "search")
    size = {name: value for name, value in how.model_dump().items() if name in ("rollouts", "candidates", "n", "width")}
    settings = ", ".join(f"{name} {value}" for name, value in size.items())
    return how.kind + (f" ({settings})" if settings else "")


def _greedy(paper: PaperConfig, runs: list[Run], number: int) -> dict[int, dict[str, float]]:
    return {run.seed: right(greedy(run, number), _asked(paper, run)) for run in runs}


def _asked(paper: PaperConfig, run: Run) -> list[Problem]:
    return run.held_out(paper.per_level)


def solved(folder: Path, level: dict[str, str]) -> dict[str, float]:
    """Problem -> 1 where any tree of a search has a correct leaf; its level is noted."""
    found: dict[str, float] = {}
    for tree in read_trees(folder / TREES):
        name = tree.problem.id
        level[name] = tree.problem.level or "all"
        found[name] = max(found.get(name, 0.0), float(any(node.correct for node in tree.nodes)))
    return found


def _rounds(ours: Mapping[str, float | None], paper: Mapping[str, float], found: Mapping[str, Measure]) -> str:
    """The order of rounds, ours against the paper's."""
    return sentence(_named(ours), _named(paper), lambda a, b: _gain(found, a, b), of="rounds")


def _named(values: Mapping[str, float | None]) -> dict[str, float]:
    return {f"round {number}": value for number, value in values.items() if value is not None}


def _gain(found: Mapping[str, Measure], a: str, b: str) -> Figure:
    return difference(found[a.removeprefix("round ")], found[b.removeprefix("round ")])


def _last_gain(policies: Mapping[str, Measure], controls: Mapping[str, Measure]) -> str:
    """Whether the last round's policy is above its control."""
    number = list(policies)[-1]
    if number not in controls or number == "1":
        return "There is no control beside these runs: gains may be plain optimisation."
    gain = difference(controls[number], policies[number])
    if gain.mean is None:
        return "Nothing was measured."
    verdict = "" if gain.apart else ", not told apart"
    return f"Policy against control in round {number}: {points(gain)} points{verdict}."


def _line(label: str, figures: Mapping[str, Figure]) -> Line:
    there = [(float(number), one) for number, one in figures.items() if one.mean is not None]
    means = [100 * (one.mean or 0.0) for _, one in there]
    ends = [one.interval or (one.mean or 0.0, one.mean or 0.0) for _, one in there]
    return Line(label, [x for x, _ in there], means, [(100 * low, 100 * high) for low, high in ends])


def _said(paper: float | None) -> str | None:
    return None if paper is None else f"{paper:g}"
