"""The table of value models: the same solutions and pairs, judged by each of them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rstar.config.paper import PaperConfig
from rstar.config.run import RunConfig
from rstar.config.search import StepScores
from rstar.config.train import FROM_PAIRS, PpmConfig
from rstar.evaluate.seeds import Measure, count, difference, figure, shares
from rstar.paper import published
from rstar.paper.judge import HOW, Judged, judged, samples, unguided
from rstar.paper.order import points, sentence
from rstar.paper.page import Cell, Difference, Grid, Table
from rstar.paper.runs import Run, changed, check_ppms, variant
from rstar.pipeline.values import value_stage
from rstar.search.reward import SCORED_BY

ENOUGH = 300
"""Step pairs below which a table says that they are few."""

_KINDS = {"step": ("step",), "answer": ("answer",), "all": ("step", "answer")}
"""Pairs that models are compared by: of steps, of whole solutions, both."""

Said = Mapping[str, Mapping[int, Sequence[Judged]]]
"""Model -> seed -> what it said of each problem."""


def reward_models(paper: PaperConfig, runs: list[Run]) -> Table:
    """PPM, PQM and ORM of each round on solutions and trees of the round's policy."""
    by_round: dict[int, Said] = {}
    for number in check(paper, runs[0].cfg):
        said: dict[str, dict[int, list[Judged]]] = {}
        for run in runs:
            asked = run.held_out(paper.reward_models.per_level)
            trees = unguided(run, number, asked)
            drawn = samples(run, number, asked, paper.reward_models.k)
            for name, model in trained(paper, run, number).items():
                label = f"round {number}, {name} judges"
                said.setdefault(name, {})[run.seed] = judged(run, model, trees, drawn, label)
        by_round[number] = said
    return reward_models_table(by_round, paper.reward_models.k)


def check(paper: PaperConfig, cfg: RunConfig) -> list[int]:
    """The rounds that are asked for. Raises InputError where a setting is wrong."""
    rounds = check_ppms(cfg, paper.reward_models.rounds, "reward_models.rounds")
    for number in rounds:
        changed(cfg, {number: {"values": _values(paper, cfg, number)}}, "reward_models.models")
    return rounds


def _values(paper: PaperConfig, cfg: RunConfig, number: int) -> dict[str, dict[str, Any]]:
    """The settings of a round's other models."""
    ppm = cfg.rounds[number - 1].ppm
    assert ppm is not None
    return {role: settings(ppm, told) for role, told in paper.reward_models.models.items()}


def trained(paper: PaperConfig, run: Run, number: int) -> dict[str, Path]:
    """The round's PPM, and the other models, trained on the same trees from the same policy."""
    values = _values(paper, run.cfg, number)
    one = variant(run, "values", {number: {"values": values}}, number, ())
    for role in values:
        value_stage(one.cfg, number, role, one.progress)
    return {"PPM": run.round(number).ppm} | {role.upper(): one.round(number).value(role) for role in values}


def settings(ppm: PpmConfig, told: dict[str, Any]) -> dict[str, Any]:
    """The PPM's training settings for another kind of model, as many texts in a step: a pair has two."""
    shared = ppm.model_dump(mode="json", exclude={"kind"})
    if told.get("kind") not in FROM_PAIRS:
        del shared["tanh_in_loss"]
        shared |= {"batch": 2 * shared["batch"], "micro_batch": 2 * shared["micro_batch"]}
    return {**shared, **told}


def reward_models_table(by_round: Mapping[int, Said], k: int) -> Table:
    """The table from what each model said."""
    grids, findings, counts = [], [], {}
    for number, said in by_round.items():
        chosen = {name: chosen_by(its, "last") for name, its in said.items()}
        ppm = (chosen["PPM"], chosen_by(said["PPM"], "product"))
        plain = baselines(next(iter(said.values())))
        rows: list[list[Cell]] = []
        for name, its in said.items():
            cells: list[Cell] = [name, *(figure(chosen_by(its, how)) for how in HOW)]
            gains = [None, None] if name == "PPM" else [Difference(difference(chosen[name], one)) for one in ppm]
            paper = published.REWARD_MODELS.get(name)
            pairs = [figure(pairs_of(its, kind)) for kind in ("step", "answer")]
            rows.append([*cells, *gains, *pairs, None if paper is None else f"{paper:g}"])
        for name, measure in plain.items():
            gains = [Difference(difference(measure, one)) for one in ppm]
            rows.append([name, figure(measure), None, None, *gains, None, None, None])
        header = ["chosen by", *(f"best-of-{k}, {how}" for how in HOW)]
        header += ["PPM, last, against it, points", "PPM, product, against it"]
        grids.append(Grid([*header, "step pairs", "answer pairs", "paper, MATH"], rows, f"Round {number}:"))
        sizes = {kind: figure(pairs_of(said["PPM"], kind)).n for kind in ("step", "answer")}
        counts[str(number)] = {kind: int(n) for kind, n in sizes.items()}
        few = f" (fewer than {ENOUGH}: little to go by)" if sizes["step"] < ENOUGH else ""
        findings.append(
            f"Round {number}: {sizes['step']:.0f} step pairs{few}, {sizes['answer']:.0f} answer pairs;"
            f" the PPM ranks them {'; '.join(_ranks(said, name) for name in said if name != 'PPM')}."
        )
    number, said = list(by_round.items())[-1]
    findings += [_order(said, number), _against(said, number), _best_how(by_round)]
    asked = max(count(chosen_by(said["PPM"], "last")) for said in by_round.values())
    return Table(
        "reward-models",
        "Value models by round (table 8)",
        f"Who chooses best among {k} solutions of each of {asked} held-out problems, drawn by the round's policy, in %;"
        " and how often a step pair, or a pair of whole solutions, of unguided trees is ranked as its outcome does. A"
        " solution's score is its last step's (as in the paper), the least of its steps', or their product; the PPM's"
        " choice by the last and by the product stands against what the others choose by the last. All models"
        " start from the round's policy, on the same trees, and read as many texts in as many steps.",
        grids,
        findings,
        extra={"pairs": counts},
    )


def chosen_by(its: Mapping[int, Sequence[Judged]], how: StepScores) -> Measure:
    """Whether the best-scored solution of each problem is right."""
    return _measure(its, lambda one: one.picked(how))


def pairs_of(its: Mapping[int, Sequence[Judged]], *kinds: str) -> Measure:
    """Right pairs of all pairs, problem by problem."""
    return {
        seed: {one.id: _sum([getattr(one, kind) for kind in kinds]) for one in found} for seed, found in its.items()
    }


def _sum(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return sum(right for right, _ in pairs), sum(n for _, n in pairs)


def baselines(its: Mapping[int, Sequence[Judged]]) -> dict[str, Measure]:
    """Choosing without a model, and the most that choosing can reach."""
    return {
        "majority": _measure(its, Judged.majority),
        "random pick": _measure(its, Judged.random),
        "any (oracle)": _measure(its, Judged.any),
    }


def _measure(its: Mapping[int, Sequence[Judged]], of: Callable[[Judged], float]) -> Measure:
    return shares({seed: {one.id: of(one) for one in found} for seed, found in its.items()})


def _ranks(said: Said, other: str) -> str:
    """The PPM against another model by the pairs that each ranks right."""
    gains = {
        name: difference(pairs_of(said[other], *kinds), pairs_of(said["PPM"], *kinds)) for name, kinds in _KINDS.items()
    }
    return ", ".join(f"{points(gain)} points ({name})" for name, gain in gains.items()) + f" against {other}"


def _order(said: Said, number: int) -> str:
    chosen = {name: chosen_by(its, "last") for name, its in said.items()}
    ours = {name: figure(measure).mean for name, measure in chosen.items()}
    gain = lambda a, b: difference(chosen[a], chosen[b])  # noqa: E731
    return sentence(ours, published.REWARD_MODELS, gain, "reward models", f" (round {number}, last step)")


def _against(said: Said, number: int) -> str:
    """The PPM against choosing without a model."""
    ppm = chosen_by(said["PPM"], "last")
    plain = baselines(said["PPM"])
    told = [f"{points(difference(plain[name], ppm))} points against {name}" for name in ("majority", "random pick")]
    return f"In round {number} the PPM's choice by last step is {' and '.join(told)}."


def _best_how(by_round: Mapping[int, Said]) -> str:
    """Which way to make a solution's score of its steps' chooses best, PPM alone, over all rounds."""
    found = {
        how: {
            seed * 1000 + number: its
            for number, said in by_round.items()
            for seed, its in chosen_by(said["PPM"], how).items()
        }
        for how in HOW
    }
    best, *others = sorted(HOW, key=lambda how: -(figure(found[how]).mean or 0.0))
    other = others[0] if best == "last" else "last"
    gain = difference(found[other], found[best])
    verdict = "" if gain.apart else ", not told apart"
    paper = ", as in the paper" if best == "last" else ""
    return (
        f"Over all rounds the PPM chooses best by {SCORED_BY[best]}{paper}: {points(gain)} points against"
        f" {SCORED_BY[other]}{verdict}."
    )
