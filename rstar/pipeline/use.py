"""Using a run's models: on other problems, with other searches, or on a single problem."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rstar.config.load import load
from rstar.config.run import RunConfig
from rstar.config.search import CONFIGS, AnySearch
from rstar.core.problem import Problem
from rstar.core.tree import Tree
from rstar.data.jsonl import read_problems
from rstar.engine.driver import Driver
from rstar.errors import ConfigError, InputError, StageFailed
from rstar.evaluate.answer import choose
from rstar.pipeline.evaluate import evaluation, loaded
from rstar.pipeline.prepare import content, paths_of, problems
from rstar.pipeline.progress import Progress
from rstar.pipeline.search import Pass, grammar_of, world
from rstar.store import manifest
from rstar.store.fingerprint import file_sha256, fingerprint
from rstar.store.layout import ANSWERS, RoundPaths
from rstar.text.prompts import Prompts


@dataclass(frozen=True, slots=True)
class Solved:
    """A searched problem: whose models searched, the chosen answer and its text (None without one), the whole tree."""

    round: int
    answer: str | None
    solution: str | None
    tree: Tree


def evaluate(
    cfg: RunConfig,
    number: int | None,
    file: Path | None,
    search: str,
    settings: Sequence[str],
    progress: Progress,
) -> dict[str, Any]:
    """Solve problems with a round's models, the references hidden. Kept in the run's evaluations/, and resumable."""
    which, models = _models(cfg, number)
    how = _search(cfg, search, settings, "ppm" in models)
    if file is None:
        made, found = problems(cfg)
        asked, source = made.test, content(found)
    else:
        asked = read_problems(file)
        source = fingerprint([file_sha256(file)])
    name = fingerprint([which, how.model_dump(mode="json"), source])[:12]
    folder = paths_of(cfg).folder / "evaluations" / name
    metrics = evaluation(cfg, how, asked, source, models, folder, f"{search}, round {which}", progress).metrics
    return {"round": which, "search": search, **metrics, "answers": str(folder / ANSWERS)}


def solve(cfg: RunConfig, number: int | None, text: str, search: str, settings: Sequence[str]) -> Solved:
    """Search one problem with a round's models. Raises StageFailed when the search itself fails."""
    if not text.strip():
        raise InputError("the problem is empty")
    which, models = _models(cfg, number)
    how = _search(cfg, search, settings, "ppm" in models)
    tree = asyncio.run(_solve(cfg, how, models, Problem("problem", text.strip())))
    leaf = choose(tree, how)
    if leaf is None:
        return Solved(which, None, None, tree)
    return Solved(which, tree.nodes[leaf].answer, tree.prefix(leaf), tree)


async def _solve(cfg: RunConfig, how: AnySearch, models: dict[str, Path], problem: Problem) -> Tree:
    one = Pass(how, Prompts(grammar_of(cfg)), hidden=True)
    # A problem typed in by hand has no place in the run's order of problems: the clock varies its search.
    seed = cfg.seed + time.time_ns()
    async with world(cfg, loaded(cfg, models)) as (lanes, _):
        async for outcome in Driver(lanes).run([(problem.id, one.search(problem, seed))]):
            if outcome.result is None:
                raise StageFailed(f"the search failed: {outcome.error}")
            return outcome.result
    raise StageFailed("the search did not finish")


def _models(cfg: RunConfig, number: int | None) -> tuple[int, dict[str, Path]]:
    """(round, policy and PPM stage) of the round asked for, or of the last one with a finished policy."""
    paths = paths_of(cfg)
    wanted = [number] if number is not None else range(len(cfg.rounds), 0, -1)
    for which in wanted:
        one: RoundPaths = paths.round(which)
        if _finished(one.policy):
            return which, {"policy": one.policy} | ({"ppm": one.ppm} if _finished(one.ppm) else {})
    if number is None:
        missing = "no round has a trained policy yet"
    elif number > len(cfg.rounds):
        missing = f"there is no round {number} (rounds 1 to {len(cfg.rounds)})"
    else:
        missing = f"round {number} has no trained policy yet"
    raise InputError(f"{paths.folder}: {missing} (see `rstar status {paths.folder}`)")


def _finished(folder: Path) -> bool:
    found = manifest.read(folder)
    return found is not None and found.status == "complete"


def _search(cfg: RunConfig, kind: str, settings: Sequence[str], guided: bool) -> AnySearch:
    """The search a user asked for, starting from what the run's evaluation uses."""
    if kind not in CONFIGS:
        raise ConfigError(f"--search: {kind!r} is not one of {', '.join(CONFIGS)}")
    under: dict[str, Any] = {"max_depth": cfg.evaluate.max_depth, "max_tokens": cfg.evaluate.max_tokens, "kind": kind}
    if kind == "mcts":
        if cfg.evaluate.search is not None:
            under = cfg.evaluate.search.model_dump()
        under["annotation"] = "ppm" if guided else "terminal"
    return load(CONFIGS[kind], settings, under=under)
