"""Using a run's models: on other problems, with other searches, or on a single problem."""

import asyncio
import shlex
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel

from rstar.config.engine import LaunchConfig, VllmConfig
from rstar.config.load import load, validate
from rstar.config.run import RunConfig, merge
from rstar.config.search import CONFIGS, AnySearch, BestOfNConfig, MctsConfig, StepScores
from rstar.core.problem import Problem
from rstar.core.tree import Tree
from rstar.data import benchmarks
from rstar.data.sets import posed, typed
from rstar.engine.driver import Driver
from rstar.engine.ledger import Ledger
from rstar.engine.servers import NARROWEST, command, environment
from rstar.errors import ConfigError, InputError, StageFailed
from rstar.evaluate.answer import choose
from rstar.pipeline.engines import check_servers, place_of, served
from rstar.pipeline.evaluate import equality_of, evaluation, first_of_each_level, loaded
from rstar.pipeline.prepare import finished, identity, paths_of, problems, required
from rstar.pipeline.progress import Progress
from rstar.pipeline.roles import lanes_of
from rstar.pipeline.search import Pass, grammar_of, world
from rstar.pipeline.watch import Listener, watched
from rstar.store.fingerprint import fingerprint
from rstar.store.layout import ANSWERS, CHECKPOINT, RoundPaths
from rstar.store.manifest import Manifest
from rstar.text.prompts import Prompts


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What is to be evaluated, all of it checked and nothing written: the strategy, the problems, the stages of the
    models by role, and the folder that keeps the result."""

    cfg: RunConfig
    round: int
    how: AnySearch
    problems: list[Problem]
    models: dict[str, Path]
    source: str
    folder: Path

    def run(self, progress: Progress, label: str | None = None) -> Manifest:
        """Search what is still owed, and measure. Raises StageFailed when too many searches failed."""
        label = label or f"{self.how.kind}, round {self.round}"
        return evaluation(self.cfg, self.how, self.problems, self.source, self.models, self.folder, label, progress)

    def told(self, found: Manifest) -> dict[str, Any]:
        """The result as one JSON object."""
        which = {"round": self.round, "search": self.how.kind}
        return {**which, **found.metrics, "clock": found.clock, "answers": str(self.folder / ANSWERS)}


@dataclass(frozen=True, slots=True)
class Asked:
    """Problems to evaluate on: a file, a benchmark by name, or the run's held-out ones; all or the first of them."""

    source: str | None = None
    limit: int | None = None
    per_level: int | None = None
    levels: tuple[str, ...] | None = None

    def read(self, cfg: RunConfig) -> list[Problem]:
        """The problems. Raises InputError on what is wrong with them."""
        if self.source is None:
            found, task = problems(cfg)[0].test, None
        else:
            found, task = benchmarks.read(self.source, cfg.task, cfg.grading.shown_tests)
            found = [posed(cfg, problem) for problem in found]
        own = grammar_of(cfg).task
        if task is not None and task != own:
            raise InputError(f"--problems: {self.source} is a benchmark of the task {task!r}, and the run's is {own!r}")
        if self.levels is not None:
            there = sorted({problem.level for problem in found if problem.level is not None})
            unknown = next((level for level in self.levels if level not in there), None)
            if unknown is not None:
                raise InputError(f"levels: no problem has the level {unknown!r} (levels: {', '.join(there) or 'none'})")
            found = [problem for problem in found if problem.level in self.levels]
        return first_of_each_level(found, self.per_level)[: self.limit]


def evaluate(
    cfg: RunConfig, number: int | None, asked: Asked, search: str, settings: Sequence[str], progress: Progress
) -> dict[str, Any]:
    """Solve problems with a round's models, the references hidden. Kept in the run's evaluations/, and resumable."""
    which, models = models_of(cfg, number)
    how = search_of(cfg, search, settings, models)
    one = prepared(cfg, which, how, models, asked.read(cfg))
    return one.told(one.run(progress))


def prepared(cfg: RunConfig, number: int, how: AnySearch, models: dict[str, Path], asked: list[Problem]) -> Evaluation:
    """An evaluation of one strategy. Raises InputError when the round lacks a model that the strategy asks."""
    needed = needed_of(cfg, number, how, models)
    check_servers(cfg.engine, needed)
    source = said(asked)
    others = {role: identity(path) for role, path in needed.items() if role in cfg.evaluate.generators}
    name = fingerprint([number, how.model_dump(mode="json"), source, *others.items()])[:12]
    folder = paths_of(cfg).folder / "evaluations" / name
    return Evaluation(cfg, number, how, asked, needed, source, folder)


def said(asked: Sequence[Problem]) -> str:
    """The identity of problems: they count by what they say, wherever they came from."""
    return fingerprint([_content(problem) for problem in asked])


def _content(problem: Problem) -> list[str | None]:
    said = [problem.id, problem.text, problem.answer, problem.level]
    return said if problem.setup is None else [*said, problem.setup]


@dataclass(frozen=True, slots=True)
class Solved:
    """A searched problem: whose models searched, the leaf that was chosen (None without an answer), the whole tree."""

    round: int
    leaf: int | None
    tree: Tree
    scored_by: StepScores | None
    """What the score of a whole solution is made of; None where the strategy makes none."""

    @property
    def answer(self) -> str | None:
        return None if self.leaf is None else self.tree.nodes[self.leaf].answer

    @property
    def solution(self) -> str | None:
        return None if self.leaf is None else self.tree.prefix(self.leaf)


def solve(
    cfg: RunConfig,
    number: int | None,
    text: str,
    search: str,
    settings: Sequence[str],
    tell: Listener | None = None,
) -> Solved:
    """Search one problem with a round's models; `tell` hears of every call. Raises StageFailed when it fails."""
    if not text.strip():
        raise InputError("the problem is empty")
    which, models = models_of(cfg, number)
    how = search_of(cfg, search, settings, models)
    needed = needed_of(cfg, which, how, models)
    check_servers(cfg.engine, needed)
    tree = asyncio.run(_solve(cfg, how, needed, typed(cfg, text), tell))
    with equality_of(cfg) as equal:
        scored_by = how.steps if isinstance(how, MctsConfig | BestOfNConfig) else None
        return Solved(which, choose(tree, how, equal), tree, scored_by)


async def _solve(
    cfg: RunConfig, how: AnySearch, models: dict[str, Path], problem: Problem, tell: Listener | None
) -> Tree:
    one = Pass(how, Prompts(grammar_of(cfg)), hidden=True)
    # A problem typed in by hand has no place in the run's order of problems: the clock varies its search.
    search = one.search(problem, cfg.seed + time.time_ns())
    ledger = Ledger()
    async with world(cfg, loaded(cfg, models), paths_of(cfg).servers, ledger) as (lanes, _):
        async for outcome in Driver(lanes).run([(problem.id, watched(search, tell) if tell else search)]):
            if outcome.result is None:
                raise StageFailed(f"the search failed: {outcome.error}")
            ledger.settle(problem.id, outcome.result.cost)
            return outcome.result
    raise StageFailed("the search did not finish")


def models_of(cfg: RunConfig, number: int | None) -> tuple[int, dict[str, Path]]:
    """(round, finished stages of models by role) of the round asked for, or of the last one with a finished policy.

    Raises Damaged where a model's file is gone.
    """
    paths = paths_of(cfg)
    wanted = [number] if number is not None else range(len(cfg.rounds), 0, -1)
    for which in wanted:
        one: RoundPaths = paths.round(which)
        if finished(one.policy):
            values = {path.name: path for path in sorted((one.folder / "values").glob("*"))}
            found = {"ppm": one.ppm, **values}
            stages = {"policy": one.policy} | {role: path for role, path in found.items() if finished(path)}
            for stage in stages.values():
                required(stage)
            return which, stages
    if number is None:
        missing = "no round has a trained policy yet"
    elif number > len(cfg.rounds):
        missing = f"there is no round {number} (rounds 1 to {len(cfg.rounds)})"
    else:
        missing = f"round {number} has no trained policy yet"
    raise InputError(f"{paths.folder}: {missing} (see `rstar status {paths.folder}`)")


def serving(cfg: RunConfig, number: int | None, port: int) -> dict[str, dict[str, Any]]:
    """How to serve a round's models for runs that attach to them, by role: `name`, `path`, `command`, `endpoint`,
    `settings` (of the run that attaches, as one writes them), `note` (what is to be known; else empty).

    Ports count up from `port`. Raises InputError when the round has no finished policy, or there are too few ports.
    """
    _, stages = models_of(cfg, number)
    if port + len(stages) - 1 > 65535:
        raise InputError(f"--port {port}: there are {len(stages)} models, and no port after 65535")
    told = {}
    for place, (role, stage) in enumerate(stages.items()):
        how = cfg.engine.of(role)
        launch = how.launch if isinstance(how, VllmConfig) and how.launch is not None else LaunchConfig()
        model = served(role, (stage / CHECKPOINT).absolute())
        dtype = "float32" if cfg.model.dtype == "float64" else cfg.model.dtype
        endpoint = f"http://{socket.gethostname()}:{port + place}"
        settings = [f"{place_of(role)}={{kind: vllm, endpoints: ['{endpoint}']}}"]
        settings += ["model.dtype=float32"] if cfg.model.dtype == "float64" else []
        words = command(launch, model, dtype, port + place, scores=role != "policy", host="0.0.0.0")
        variables = [f"{name}={value}" for name, value in environment(launch, 0).items()]
        told[role] = {
            "name": model.name,
            "path": str(model.path),
            "command": shlex.join(["env", *variables, *words]),
            "endpoint": endpoint,
            "settings": settings,
            "note": _narrow(model.path),
        }
    return told


def _narrow(checkpoint: Path) -> str:
    """What is to be said of a model whose attention heads are too narrow for vLLM on a CPU."""
    its = orjson.loads((checkpoint / "config.json").read_bytes())
    width = its.get("head_dim") or its["hidden_size"] // its["num_attention_heads"]
    if width >= NARROWEST:
        return ""
    return f"its attention heads are {width} wide, and vLLM on a CPU takes none below {NARROWEST}"


def search_of(cfg: RunConfig, search: str, settings: Sequence[str], models: dict[str, Path]) -> AnySearch:
    """The search a user asked for by its kind, or by the file of a preset, over the defaults of the run.

    Raises ConfigError.
    """
    files = [search] if search.endswith((".yaml", ".yml")) else []
    kind = load(Preset, files).kind if files else search
    return load(_config(kind, "--search"), [*files, *settings], under=_defaults(cfg, kind, models))


class Preset(BaseModel):
    """What is read first of a file under configs/search."""

    kind: str


def search_from(cfg: RunConfig, told: dict[str, Any], models: dict[str, Path], where: str) -> AnySearch:
    """As `search_of`, from settings in a file; `where` is what a message calls them."""
    kind = str(told["kind"])
    return validate(_config(kind, f"{where}.kind"), merge(_defaults(cfg, kind, models), told), where)


def _config(kind: str, where: str) -> type[AnySearch]:
    if kind not in CONFIGS:
        raise ConfigError(f"{where}: {kind!r} is not one of {', '.join(CONFIGS)}")
    return CONFIGS[kind]


COMMON = ("max_depth", "max_tokens", "temperature", "top_p")
"""What a search of another kind takes over from the run's own search of held-out problems."""


def _defaults(cfg: RunConfig, kind: str, models: dict[str, Path]) -> dict[str, Any]:
    """What the run's own evaluation uses, as far as it is about any search; of the same kind, all of it."""
    fields = CONFIGS[kind].model_fields
    own = {} if cfg.evaluate.search is None else cfg.evaluate.search.model_dump()
    if own.get("kind") != kind:
        bounds = {"max_depth": cfg.evaluate.max_depth, "max_tokens": cfg.evaluate.max_tokens}
        own = {name: value for name, value in {**own, **bounds}.items() if name in COMMON and name in fields}
    if "annotation" in fields:
        own["annotation"] = "ppm" if "ppm" in models else "terminal"
    if "judge" in fields and cfg.model.kind == "tiny":
        own["judge"] = "value"  # a model from scratch knows solutions only: asked what it thinks, it has no answer
    return {**own, "kind": kind}


def needed_of(cfg: RunConfig, number: int, how: AnySearch, models: dict[str, Path]) -> dict[str, Path]:
    """The stages of the models that a strategy asks. Raises InputError when the round does not have one of them."""
    asked = lanes_of(cfg, how)
    needed = {"policy": models["policy"]}
    for lane in sorted(asked):
        call, _, role = lane.partition(":")
        if call == "score" and role not in models:
            have = [name for name in models if name != "policy"]
            other = f", or let it ask another one: value={have[0]}" if have else ""
            raise InputError(
                f"{how.kind}: it asks the value model {role!r}, which round {number} of {paths_of(cfg).folder} does not"
                f" have (its value models: {', '.join(have) or 'none'}). A run whose config says"
                f" `values: {{{role}: {{kind: …}}}}` trains one{other}"
            )
        others = cfg.evaluate.generators
        if call == "generate" and role not in ("policy", *others):
            raise InputError(
                f"{how.kind}: it asks a second generator, {role!r}: name its checkpoint"
                f" (evaluate.generators.{role}=PATH), or let it ask the run's own `policy`"
            )
        if call == "generate" and role != "policy":
            needed[role] = others[role]
        if call == "score":
            needed[role] = models[role]
    return needed
