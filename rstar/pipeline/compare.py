"""Comparing strategies over budgets: evaluations with one round's models on the same problems; a table and a plot."""

import os
from pathlib import Path
from typing import Any

import orjson

from rstar.config.compare import CompareConfig
from rstar.config.load import place
from rstar.config.run import RunConfig
from rstar.config.search import AnySearch
from rstar.errors import ConfigError, InputError
from rstar.evaluate import comparison, plot
from rstar.evaluate.comparison import Row
from rstar.pipeline.inspect import config
from rstar.pipeline.progress import Progress
from rstar.pipeline.use import Asked, Evaluation, models_of, prepared, search_from
from rstar.store.answers import read_answers
from rstar.store.manifest import write_atomic

TABLE, FIGURES, PLOT = "table.md", "table.json", "plot"


def compare(cfg: CompareConfig, where: str, progress: Progress) -> dict[str, Any]:
    """Evaluate every row at every budget and write table and plot; what is done already is reused.

    All of it is checked before the first search. `where` is what messages call the config. Raises InputError.
    """
    plot.can_draw()
    folder = cfg.runs / cfg.run
    if not (folder / "run.json").is_file():
        raise InputError(f"{where}: run: there is no run {folder}; `rstar evolve configs/{cfg.run}.yaml` makes it")
    run = config([str(folder)])
    number, models = models_of(run, cfg.round)
    asked = Asked(cfg.problems, cfg.limit, cfg.per_level, cfg.levels).read(run)
    planned: list[tuple[str, str, Evaluation]] = []
    for i, row in enumerate(cfg.rows):
        for settings in row.steps:
            how = _search(run, {**row.search, **settings}, models, where, i)
            budget = " ".join(f"{name}={value}" for name, value in settings.items())
            planned.append((row.name or how.kind, budget, prepared(run, number, how, models, asked)))
    rows = []
    for done, (strategy, budget, one) in enumerate(planned):
        progress(cfg.title, done, len(planned))
        told = one.told(one.run(progress, f"{strategy} {budget}".strip()))
        rows.append(Row(strategy, budget, told, _right(one)))
    progress(cfg.title, len(planned), len(planned))
    about = f"{len(asked)} problems, the models of round {number} of {cfg.run}, search seed {run.seed}."
    return _written(folder / "comparisons" / cfg.title, cfg, about, comparison.ordered(rows))


def _search(run: RunConfig, told: dict[str, Any], models: dict[str, Path], where: str, i: int) -> AnySearch:
    """The search of row `i`. Raises ConfigError, with the line of the row."""
    try:
        return search_from(run, told, models, f"{where}: rows.{i}.search")
    except ConfigError as error:
        files = [text for text in where.split(" + ") if Path(text).is_file()]
        raise ConfigError(f"{error}{place(files, f'rows.{i}')}") from error


def _written(folder: Path, cfg: CompareConfig, about: str, rows: list[Row]) -> dict[str, Any]:
    """Table and plot, each written whole; earlier ones of this title are replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    tests = comparison.pairs(rows)
    result = {
        "title": cfg.title,
        "about": about,
        "rows": [{"strategy": row.strategy, "budget": row.budget, **row.told} for row in rows],
        "pairs": tests,
        "files": {name: str(folder / name) for name in (TABLE, FIGURES, f"{PLOT}.png", f"{PLOT}.svg")},
    }
    drawn = {folder / f"{PLOT}{kind}": folder / f".{PLOT}.{os.getpid()}{kind}" for kind in (".png", ".svg")}
    try:
        comparison.draw(cfg.title, rows, list(drawn.values()))
        for final, temporary in drawn.items():
            temporary.replace(final)
    finally:
        for temporary in drawn.values():
            temporary.unlink(missing_ok=True)
    write_atomic(folder / FIGURES, orjson.dumps(result, option=orjson.OPT_INDENT_2) + b"\n")
    write_atomic(folder / TABLE, comparison.page(cfg.title, about, rows, tests, f"{PLOT}.png").encode())
    return result


def _right(one: Evaluation) -> tuple[bool, ...]:
    """Which of the problems were solved; one whose search failed was not."""
    solved = {row["id"] for row in read_answers(one.folder) if row["correct"]}
    return tuple(problem.id in solved for problem in one.problems)
