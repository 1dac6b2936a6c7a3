"""Searching problems into trees on disk: the part that rounds, evaluations and the control share."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from rstar.answers.grader import Grader
from rstar.config.run import RunConfig
from rstar.config.search import AnySearch
from rstar.core.problem import Problem
from rstar.core.tree import Tree
from rstar.engine.driver import Driver, Lane
from rstar.engine.lanes import sandbox_lane, teacher_lane
from rstar.engine.ledger import Ledger
from rstar.engine.meter import Meter, exported, reported
from rstar.engine.verifiers import verifier
from rstar.errors import StageFailed
from rstar.pipeline.progress import Progress
from rstar.pipeline.tracking import COLUMNS, shown_row, stage_name, tracking_of
from rstar.sandbox import Sandbox
from rstar.search import STRATEGIES
from rstar.search.calls import Completion, Generate, Search, Seeds
from rstar.search.explore import explored
from rstar.search.reward import grade_afterwards
from rstar.search.setup import set_up
from rstar.store.layout import FAILURES, TREES
from rstar.store.manifest import Stage, write_atomic
from rstar.store.trees import TreeStore, read_trees
from rstar.text.grammar import Grammar
from rstar.text.prompts import Prompts
from rstar.tracking import tracked

Generator = Path | Callable[[Generate], list[Completion]]


@dataclass(frozen=True, slots=True)
class Models:
    """Who answers, by role: generators (a checkpoint's folder, or a scripted teacher) and value models."""

    generators: Mapping[str, Generator]
    values: Mapping[str, Path] = field(default_factory=dict)
    dtype: str = "float32"


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


@asynccontextmanager
async def world(
    cfg: RunConfig, models: Models, ledger: Ledger | None = None
) -> AsyncIterator[tuple[dict[str, Lane], Sandbox]]:
    """Every lane a search can ask, and the sandbox behind one of them; all gone when the block ends.

    What models read is charged to `ledger`.
    """
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(Sandbox(cfg.sandbox))
        grader = await stack.enter_async_context(Grader(cfg.grading.mode, timeout_s=cfg.grading.timeout_s))
        lanes = {"execute": sandbox_lane(sandbox), "verify": verifier(cfg.task, grader, sandbox)}
        yield lanes | _model_lanes(cfg, models, ledger), sandbox


def _model_lanes(cfg: RunConfig, models: Models, ledger: Ledger | None) -> dict[str, Lane]:
    """A lane for each role that a model or a teacher fills."""
    lanes = {f"generate:{role}": teacher_lane(who) for role, who in models.generators.items() if callable(who)}
    engine = cfg.engine
    options: dict[str, Any] = {"device": engine.device, "dtype": models.dtype, "threads": engine.threads}
    checkpoints = {role: who for role, who in models.generators.items() if isinstance(who, Path)}
    if checkpoints or models.values:
        from rstar.engine import hf  # torch is imported only where a model answers

        for role, path in checkpoints.items():
            lanes[f"generate:{role}"] = hf.policy_lane(hf.HfPolicy(path, **options), engine.max_batch, ledger)
        for role, path in models.values.items():
            lanes[f"score:{role}"] = hf.value_lane(hf.HfValue(path, **options), engine.score_batch, ledger)
    return lanes


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
    with (
        tracked(tracking_of(cfg, it.folder, it.manifest.stage), it.manifest.recipe) as track,
        exported(meter, metrics.host, metrics.port),
        clocked(it) as lanes,
    ):
        watch = reported(meter, track, cfg.runtime.tracking.every_s)
        files = asyncio.run(_search_stage(it, cfg, problems, models, passes, progress, label, lanes, meter, watch))
        if track.on:
            samples = islice(read_trees(it.folder / TREES, "pass-0-*"), cfg.runtime.tracking.trajectories)
            track.table("trajectories", COLUMNS, [shown_row(tree) for tree in samples])
        return files


@contextmanager
def clocked(it: Stage) -> Iterator[list[Lane]]:
    """Add to the stage's clock what the block takes: seconds on the wall, CPU-seconds of this process and of the
    children that ended in it, and GPU-seconds, the time that those of the lanes it was given were busy on a GPU."""
    lanes: list[Lane] = []
    started, cpu = time.monotonic(), _cpu_s()
    try:
        yield lanes
    finally:
        it.clock(
            wall_s=time.monotonic() - started,
            cpu_s=_cpu_s() - cpu,
            gpu_s=sum(lane.stats.busy_s for lane in lanes if lane.device == "cuda"),
        )


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
    used: list[Lane],
    meter: Meter,
    watch: AbstractAsyncContextManager[None],
) -> dict[str, int | None]:
    ledger = Ledger()
    files: dict[str, int | None] = {}
    failures = _Failures(it.folder / FAILURES)
    async with AsyncExitStack() as stack:
        alive: tuple[dict[str, Lane], Sandbox] | None = None
        for one in passes:
            asked = unsolved(it.folder / TREES, problems, before=one.attempt)
            store = TreeStore(it.folder / TREES, [p.id for p in asked], f"pass-{one.attempt}")
            stack.callback(store.close)
            # What failed in an earlier pass is not searched again once the next has begun: its problems are settled.
            settled = any((it.folder / TREES).glob(f"pass-{one.attempt + 1}-*"))
            owed = set() if settled else set(store.owed())
            name = label if one.attempt == 0 else f"{label}, retry {one.attempt}"
            progress(name, len(store.done), len(asked))
            if owed:
                if alive is None:
                    alive = await stack.enter_async_context(world(cfg, models, ledger))
                    used += alive[0].values()
                    meter.lanes, meter.sandbox = alive
                    await stack.enter_async_context(watch)
                lanes, sandbox = alive
                searches = ((p.id, one.search(p, cfg.seed)) for p in asked if p.id in owed)
                async for outcome in Driver(lanes, cfg.runtime.max_live).run(searches):
                    ledger.settle(outcome.key, outcome.result.cost if outcome.result else None)
                    if outcome.error is None and outcome.result is not None:
                        store.add(outcome.result)
                        meter.take(outcome.result)
                        failures.mended(outcome.key, one.attempt)
                    else:
                        failures.add(outcome.key, one.attempt, outcome.error)
                    await sandbox.release(outcome.key)
                    progress(name, len(store.done), len(asked))
            left = store.owed()
            if len(left) > cfg.runtime.max_failure_rate * len(asked):
                raise StageFailed(
                    f"{it.folder}: {len(left)} of {len(asked)} problems failed ({failures.first()}); all of them are"
                    f" in {failures.path}. What is finished is kept: mend the cause and start again"
                )
            files |= store.seal()
    if failures.rows:
        files[FAILURES] = len(failures.rows)
    return files


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


class _Failures:
    """The failed searches of a stage, as JSON lines: problem, attempt, boundary, error, times it failed."""

    def __init__(self, path: Path):
        self.path = path
        self.rows: dict[tuple[str, int], dict[str, Any]] = {}
        if path.exists():
            for line in path.read_bytes().splitlines():
                row = orjson.loads(line)
                self.rows[row["problem"], row["attempt"]] = row

    def add(self, problem: str, attempt: int, error: Any) -> None:
        times = self.rows.get((problem, attempt), {"times": 0})["times"] + 1
        self.rows[problem, attempt] = {
            "problem": problem,
            "attempt": attempt,
            "boundary": getattr(error, "boundary", "search"),
            "error": str(error),
            "times": times,
        }
        self._write()

    def mended(self, problem: str, attempt: int) -> None:
        if self.rows.pop((problem, attempt), None):
            self._write()

    def first(self) -> str:
        """The first failure, for a message."""
        return next(
            (f"{r['problem']}: {r['boundary']}: {r['error']}" for r in self.rows.values()), "no reason recorded"
        )

    def _write(self) -> None:
        rows = [self.rows[key] for key in sorted(self.rows)]
        write_atomic(self.path, b"".join(orjson.dumps(row) + b"\n" for row in rows))
