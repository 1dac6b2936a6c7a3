"""The evolution at each seed, and what tables make on top of it: evaluations, and runs that differ in one thing.

All of it lies in `RUN/paper/` in folders named by what they hold, so that two tables that need the same share it.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rstar.config.load import load, validate
from rstar.config.paper import PaperConfig
from rstar.config.run import RunConfig, merge
from rstar.config.search import AnySearch
from rstar.core.problem import Problem
from rstar.data.sets import others
from rstar.errors import InputError, RecipeDrift
from rstar.evaluate.seeds import Measure
from rstar.pipeline import inspect, round
from rstar.pipeline.evaluate import evaluation, first_of_each_level, greedy_of, greedy_stage
from rstar.pipeline.prepare import identity, paths_of, problems
from rstar.pipeline.progress import Progress
from rstar.pipeline.use import said, search_from
from rstar.store import manifest
from rstar.store.answers import read_answers
from rstar.store.fingerprint import fingerprint
from rstar.store.layout import RoundPaths, RunPaths

EXTRA = "paper"
"""The folder in a run for everything that tables make."""


@dataclass(frozen=True, slots=True)
class Run:
    """One seed's evolution, or a run that shares most of its stages."""

    seed: int
    cfg: RunConfig
    progress: Progress
    origin: RunPaths
    """The evolution."""
    drawn: list[Problem] | None = None
    """Held-out problems of another seed, in the place of the run's own."""

    @property
    def paths(self) -> RunPaths:
        return paths_of(self.cfg)

    @property
    def extra(self) -> Path:
        return self.origin.folder / EXTRA

    @property
    def last(self) -> int:
        return len(self.cfg.rounds)

    def round(self, number: int) -> RoundPaths:
        return self.paths.round(number)

    def held_out(self, per_level: int | None) -> list[Problem]:
        """The first held-out problems of each level."""
        asked = problems(self.cfg)[0].test if self.drawn is None else self.drawn
        return first_of_each_level(asked, per_level)


def finished(paper: PaperConfig, progress: Progress) -> list[Run]:
    """The evolution at every seed, made as far as it is not there yet.

    Raises InputError where it may not be made (`evolve: false`) and lacks a round, RecipeDrift where it was made by
    another recipe.
    """
    cfgs = [planned(paper, seed) if paper.evolve else _stored(paper, planned(paper, seed)) for seed in paper.seeds]
    runs = []
    for seed, cfg in zip(paper.seeds, cfgs, strict=True):
        drawn = None if paper.test_seed is None else others(cfg, paper.test_seed)
        runs.append(Run(seed, shortened(paper, cfg), _of(progress, f"seed {seed}"), paths_of(cfg), drawn))
    if paper.evolve:
        for run, cfg in zip(runs, cfgs, strict=True):
            for number in range(1, run.last + 1):
                round.run_round(cfg, number, run.progress)
    for run in runs[1:]:
        if _recipe(run.cfg) != _recipe(runs[0].cfg):
            raise RecipeDrift(f"{run.paths.folder}: made by another config than {runs[0].paths.folder}")
    return runs


def beside_control(sources: Sequence[str], **asked: Any) -> PaperConfig:
    """An evolution and its control where `rstar evolve` would put them, and what else is asked. Raises ConfigError."""
    evolution = [*sources, "control=true"]
    runs = inspect.config(evolution).runtime.runs
    return validate(PaperConfig, {"evolution": evolution, "runs": str(runs), **asked}, "the command line")


def _recipe(cfg: RunConfig) -> dict[str, Any]:
    """What runs of several seeds have in common."""
    return cfg.model_dump(mode="json", exclude={"seed", "name", "runtime"})


def planned(paper: PaperConfig, seed: int) -> RunConfig:
    """The evolution at one seed. Raises ConfigError."""
    cfg = load(RunConfig, [*paper.evolution, f"seed={seed}"])
    runtime = cfg.runtime.model_copy(update={"runs": paper.runs})
    return cfg.model_copy(update={"name": f"{cfg.name}-seed-{seed}", "runtime": runtime})


def shortened(paper: PaperConfig, cfg: RunConfig) -> RunConfig:
    """The rounds that tables know of."""
    return cfg.model_copy(update={"rounds": cfg.rounds[: paper.rounds]})


def _stored(paper: PaperConfig, cfg: RunConfig) -> RunConfig:
    """The config with which a finished run was made. Raises InputError where a round is not finished."""
    folder = paths_of(cfg).folder
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such run; evolve=true makes it")
    stored = inspect.config([str(folder)])
    for number in range(1, len(shortened(paper, stored).rounds) + 1):
        found = manifest.read(paths_of(stored).round(number).report)
        if found is None or found.status != "complete":
            raise InputError(
                f"{folder}: the run lacks round {number} (see `rstar status {folder}`); evolve=true makes what is"
                " missing"
            )
    return stored


def check_round(cfg: RunConfig, number: int | None, where: str) -> int:
    """The round that a setting names, or the last one. Raises InputError where there is none."""
    if number is None:
        return len(cfg.rounds)
    if number > len(cfg.rounds):
        raise InputError(f"{where}: there is no round {number}; {cfg.name} has rounds 1 to {len(cfg.rounds)}")
    return number


def check_search(cfg: RunConfig, told: Mapping[str, Any], where: str) -> AnySearch:
    """The evolution's search of held-out problems with some settings changed. Raises ConfigError."""
    return search_from(cfg, {"kind": "mcts", **told}, {"ppm": Path()}, where)


def check_ppms(cfg: RunConfig, asked: tuple[int | None, ...], where: str) -> list[int]:
    """The rounds that a setting names, or all from the second on. Raises InputError where one trains no PPM."""
    found = [check_round(cfg, number, where) for number in asked or range(2, len(cfg.rounds) + 1)]
    for number in found:
        if cfg.rounds[number - 1].ppm is None:
            raise InputError(f"{where}: round {number} of {cfg.name} trains no PPM")
    if not found:
        raise InputError(f"{where}: {cfg.name} has no second round")
    return found


def evaluated(run: Run, how: AnySearch, asked: list[Problem], models: dict[str, Path], label: str) -> Path:
    """The folder of an evaluation of stages' models: made once, whichever table asks for it."""
    source = said(asked)
    known = {role: identity(path) for role, path in models.items()}
    folder = run.extra / f"evaluate-{fingerprint([how.model_dump(mode='json'), source, known])[:12]}"
    evaluation(run.cfg, how, asked, source, models, folder, label, run.progress)
    return folder


def greedy(run: Run, number: int, who: Literal["policy", "control"] = "policy") -> Path:
    """The folder of the greedy solutions of all held-out problems by a round's policy, or by its control."""
    paths = run.round(number)
    stages = {"policy": (paths.policy, paths.eval_policy), "control": (paths.control, paths.eval_control)}
    model, folder = stages[who]
    label = f"{who} on held-out problems"
    if run.drawn is not None:
        return evaluated(run, greedy_of(run.cfg), run.drawn, {"policy": model}, f"round {number} {label}")
    greedy_stage(run.cfg, number, model, folder, label, run.progress)
    return folder


def variant(
    run: Run, name: str, rounds: Mapping[int, dict[str, Any]], last: int, fresh: Collection[str], also: Any = None
) -> Run:
    """A run of `last` rounds with some settings of theirs changed, that has all stages of `run` but the `fresh` ones.

    The stages are links, and each checks its recipe as ever: sharing one that the changes concern is drift. `also` is
    what else tells it from other runs of this name.
    """
    told = fingerprint([last, {str(number): change for number, change in rounds.items()}, also])[:8]
    runtime = run.cfg.runtime.model_copy(update={"runs": run.extra})
    own = {"rounds": run.cfg.rounds[:last], "control": False, "name": f"{name}-{told}", "runtime": runtime}
    cfg = changed(run.cfg.model_copy(update=own), rounds, f"{run.cfg.name}: {name}")
    one = replace(run, cfg=cfg, progress=_of(run.progress, name))
    whole = run.paths.folder
    for folder in (whole, *(run.round(number).folder for number in range(1, last + 1))):
        for stage in sorted(path.parent for path in folder.glob(f"*/{manifest.NAME}")):
            if str(stage.relative_to(whole)) not in fresh:
                _link(stage, one.paths.folder / stage.relative_to(whole))
    round.start(cfg, last)
    return one


def changed(cfg: RunConfig, rounds: Mapping[int, dict[str, Any]], where: str) -> RunConfig:
    """A run's config with some settings of its rounds changed. Raises ConfigError."""
    data = cfg.model_dump(mode="json")
    data["rounds"] = [merge(own, rounds.get(number, {})) for number, own in enumerate(data["rounds"], start=1)]
    return validate(RunConfig, data, where)


def _link(stage: Path, link: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(stage, link.parent), target_is_directory=True)


def right(folder: Path, asked: list[Problem]) -> dict[str, float]:
    """1 for each problem that an evaluation solved, 0 for all others; one whose search failed was not solved."""
    solved = {row["id"] for row in read_answers(folder) if row["correct"]}
    return {problem.id: float(problem.id in solved) for problem in asked}


def of_level(measure: Measure, level: Mapping[str, str], wanted: str) -> Measure:
    """A measure on the problems of one level."""
    return {seed: {name: v for name, v in its.items() if level[name] == wanted} for seed, its in measure.items()}


def levels_of(asked: list[Problem]) -> dict[str, str]:
    """Problem -> its level."""
    return {problem.id: problem.level or "all" for problem in asked}


def _of(progress: Progress, whose: str) -> Progress:
    return lambda stage, done, total: progress(f"{whose}: {stage}", done, total)
