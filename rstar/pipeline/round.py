"""One round, and the evolution that chains rounds: the loop on one screen."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from rstar.config.run import (
    SHARED,
    CountdownProblemsConfig,
    ExploreConfig,
    ModelBootstrapConfig,
    RunConfig,
    TeacherConfig,
)
from rstar.data.countdown import Player
from rstar.data.demonstrator import Borrower, Demonstrator
from rstar.data.jsonl import read_demonstrations
from rstar.data.sets import shown
from rstar.data.words import Teacher
from rstar.errors import ConfigError, Damaged, InputError, RecipeDrift
from rstar.evaluate.report import table
from rstar.pipeline.base import base
from rstar.pipeline.engines import Generator, Models, check_servers
from rstar.pipeline.evaluate import greedy_stage, guide_of, guided_stage, report_stage, shared_recipe
from rstar.pipeline.gate import gate_stage, let_pass, promoted
from rstar.pipeline.inspect import raw_config, summary_of
from rstar.pipeline.prepare import base_of, content, paths_of, problems, required, searched, searched_ids
from rstar.pipeline.progress import Progress, silent
from rstar.pipeline.search import Pass, coverage, grammar_of, search_stage
from rstar.pipeline.select import select_stage
from rstar.pipeline.train import RUNTIME, control_stage, policy_stage, ppm_stage
from rstar.pipeline.values import value_stage
from rstar.search.explore import EXPLORER
from rstar.store.fingerprint import differences
from rstar.store.layout import CHECKPOINT, TREES, RoundPaths
from rstar.store.manifest import Manifest, begun, stage, writable, write_atomic
from rstar.store.trees import read_trees
from rstar.text.prompts import Prompts

SEARCHED_BY = {"kind", "noise", "turned", "path", "dtype", "count"}
"""What of the bootstrap decides its search; the rest decides which problems there are."""


def evolve(cfg: RunConfig, progress: Progress = silent) -> list[dict[str, Any]]:
    """All rounds in order; finished stages are reused, the interrupted one goes on. Returns the rounds' summaries."""
    return [run_round(cfg, number, progress) for number in range(1, len(cfg.rounds) + 1)]


def run_round(cfg: RunConfig, number: int, progress: Progress = silent) -> dict[str, Any]:
    """Search, select, train, evaluate: round `number` from what the round before left. Returns its summary."""
    start(cfg, number)
    base(cfg, progress)
    search(cfg, number, progress)
    select(cfg, number, progress)
    policy_stage(cfg, number, progress)
    train_beside(cfg, number, progress)
    evaluate(cfg, number, progress)
    summary = summarise(cfg, number)
    let_pass(cfg, number, summary)
    return summary


def start(cfg: RunConfig, number: int) -> None:
    """Write down what is run (run.json, spec.json), once nothing speaks against it.

    Raises InputError on wrong problem files, and RecipeDrift when what is on disk was made with another recipe.
    """
    if not 1 <= number <= len(cfg.rounds):
        raise ConfigError(f"round {number}: the config has rounds 1 to {len(cfg.rounds)}")
    for n in range(1, len(cfg.rounds) + 1):
        guide_of(cfg, n)
    check_servers(cfg.engine, cfg.engine.backends)
    paths = paths_of(cfg)
    resolved = cfg.model_dump(mode="json")
    changed = list(_drifted(cfg))
    if paths.run.exists() and begun(paths.base) is not None:
        try:
            earlier = _identity(raw_config(paths.folder))
        except (AttributeError, KeyError, TypeError) as error:
            raise Damaged(f"{paths.run}: not the config of a run ({error!r})") from error
        changed += differences(earlier, _identity(resolved))
    if changed:
        raise RecipeDrift(
            f"{paths.run}: this run was started with another recipe: {'; '.join(changed[:8])}. Give the run another"
            " name (name=...), or remove what was made with the old one"
        )
    try:
        problems(cfg)
        paths.round(number).folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"runtime.runs: {paths.folder} cannot be written to ({error.strerror})") from error
    spec = cfg.rounds[number - 1].model_dump(mode="json")
    with writable(paths.folder):
        write_atomic(paths.run, orjson.dumps({"config": resolved}, option=orjson.OPT_INDENT_2))
        write_atomic(paths.round(number).spec, orjson.dumps(spec, option=orjson.OPT_INDENT_2))


def search(cfg: RunConfig, number: int, progress: Progress = silent) -> Manifest:
    """Round 1: the bootstrap searches its problems. Later: the last promoted round's policy (and PPM) the training
    problems."""
    how = cfg.rounds[number - 1]
    paths = paths_of(cfg)
    _, manifest = problems(cfg)
    inputs = {"problems": content(manifest)}
    first = number == 1
    role = how.search.value if how.search.annotation == "ppm" else None
    if not first:
        earlier = _searcher(cfg, number, role)
        inputs["policy"] = required(earlier.policy).fingerprint
        if role is not None:
            inputs[role] = required(earlier.value(role)).fingerprint
    explore = None if first else how.explore
    if explore is not None and explore.by == "base":
        inputs["base"] = required(base_of(cfg)).fingerprint
    recipe = {
        "round": number,
        "search": how.search.model_dump(mode="json"),
        "retry": list(how.retry),
        **({} if first or how.search_problems is None else {"search_problems": how.search_problems}),
        **({} if explore is None else {"explore": explore.recipe()}),
        **({"bootstrap": cfg.bootstrap.model_dump(mode="json", include=SEARCHED_BY)} if first else {}),
        **shared_recipe(cfg),
    }
    with stage(paths.round(number).search, "search", recipe, inputs) as it:
        if not it.complete:
            started = time.monotonic()
            models, prompts = _bootstrap(cfg) if first else (_learned(cfg, number, role), Prompts(grammar_of(cfg)))
            passes = [
                Pass(
                    how.search.model_copy(update={"rollouts": rollouts}),
                    prompts,
                    attempt=attempt,
                    explore=0.0 if explore is None or attempt < explore.after else explore.share,
                )
                for attempt, rollouts in enumerate((how.search.rollouts, *how.retry))
            ]
            files = search_stage(it, cfg, searched(cfg, number), models, passes, progress, f"round {number} search")
            it.finish(files, coverage(read_trees(it.folder / TREES)), time.monotonic() - started)
        return it.manifest


def select(cfg: RunConfig, number: int, progress: Progress = silent) -> Manifest:
    """Trees into SFT rows and preference pairs."""
    ids, total = searched_ids(cfg, number)
    return select_stage(cfg, number, ids, total, required(paths_of(cfg).round(number).search), progress)


def train_beside(cfg: RunConfig, number: int, progress: Progress = silent) -> None:
    """What needs only the round's policy, side by side: value models, and the control twin from round 2 on."""
    tasks: list[Callable[..., Any]] = [ppm_stage]
    if cfg.control and number > 1:
        tasks.append(control_stage)
    tasks += [partial(value_stage, role=role) for role in cfg.rounds[number - 1].values]
    stop = threading.Event()
    with ThreadPoolExecutor(cfg.runtime.parallel_training) as pool:
        try:
            for running in [pool.submit(task, cfg, number, progress=progress, stop=stop) for task in tasks]:
                running.result()
        except KeyboardInterrupt:
            stop.set()  # the pool waits for its threads, which would go on to the end of their trainings
            raise


def evaluate(cfg: RunConfig, number: int, progress: Progress = silent) -> None:
    """Greedy pass@1 of policy and control, and search with the reference hidden."""
    paths = paths_of(cfg).round(number)
    greedy_stage(cfg, number, paths.policy, paths.eval_policy, "policy on held-out problems", progress)
    if cfg.control and number > 1:
        greedy_stage(cfg, number, paths.control, paths.eval_control, "control on held-out problems", progress)
    guided_stage(cfg, number, progress)


def summarise(cfg: RunConfig, number: int) -> dict[str, Any]:
    """Gather the round's report, hold it against the last promoted round, and write the table of all rounds so far."""
    report_stage(cfg, number)
    gate_stage(cfg, number)
    paths = paths_of(cfg)
    rounds = [summary_of(paths.round(n)) for n in range(1, number + 1)]
    with writable(paths.folder):
        write_atomic(paths.report, table(cfg.name, rounds).encode())
    return rounds[-1]


def _bootstrap(cfg: RunConfig) -> tuple[Models, Prompts]:
    made, _ = problems(cfg)
    grammar = grammar_of(cfg)
    match cfg.bootstrap:
        case TeacherConfig() as given if isinstance(cfg.problems, CountdownProblemsConfig):
            return Models({"policy": Player(given.noise)}), Prompts(grammar)
        case TeacherConfig(noise=noise, turned=turned):
            return Models({"policy": Teacher(noise, turned)}), Prompts(grammar)
        case ModelBootstrapConfig() as given:
            examples = read_demonstrations(given.examples, cfg.task, cfg.grading.shown_tests)[: given.count]
            told = tuple(shown(cfg, example) for example in examples)
            return Models({"policy": Path(given.path)}, dtype=given.dtype), Prompts(grammar, "instruct", told)
        case given:
            return Models({"policy": Demonstrator(made.bootstrap, given.noise)}), Prompts(grammar)


def _searcher(cfg: RunConfig, number: int, role: str | None) -> RoundPaths:
    """The round whose models search in round `number`. Raises ConfigError when it has no value model for `role`."""
    last = promoted(cfg, number)
    if role is not None and role not in cfg.rounds[last - 1].roles:
        raise ConfigError(
            f"rounds.{number - 1}.search.annotation: round {last}, to whose models the gate has rolled back, has no"
            f" value model {role!r}; use `terminal`, or gate.on_regression=warn"
        )
    return paths_of(cfg).round(last)


def _learned(cfg: RunConfig, number: int, role: str | None) -> Models:
    earlier = _searcher(cfg, number, role)
    values = {} if role is None else {role: earlier.value(role) / CHECKPOINT}
    generators: dict[str, Generator] = {"policy": earlier.policy / CHECKPOINT}
    explore = cfg.rounds[number - 1].explore
    if explore is not None:
        generators[EXPLORER] = _explorer(cfg, explore)
    return Models(generators, values, cfg.model.dtype)


def _explorer(cfg: RunConfig, how: ExploreConfig) -> Generator:
    match how.by:
        case "play":
            return Player(1.0)
        case "demonstrations":
            return Borrower(problems(cfg)[0].bootstrap)
        case "base":
            return base_of(cfg) / CHECKPOINT


def _drifted(cfg: RunConfig) -> Iterator[str]:
    """Settings of rounds that are not those with which the stages on disk were made."""
    for number, one in enumerate(cfg.rounds, start=1):
        paths = paths_of(cfg).round(number)
        settings = one.model_dump(mode="json")
        settings |= {f"values.{role}": how for role, how in settings["values"].items()}
        gate = begun(paths.gate)
        if gate is not None:
            yield from differences(gate.recipe["p"], cfg.gate.p, "gate.p")
        for folder, names in (
            (paths.search, {"search": "search", "retry": "retry"}),
            (paths.select, {"select": "select"}),
            (paths.policy, {"policy": "sft"}),
            (paths.ppm, {"ppm": "ppm"}),
            *((paths.value(role), {f"values.{role}": "value"}) for role in one.values),
        ):
            found = begun(folder)
            if found is None:
                continue
            if "search" in names and number > 1:
                known = {"explore": one.explore and one.explore.recipe(), "search_problems": one.search_problems}
                for name, new in known.items():
                    yield from differences(found.recipe.get(name), new, f"rounds.{number - 1}.{name}")
            for name, theirs in names.items():
                old, new = found.recipe[theirs], settings[name]
                if isinstance(old, dict) and isinstance(new, dict):
                    new = {key: new.get(key) for key in old}  # a recipe leaves out what cannot change a result
                if new is not None or found.status == "complete":
                    yield from differences(old, new, f"rounds.{number - 1}.{name}")


def _identity(resolved: dict[str, Any]) -> dict[str, Any]:
    """What of a config is the recipe, rounds aside; their sections are compared with the stages on disk.

    Problem files count by their bytes, which the `problems` stage compares, and not by where they lie.
    """
    skip = ("engine", "runtime", "gate", *SHARED, "rounds", "name")
    files = ("train", "test", "demonstrations", "examples")
    runtime = ("python", "workers", "concurrency", "live_states", "keep")
    kept = {name: value for name, value in resolved.items() if name not in skip}
    for name, left_out in (("problems", files), ("bootstrap", files), ("sandbox", runtime)):
        kept[name] = {key: value for key, value in kept[name].items() if key not in left_out}
    if kept.get("base"):
        train = {key: value for key, value in kept["base"]["train"].items() if key not in RUNTIME}
        kept["base"] = {**kept["base"], "train": train}
    return kept
