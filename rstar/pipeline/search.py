"""Searching problems into trees on disk: the part that rounds, evaluations and the control share."""

import asyncio
import os
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from rstar.answers.grader import Grader
from rstar.config.engine import EngineConfig
from rstar.config.run import GradingConfig, RunConfig
from rstar.config.search import AnySearch
from rstar.core.problem import Problem
from rstar.core.tree import Tree
from rstar.engine.driver import Driver, Lane
from rstar.engine.lanes import sandbox_lane
from rstar.engine.ledger import Ledger
from rstar.engine.meter import Meter, exported, reported
from rstar.engine.verifiers import verifier
from rstar.errors import StageFailed
from rstar.pipeline.engines import Models, model_lanes
from rstar.pipeline.prepare import paths_of
from rstar.pipeline.progress import Progress
from rstar.pipeline.tracking import COLUMNS, shown_row, stage_name, tracking_of
from rstar.sandbox import Sandbox, SandboxConfig
from rstar.search import STRATEGIES
from rstar.search.calls import Search, Seeds
from rstar.search.explore import explored
from rstar.search.reward import grade_afterwards
from rstar.search.setup import set_up
from rstar.store.failures import Failures
from rstar.store.layout import FAILURES, SHARDS, TREES
from rstar.store.manifest import Stage
from rstar.store.trees import TreeStore, read_trees
from rstar.text.grammar import Grammar, Task
from rstar.text.prompts import Prompts
from rstar.tracking import tracked


@dataclass(frozen=True, slots=True)
class Pass:
    """One sweep over problems: how each is searched. `hidden` keeps the reference from the search and grades after;
    the explorer writes a share `explore` of the candidates."""

    cfg: AnySearch
    prompts: Prompts
    hidden: bool = False
    attempt: int = 0
    explore: float = 0.0

    def search(self, problem: Problem, run_seed: int) -> Search[Tree]:
        """The generator that searches one problem."""
        asked = problem.hidden() if self.hidden else problem
        own = STRATEGIES[self.cfg.kind](asked, self.prompts, self.cfg, Seeds(run_seed, problem.id, self.attempt))
        tree: Tree = yield from set_up(problem, explored(own, self.explore) if self.explore else own)
        tree.attempt = self.attempt
        if self.hidden and problem.answer is not None:
            yield from grade_afterwards(tree, problem)
        return tree


def grammar_of(cfg: RunConfig) -> Grammar:
    return Grammar(cfg.grammar.observe, cfg.grammar.answer, cfg.task)


class Surroundings(Protocol):
    """What of a config decides where searches run, besides the models."""

    @property
    def task(self) -> Task: ...
    @property
    def sandbox(self) -> SandboxConfig: ...
    @property
    def grading(self) -> GradingConfig: ...
    @property
    def engine(self) -> EngineConfig: ...


World = tuple[dict[str, Lane], Sandbox]
Told = Callable[..., None]
"""Hears of each problem that was searched, and of its tree where there is one."""


@asynccontextmanager
async def world(cfg: Surroundings, models: Models, logs: Path, ledger: Ledger | None = None) -> AsyncIterator[World]:
    """Every lane a search can ask, and the sandbox behind one of them; all gone when the block ends.

    What models read is charged to `ledger`; servers that are started write their logs into the folder `logs`.
    """
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(Sandbox(cfg.sandbox))
        grader = await stack.enter_async_context(Grader(cfg.grading.mode, timeout_s=cfg.grading.timeout_s))
        lanes = {"execute": sandbox_lane(sandbox), "verify": verifier(cfg.task, grader, sandbox)}
        yield lanes | await stack.enter_async_context(model_lanes(cfg.engine, models, logs, ledger)), sandbox


def search_stage(
    it: Stage,
    cfg: RunConfig,
    problems: Sequence[Problem],
    models: Models,
    passes: Sequence[Pass],
    progress: Progress,
    label: str,
) -> dict[str, int | None]:
    """Run every pass into the stage's folder, each further one over what is still unsolved; returns its files.

    Resumes by counting what is owed: problems whose tree is on disk are not searched again. Raises StageFailed when
    more problems failed than `runtime.max_failure_rate` allows. The time it takes is added to the stage's clock; curves
    and metrics go where `runtime.tracking` and `runtime.metrics` say.
    """
    name = stage_name(cfg, it.folder)
    meter, metrics = Meter(cfg.name, name), cfg.runtime.metrics
    told = it.told(progress)
    with (
        tracked(tracking_of(cfg, it.folder, it.manifest.stage), it.manifest.recipe) as track,
        exported(meter, metrics.host, metrics.port),
        clocked(it) as spent,
    ):
        watch = reported(meter, track, cfg.runtime.tracking.every_s)
        files = asyncio.run(_search_stage(it, cfg, problems, models, passes, told, label, spent, meter, watch))
        if track.on:
            samples = islice(read_trees(it.folder / TREES, "pass-0-*"), cfg.runtime.tracking.trajectories)
            track.table("trajectories", COLUMNS, [shown_row(tree) for tree in samples])
        return files


@dataclass(slots=True)
class Spent:
    """What a search used besides this process: its lanes, and the seconds of its shards in other processes."""

    lanes: list[Lane] = field(default_factory=list)
    cpu_s: float = 0.0
    gpu_s: float = 0.0

    def busy_s(self) -> float:
        """GPU-seconds: the time that lanes on a GPU, here and elsewhere, were busy."""
        return self.gpu_s + sum(lane.stats.busy_s for lane in self.lanes if lane.device == "cuda")


@contextmanager
def clocked(it: Stage) -> Iterator[Spent]:
    """Add to the stage's clock what the block takes: seconds on the wall, CPU-seconds of this process and of the
    children that ended in it, and GPU-seconds; the latter two also of what it says was spent elsewhere."""
    spent = Spent()
    started, cpu = time.monotonic(), _cpu_s()
    try:
        yield spent
    finally:
        it.clock(wall_s=time.monotonic() - started, cpu_s=_cpu_s() - cpu + spent.cpu_s, gpu_s=spent.busy_s())


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


async def _search_stage(
    it: Stage,
    cfg: RunConfig,
    problems: Sequence[Problem],
    models: Models,
    passes: Sequence[Pass],
    progress: Progress,
    label: str,
    spent: Spent,
    meter: Meter,
    watch: AbstractAsyncContextManager[None],
) -> dict[str, int | None]:
    ledger = Ledger()
    files: dict[str, int | None] = {}
    failures = Failures(it.folder / FAILURES)
    async with AsyncExitStack() as stack:
        alive: World | None = None
        for one in passes:
            asked = unsolved(it.folder / TREES, problems, before=one.attempt)
            store = TreeStore(it.folder / TREES, [p.id for p in asked], f"pass-{one.attempt}")
            stack.callback(store.close)
            for left_over in sorted((it.folder / SHARDS).glob(f"{one.attempt}-*")):
                _take(left_over, store, failures)
            # What failed in an earlier pass is not searched again once the next has begun: its problems are settled.
            settled = any((it.folder / TREES).glob(f"pass-{one.attempt + 1}-*"))
            owed = set() if settled else set(store.owed())
            name = label if one.attempt == 0 else f"{label}, retry {one.attempt}"
            told = partial(_tell, progress, name, store, len(asked), meter)
            told()
            todo = [p for p in asked if p.id in owed]
            if todo and (spread := elsewhere.get()) is not None:
                shards = _shards(it.folder, cfg, todo, models, one)
                # A thread of its own: whoever spreads shards may wait for them as it likes.
                await asyncio.to_thread(_spread, spread, shards, store, failures, spent, told)
            elif todo:
                if alive is None:
                    alive = await stack.enter_async_context(world(cfg, models, paths_of(cfg).servers, ledger))
                    spent.lanes += alive[0].values()
                    meter.lanes, meter.sandbox = alive
                    await stack.enter_async_context(watch)
                await _search(cfg, todo, one, alive, ledger, store, failures, told)
            left = store.owed()
            if len(left) > cfg.runtime.max_failure_rate * len(asked):
                raise StageFailed(
                    f"{it.folder}: {len(left)} of {len(asked)} problems failed ({failures.first()}); all of them are"
                    f" in {failures.path}. What is finished is kept: mend the cause and start again"
                )
            files |= store.seal()
    shutil.rmtree(it.folder / SHARDS, ignore_errors=True)
    if failures.rows:
        files[FAILURES] = len(failures.rows)
    return files


async def _search(
    cfg: RunConfig,
    problems: Sequence[Problem],
    one: Pass,
    alive: World,
    ledger: Ledger,
    store: TreeStore,
    failures: Failures,
    told: Told,
) -> None:
    """Search problems into a store, each tree as it is finished."""
    lanes, sandbox = alive
    searches = ((p.id, one.search(p, cfg.seed)) for p in problems)
    async for outcome in Driver(lanes, cfg.runtime.max_live).run(searches):
        ledger.settle(outcome.key, outcome.result.cost if outcome.result else None)
        if outcome.error is None and outcome.result is not None:
            store.add(outcome.result)
            failures.mended(outcome.key, one.attempt)
        else:
            failures.add(outcome.key, one.attempt, outcome.error)
        await sandbox.release(outcome.key)
        told(outcome.result)


@dataclass(frozen=True, slots=True)
class Shard:
    """Some problems of one pass, to be searched by any process that sees the run's folder; `folder` keeps their trees
    and failures until the stage takes them over."""

    cfg: RunConfig
    problems: tuple[Problem, ...]
    models: Models
    one: Pass
    folder: Path


Spread = Callable[[Sequence[Shard]], Iterable[tuple[float, float]]]
"""Has `search_shard` called for every shard, anywhere, and gives back what each returned."""
elsewhere: ContextVar[Spread | None] = ContextVar("elsewhere", default=None)
"""Where searches are worked on; without one they are in this process."""


def search_shard(shard: Shard) -> tuple[float, float]:
    """Search a shard's problems, those whose tree is not in its folder yet; returns (CPU-seconds, GPU-seconds)."""
    cpu = _cpu_s()
    spent = asyncio.run(_search_shard(shard))
    return _cpu_s() - cpu, spent.busy_s()


async def _search_shard(shard: Shard) -> Spent:
    ledger = Ledger()
    store = TreeStore(shard.folder / TREES, [p.id for p in shard.problems])
    failures = Failures(shard.folder / FAILURES)
    owed = set(store.owed())
    try:
        async with world(shard.cfg, shard.models, paths_of(shard.cfg).servers, ledger) as alive:
            todo = [p for p in shard.problems if p.id in owed]
            await _search(shard.cfg, todo, shard.one, alive, ledger, store, failures, lambda tree: None)
            return Spent(list(alive[0].values()))
    finally:
        store.close()


def _tell(progress: Progress, name: str, store: TreeStore, total: int, meter: Meter, tree: Tree | None = None) -> None:
    if tree is not None:
        meter.take(tree)
    progress(name, len(store.done), total)


def _shards(folder: Path, cfg: RunConfig, problems: Sequence[Problem], models: Models, one: Pass) -> list[Shard]:
    """The problems in shards, whose paths hold wherever they are searched. A name is used once: a lost process of an
    earlier start may still write into its own."""
    size, start = cfg.runtime.tasks.shard, uuid4().hex[:8]
    models = replace(models, generators=_absolute(models.generators), values=_absolute(models.values))
    place = folder.absolute() / SHARDS
    return [
        Shard(cfg, tuple(problems[at : at + size]), models, one, place / f"{one.attempt}-{start}-{at}")
        for at in range(0, len(problems), size)
    ]


def _absolute(models: Mapping[str, Any]) -> dict[str, Any]:
    """Folders by their whole path; teachers and hub names as they are."""
    there = {role: who for role, who in models.items() if isinstance(who, Path) and who.exists()}
    return {**models, **{role: who.absolute() for role, who in there.items()}}


def _spread(
    spread: Spread,
    shards: Sequence[Shard],
    store: TreeStore,
    failures: Failures,
    spent: Spent,
    told: Told,
) -> None:
    """Have shards searched elsewhere, and take over what each found as it ends."""
    for shard, (cpu_s, gpu_s) in zip(shards, spread(shards), strict=True):
        spent.cpu_s, spent.gpu_s = spent.cpu_s + cpu_s, spent.gpu_s + gpu_s
        _take(shard.folder, store, failures)
        told()


def _take(shard: Path, store: TreeStore, failures: Failures) -> None:
    """Move the finished trees of a shard into the stage, and note its failures."""
    store.take(shard / TREES)
    failures.take(Failures(shard / FAILURES))
    shutil.rmtree(shard)


def unsolved(trees: Path, problems: Sequence[Problem], before: int) -> list[Problem]:
    """The problems without a correct leaf in any tree of the passes before `before`."""
    earlier = (tree for attempt in range(before) for tree in read_trees(trees, f"pass-{attempt}-*"))
    solved = {tree.problem.id for tree in earlier if any(node.correct for node in tree.nodes)}
    return [problem for problem in problems if problem.id not in solved]


def coverage(trees: Iterator[Tree]) -> dict[str, Any]:
    """Counts over a folder of trees: problems, solved ones (also by level), leaves by how they ended, cost."""
    solved: dict[str, bool] = {}
    level: dict[str, str] = {}
    ends: Counter[str] = Counter()
    cost: Counter[str] = Counter()
    for tree in trees:
        name = tree.problem.id
        level[name] = tree.problem.level or "all"
        solved[name] = solved.get(name, False) or any(node.correct for node in tree.nodes)
        ends.update(node.terminal.value for node in tree.nodes if node.terminal)
        cost.update(asdict(tree.cost) | {"rollouts": tree.rollouts, "nodes": len(tree.nodes)})
    levels = {
        one: {"problems": len(names), "solved": sum(solved[n] for n in names)}
        for one in sorted(set(level.values()))
        for names in [[n for n, its in level.items() if its == one]]
    }
    return {
        "problems": len(solved),
        "solved": sum(solved.values()),
        "levels": levels,
        "terminals": dict(sorted(ends.items())),
        "cost": dict(cost),
    }
