"""The table of ablations: one setting of one round changed at a time, all that does not depend on it shared."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rstar.config.paper import PaperConfig
from rstar.evaluate.seeds import Measure, count, difference, figure, shares
from rstar.paper.judge import Judged, judged, samples, unguided
from rstar.paper.order import points
from rstar.paper.page import Cell, Difference, Grid, Table
from rstar.paper.reward_models import chosen_by, pairs_of
from rstar.paper.runs import Run, check_ppms, greedy, right, variant
from rstar.pipeline import round as rounds
from rstar.pipeline.prepare import required
from rstar.pipeline.train import policy_stage, ppm_stage

AS_RUN = "as run"


@dataclass(frozen=True, slots=True)
class Arm:
    """One change: what it is called, the settings of rounds it needs, the stages that are made anew."""

    label: str
    changes: dict[int, dict[str, Any]]
    fresh: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a policy arm came to: greedy right or wrong, and the means over seeds of what it learned from."""

    solved: Measure
    coverage: float
    sft_rows: float
    step_pairs: float


def ablations(paper: PaperConfig, runs: list[Run]) -> Table:
    """Every change to what the policy learns from, and every change to the PPM."""
    (number,) = check_ppms(runs[0].cfg, (paper.ablations.round,), "ablations.round")
    policies = {AS_RUN: _outcome([(run, run) for run in runs], number)}
    for arm in policy_arms(paper, runs[0], number):
        policies[arm.label] = _outcome([(run, _made(run, arm, number)) for run in runs], number)
    said = {AS_RUN: _judged(paper, [(run, run) for run in runs], number)}
    for arm in ppm_arms(paper, runs[0], number):
        said[arm.label] = _judged(paper, [(run, _made(run, arm, number)) for run in runs], number)
    return ablations_table(policies, said, number, _described(runs[0], number))


def policy_arms(paper: PaperConfig, run: Run, number: int) -> Iterator[Arm]:
    """Changes to search, selection and fine-tuning; what is as it was in the run is left out."""
    asked, own = paper.ablations, run.cfg.rounds[number - 1]
    here = [f"round-{number}/{stage}" for stage in ("search", "select", "policy", "ppm")]
    for fpu in asked.fpu:
        if fpu != own.search.fpu:
            yield Arm(f"fpu {fpu}", {number: {"search": {"fpu": fpu}}}, tuple(here))
    for rollouts in asked.rollouts:
        if rollouts != own.search.rollouts:
            yield Arm(f"{rollouts} rollouts", {number: {"search": {"rollouts": rollouts}}}, tuple(here))
    for by in asked.by:
        if by != own.select.by:
            name = "random correct ones" if by == "random" else "top by Q"
            yield Arm(name, _selection(run, number, {"by": by}), (*_selects(number), *here[2:]))
    for start in asked.start:
        if start != own.policy.start:
            change: dict[str, Any] = {"start": start}
            yield Arm(f"from {start} (as many steps)", {number: {"policy": change}}, tuple(here[2:]))
            if start == "base":
                total = sum(int(required(run.round(n).policy).metrics["steps"]) for n in range(1, number + 1))
                change = {"start": start, "steps": total}
                yield Arm("from base (the steps of all rounds)", {number: {"policy": change}}, tuple(here[2:]))


def ppm_arms(paper: PaperConfig, run: Run, number: int) -> Iterator[Arm]:
    """Changes to what the PPM learns from, and to its loss."""
    asked, own = paper.ablations, run.cfg.rounds[number - 1]
    assert own.ppm is not None
    for pairs in asked.answer_pairs:
        if pairs != own.select.answer_pairs:
            label = "with answer pairs" if pairs else "without answer pairs"
            changes = _selection(run, number, {"answer_pairs": pairs})
            yield Arm(label, changes, (*_selects(number), f"round-{number}/ppm"))
    for tanh in asked.tanh_in_loss:
        if tanh != own.ppm.tanh_in_loss:
            label = "tanh in the loss" if tanh else "tanh only in use"
            yield Arm(label, {number: {"ppm": {"tanh_in_loss": tanh}}}, (f"round-{number}/ppm",))


def _selection(run: Run, number: int, change: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """The change in every round so far: rows and pairs are carried over."""
    return {n: {"select": change} for n in range(1, number + 1)}


def _selects(number: int) -> list[str]:
    return [f"round-{n}/select" for n in range(1, number + 1)]


def _made(run: Run, arm: Arm, number: int) -> Run:
    """The run with one change, its stages made as far as the table needs them."""
    name = re.sub(r"\W+", "-", arm.label).strip("-")
    one = variant(run, name, arm.changes, number, arm.fresh)
    if f"round-{number}/search" in arm.fresh:
        rounds.search(one.cfg, number, one.progress)
    for n in range(1, number + 1):
        if f"round-{n}/select" in arm.fresh:
            rounds.select(one.cfg, n, one.progress)
    if f"round-{number}/policy" in arm.fresh:
        policy_stage(one.cfg, number, one.progress)
    else:
        ppm_stage(one.cfg, number, one.progress)
    return one


def _outcome(made: Sequence[tuple[Run, Run]], number: int) -> Outcome:
    searches = [required(one.round(number).search).metrics for _, one in made]
    selects = [required(one.round(number).select).metrics for _, one in made]
    return Outcome(
        shares({run.seed: right(greedy(one, number), run.held_out(None)) for run, one in made}),
        sum(found["solved"] for found in searches) / max(sum(found["problems"] for found in searches), 1),
        sum(found["sft_fresh"] for found in selects) / len(selects),
        sum(found["step_pairs"] for found in selects) / len(selects),
    )


def _judged(paper: PaperConfig, made: Sequence[tuple[Run, Run]], number: int) -> dict[int, list[Judged]]:
    """Trees and solutions are those of the table of reward models."""
    found = {}
    for run, one in made:
        asked = run.held_out(paper.reward_models.per_level)
        trees = unguided(run, number, asked)
        drawn = samples(run, number, asked, paper.reward_models.k)
        found[run.seed] = judged(one, one.round(number).ppm, trees, drawn, f"round {number}, PPM judges")
    return found


def _described(run: Run, number: int) -> str:
    own = run.cfg.rounds[number - 1]
    assert own.ppm is not None
    return (
        f"As run: fpu {own.search.fpu}, {own.search.rollouts} rollouts, {own.search.annotation}-guided, the top"
        f" {own.select.top} trajectories {'by Q' if own.select.by == 'q' else 'at random'}, fine-tuned from"
        f" {'the base model' if own.policy.start == 'base' else 'the last policy'}; a PPM"
        f" {'with' if own.select.answer_pairs else 'without'} answer pairs, tanh"
        f" {'in its loss' if own.ppm.tanh_in_loss else 'only in use'}."
    )


def ablations_table(
    policies: dict[str, Outcome], said: dict[str, dict[int, list[Judged]]], number: int, described: str
) -> Table:
    """The table from what each change came to."""
    own = policies[AS_RUN].solved
    rows: list[list[Cell]] = []
    for label, one in policies.items():
        gain = None if label == AS_RUN else Difference(difference(own, one.solved))
        counts: list[Cell] = [one.coverage, round(one.sft_rows), round(one.step_pairs)]
        rows.append([label, *counts, figure(one.solved), gain])
    judgements: list[list[Cell]] = []
    chosen = {label: chosen_by(its, "last") for label, its in said.items()}
    for label, its in said.items():
        gain = None if label == AS_RUN else Difference(difference(chosen[AS_RUN], chosen[label]))
        pairs = [figure(pairs_of(its, kind)) for kind in ("step", "answer")]
        judgements.append([label, *pairs, figure(chosen[label]), figure(chosen_by(its, "product")), gain])
    counted = ["coverage", "new SFT rows", "new step pairs"]
    best = ["best-of-k, last", "best-of-k, product", "last, against as run, points"]
    return Table(
        "ablations",
        "Ablations",
        f"Round {number} made again with one setting changed, from the stage on that it concerns. {described} In %; the"
        " paper has no such table.",
        [
            Grid(
                ["policy", *counted, "pass@1", "against as run, points"],
                rows,
                f"What the policy learns from ({count(own)} held-out problems):",
            ),
            Grid(
                ["PPM", "step pairs", "answer pairs", *best],
                judgements,
                f"What the PPM learns from, and how ({count(chosen[AS_RUN])} held-out problems):",
            ),
        ],
        [_told({label: one.solved for label, one in policies.items()}, "pass@1"), _told(chosen, "best-of-k")],
    )


def _told(found: dict[str, Measure], what: str) -> str:
    """Which changes our figures tell from the run as it was."""
    gains = {label: difference(found[AS_RUN], its) for label, its in found.items() if label != AS_RUN}
    if not gains:
        return f"Nothing was changed that {what} could show."
    apart = [f"{label} ({points(gain)})" for label, gain in gains.items() if gain.apart]
    same = [label for label, gain in gains.items() if not gain.apart]
    parts = [f"told apart from the run: {', '.join(apart)}"] if apart else []
    parts += [f"not told apart: {', '.join(same)}"] if same else []
    return f"By {what}, {'; '.join(parts)}."
