"""The figure of test-time scaling: accuracy against the number of trajectories, with a plot."""

from collections.abc import Callable, Mapping, Sequence

from rstar.config.paper import PaperConfig
from rstar.evaluate.metrics import Ending, best_at, maj_at, pass_at
from rstar.evaluate.plot import Axes, Line
from rstar.evaluate.seeds import Measure, count, difference, figure, shares
from rstar.paper import published
from rstar.paper.judge import Judged, judged, samples
from rstar.paper.order import points, sentence
from rstar.paper.page import Cell, Grid, Plot, Table
from rstar.paper.rounds import guided
from rstar.paper.runs import Run, check_ppms, right

LAST, PRODUCT, MAJORITY, ANY = "best by PPM, last step", "best by PPM, product", "majority", "any (oracle)"
MCTS = "MCTS"

Curves = Mapping[str, Mapping[int, Measure]]
"""Way to answer -> number of trajectories -> what it solves."""


def scaling(paper: PaperConfig, runs: list[Run]) -> Table:
    """Samples chosen among by PPM or vote, and MCTS with as many rollouts."""
    how = paper.scaling
    (number,) = check_ppms(runs[0].cfg, (how.round,), "scaling.round")
    said: dict[int, list[Judged]] = {}
    searched: dict[int, dict[int, dict[str, float]]] = {rollouts: {} for rollouts in how.mcts}
    for run in runs:
        asked = run.held_out(how.per_level)
        drawn = samples(run, number, asked, how.most)
        said[run.seed] = judged(run, run.round(number).ppm, None, drawn, f"round {number}, PPM judges {how.most}")
        for rollouts, found in searched.items():
            told = {**paper.search, "kind": "mcts", "rollouts": rollouts}
            found[run.seed] = right(guided(paper, run, number, number, told, how.per_level), asked)
    curves = {**sampled(said, how.most), MCTS: {rollouts: shares(found) for rollouts, found in searched.items()}}
    return scaling_table(curves, number)


def sampled(said: Mapping[int, Sequence[Judged]], most: int) -> dict[str, dict[int, Measure]]:
    """What each way to choose among k of the samples is expected to solve, for powers of two up to `most`."""
    sizes = [1 << i for i in range(most.bit_length())]
    ways: dict[str, Callable[[Judged, int], float]] = {
        LAST: lambda one, k: best_at(one.endings("last"), k),
        PRODUCT: lambda one, k: best_at(one.endings("product"), k),
        MAJORITY: lambda one, k: maj_at(_named(one), k),
        ANY: lambda one, k: pass_at(_named(one), k),
    }
    return {
        way: {k: shares({seed: {one.id: of(one, k) for one in its} for seed, its in said.items()}) for k in sizes}
        for way, of in ways.items()
    }


def _named(one: Judged) -> list[Ending]:
    return [Ending(number, right, None) for number, right, _ in one.solutions]


def scaling_table(curves: Curves, number: int) -> Table:
    """The table and the plot from the curves."""
    sizes = sorted({k for curve in curves.values() for k in curve})
    rows: list[list[Cell]] = []
    for k in sizes:
        paper = published.SCALING.get(str(k))
        cells: list[Cell] = [figure(curve[k]) if k in curve else None for curve in curves.values()]
        rows.append([k, *cells, None if paper is None else f"{paper:g}"])
    lines = []
    for way, curve in curves.items():
        figures = [figure(measure) for measure in curve.values()]
        means = [100 * (one.mean or 0.0) for one in figures]
        ends = [one.interval or (one.mean or 0.0, one.mean or 0.0) for one in figures]
        lines.append(Line(way, [float(k) for k in curve], means, [(100 * low, 100 * high) for low, high in ends]))
    return Table(
        "scaling",
        "Accuracy against the number of trajectories (figure 3)",
        f"{count(curves[ANY][1])} held-out problems, in %, the models of round {number}. N solutions drawn apart"
        " from one another, of which the PPM, by a solution's last step or the product of its steps, or a vote"
        " chooses (expected over draws from all that were sampled); and MCTS with N rollouts, each of several"
        " candidates a step, which answers with its best-scored trajectory.",
        [Grid(["N", *curves, "paper, MATH"], rows)],
        [_growth(way, curve) for way, curve in curves.items() if len(curve) > 1 and way != ANY] + [_order(curves)],
        Plot(Axes("Accuracy against trajectories", "trajectories N", "accuracy, % (95 % interval)", log=2), lines),
    )


def _growth(way: str, curve: Mapping[int, Measure]) -> str:
    """How much the largest number gains over the smallest."""
    few, many = min(curve), max(curve)
    gain = difference(curve[few], curve[many])
    verdict = "" if gain.apart else ", not told apart"
    return f"{way}: {points(gain)} points from N = {few} to {many}{verdict}."


def _order(curves: Curves) -> str:
    """The paper's two settings, in our MCTS or, where it has not both, in the PPM's choice among samples."""
    wanted = [int(k) for k in published.SCALING]
    way = next((way for way in (MCTS, LAST) if all(k in curves[way] for k in wanted)), LAST)
    curve = {f"N = {k}": curves[way][k] for k in wanted if k in curves[way]}
    ours = {name: figure(measure).mean for name, measure in curve.items()}
    paper = {f"N = {k}": value for k, value in published.SCALING.items()}
    return sentence(ours, paper, lambda a, b: difference(curve[a], curve[b]), "settings", f" ({way})")
