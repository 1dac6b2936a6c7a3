"""What is measured after a round: greedy pass@1, search with the reference hidden, and how well the PPM ranks."""

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import orjson

from rstar.answers.countdown import same
from rstar.answers.grader import equality
from rstar.answers.vote import Equal, distinct
from rstar.config.run import RunConfig
from rstar.config.search import AnySearch, GreedyConfig, MctsConfig
from rstar.core.problem import Problem
from rstar.core.tree import Cost, Tree
from rstar.errors import ConfigError
from rstar.evaluate.answer import choose, vote
from rstar.evaluate.metrics import Rate, at_k, by_level, endings, pair_accuracy, total
from rstar.pipeline.engines import Models
from rstar.pipeline.gate import promoted
from rstar.pipeline.prepare import content, identity, is_stage, paths_of, problems, required, task_recipe
from rstar.pipeline.progress import Progress
from rstar.pipeline.roles import value_roles
from rstar.pipeline.search import Pass, grammar_of, search_stage
from rstar.store.layout import ANSWERS, CHECKPOINT, REPORT, TREES
from rstar.store.manifest import Manifest, stage, write_atomic
from rstar.store.trees import read_trees
from rstar.text.prompts import Prompts


def greedy_stage(cfg: RunConfig, number: int, model: Path, folder: Path, label: str, progress: Progress) -> Manifest:
    """Greedy solutions of every held-out problem by the checkpoint of the stage `model`."""
    made, manifest = problems(cfg)
    return evaluation(
        cfg,
        greedy_of(cfg),
        made.test,
        content(manifest),
        {"policy": model},
        folder,
        f"round {number} {label}",
        progress,
    )


def greedy_of(cfg: RunConfig) -> GreedyConfig:
    """How held-out problems are solved greedily."""
    return GreedyConfig(max_depth=cfg.evaluate.max_depth, max_tokens=cfg.evaluate.max_tokens)


def guided_stage(cfg: RunConfig, number: int, progress: Progress) -> Manifest | None:
    """Search of held-out problems with the round's policy and value models, the reference hidden."""
    guide = guide_of(cfg, number)
    if guide is None:
        return None
    how, needed = guide
    paths = paths_of(cfg).round(number)
    models = {"policy": paths.policy, **{role: paths.value(role) for role in needed}}
    made, manifest = problems(cfg)
    asked = first_of_each_level(made.test, cfg.evaluate.search_problems)
    label = f"round {number} search of held-out problems"
    return evaluation(cfg, how, asked, content(manifest), models, paths.eval_search, label, progress)


def guide_of(cfg: RunConfig, number: int) -> tuple[AnySearch, list[str]] | None:
    """How round `number` searches held-out problems, and the roles of the value models that this asks.

    MCTS goes without the PPM where the round has none. Raises ConfigError when another model is missing.
    """
    how = cfg.evaluate.search
    if how is None:
        return None
    roles = cfg.rounds[number - 1].roles
    if isinstance(how, MctsConfig) and how.value == "ppm" and "ppm" not in roles:
        how = how.model_copy(update={"annotation": "terminal"})
    needed = value_roles(cfg, how)
    if missing := [role for role in needed if role not in roles]:
        raise ConfigError(
            f"evaluate.search: {how.kind} asks the value model {missing[0]!r}, which round {number} does not train"
            f" (it would stand under rounds.{number - 1}.values)"
        )
    return how, needed


def first_of_each_level(items: list[Problem], count: int | None) -> list[Problem]:
    """The first `count` problems of every level, in their order."""
    if count is None:
        return items
    taken: dict[str | None, int] = {}
    chosen = []
    for problem in items:
        taken[problem.level] = taken.get(problem.level, 0) + 1
        if taken[problem.level] <= count:
            chosen.append(problem)
    return chosen


def evaluation(
    cfg: RunConfig,
    how: AnySearch,
    asked: list[Problem],
    source: str,
    models: dict[str, Path],
    folder: Path,
    label: str,
    progress: Progress,
) -> Manifest:
    """Search problems with the references hidden, by the checkpoints of the stages `models`, and count what is right.

    `source` identifies where the problems come from.
    """
    known = {role: identity(path) for role, path in models.items()}
    others = {role: known.pop(role) for role in cfg.evaluate.generators if role in known}  # no stages of this run
    inputs = {"problems": source, **known}
    recipe = {"search": how.model_dump(mode="json"), "problems": len(asked), **shared_recipe(cfg)}
    recipe |= {"generators": others} if others else {}
    with stage(folder, "evaluate", recipe, inputs) as it:
        if not it.complete:
            started = time.monotonic()
            one = Pass(how, Prompts(grammar_of(cfg)), hidden=True)
            files = search_stage(it, cfg, asked, loaded(cfg, models), [one], progress, label)
            results, ends = [], []
            with equality_of(cfg) as equal:
                for tree in read_trees(folder / TREES):
                    results.append(_result(tree, how, equal))
                    ends.append(endings(tree, equal))
            write_atomic(folder / ANSWERS, b"".join(orjson.dumps(row) + b"\n" for row in results))
            metrics = _accuracy(results) | at_k(ends) | {"cost": _cost(results)}
            it.finish({**files, ANSWERS: len(results)}, metrics, time.monotonic() - started)
        return it.manifest


def equality_of(cfg: RunConfig) -> AbstractContextManager[Equal]:
    """Which answers a vote counts as one: those that the grader calls equal, moves that come to the same number;
    programs and yes or no by their form."""
    if cfg.task == "math":
        return equality(cfg.grading.mode, cfg.grading.timeout_s)
    return nullcontext(same if cfg.task == "countdown" else distinct)


def loaded(cfg: RunConfig, stages: dict[str, Path]) -> Models:
    """The checkpoints of finished stages by role: `policy` and `evaluate.generators` generate, the others are value
    models."""
    paths = {role: stage / CHECKPOINT if is_stage(stage) else stage for role, stage in stages.items()}
    generators = {role: path for role, path in paths.items() if role in ("policy", *cfg.evaluate.generators)}
    values = {role: path for role, path in paths.items() if role not in generators}
    return Models(generators, values, cfg.model.dtype)


def shared_recipe(cfg: RunConfig) -> dict[str, Any]:
    """What decides the outcome of any search of a run, besides the strategy and the models."""
    return {
        "seed": cfg.seed,
        "grammar": cfg.grammar.model_dump(mode="json"),
        "sandbox": cfg.sandbox.recipe(),
        "grading": cfg.grading.mode,
        "dtype": cfg.model.dtype,
        **task_recipe(cfg),
    }


def _result(tree: Tree, how: AnySearch, equal: Equal) -> dict[str, Any]:
    leaf = choose(tree, how, equal)
    answered = [i for i in tree.leaves() if tree.nodes[i].answer is not None]
    return {
        "id": tree.problem.id,
        "level": tree.problem.level,
        "reference": tree.problem.answer,
        "answer": None if leaf is None else tree.nodes[leaf].answer,
        "correct": leaf is not None and tree.nodes[leaf].correct,
        "vote_correct": bool(answered) and tree.nodes[vote(tree, answered, equal=equal)].correct,
        "any_correct": any(node.correct for node in tree.nodes),
        "score": None if leaf is None else tree.nodes[leaf].score,
        "trajectories": len(answered),
        **asdict(tree.cost),
    }


def _accuracy(results: list[dict[str, Any]]) -> dict[str, Any]:
    levels = by_level((row["level"], row["correct"]) for row in results)
    return {
        "accuracy": total(levels).to_json(),
        "levels": {name: rate.to_json() for name, rate in levels.items()},
        "vote": Rate(sum(row["vote_correct"] for row in results), len(results)).to_json(),
        "any": Rate(sum(row["any_correct"] for row in results), len(results)).to_json(),
        "generated": sum(row["generated"] for row in results),
        "executions": sum(row["executions"] for row in results),
    }


def _cost(results: list[dict[str, Any]]) -> dict[str, Any]:
    """What all searches together spent, as far as it does not depend on the machine (that part: the stage's clock)."""
    return {
        "problems": len(results),
        **{field.name: sum(row[field.name] for row in results) for field in fields(Cost)},
    }


def report_stage(cfg: RunConfig, number: int) -> Manifest:
    """Everything the table of rounds shows about round `number`, gathered into eval/report/report.json."""
    paths = paths_of(cfg).round(number)
    sources = {"search": paths.search, "select": paths.select, "policy": paths.eval_policy}
    if cfg.evaluate.search is not None:
        sources["guided"] = paths.eval_search
    if cfg.control:
        sources["control"] = paths.eval_control if number > 1 else paths.eval_policy
    found = {name: required(path) for name, path in sources.items()}
    with stage(paths.report, "report", {"round": number}, {name: m.fingerprint for name, m in found.items()}) as it:
        if not it.complete:
            started = time.monotonic()
            summary: dict[str, Any] = {
                "round": number,
                "searched_by": "bootstrap" if number == 1 else f"policy of round {promoted(cfg, number)}",
                "coverage": found["search"].metrics,
                "data": found["select"].metrics,
                "policy": found["policy"].metrics,
                "control": found["control"].metrics if "control" in found else None,
                "search": found["guided"].metrics if "guided" in found else None,
                "pairs": _pairs(paths.eval_search) if _judged(cfg, number) else None,
            }
            write_atomic(paths.report / REPORT, orjson.dumps(summary, option=orjson.OPT_INDENT_2))
            it.finish({REPORT: None}, summary, time.monotonic() - started)
        return it.manifest


def _judged(cfg: RunConfig, number: int) -> bool:
    return cfg.evaluate.search is not None and cfg.rounds[number - 1].ppm is not None


def _pairs(folder: Path) -> dict[str, Any]:
    return {name: rate.to_json() for name, rate in pair_accuracy(read_trees(folder / TREES)).items()}
