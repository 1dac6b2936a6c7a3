"""Foreign data sets as problems, by small declarative adapters (`configs/sources`)."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rstar.answers.extract import extract
from rstar.answers.grade import unverifiable
from rstar.config.data import BuildConfig, SourceConfig
from rstar.config.load import plain, validate
from rstar.core.problem import Problem
from rstar.data.tables import cell, file_rows, hub_rows
from rstar.data.wording import latex_form
from rstar.errors import ConfigError, InputError

SHIPPED = Path(__file__).parents[2] / "configs" / "sources"
FOLDERS = (Path("configs/sources"), SHIPPED)
"""Where an adapter is looked for by name: here, and beside the code."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A row of a source: the problem, or why it is none (`reason`) with as much of it as there is."""

    problem: Problem
    reason: str | None = None


def names() -> list[str]:
    """The adapters that can be asked for by name."""
    return sorted({path.stem for folder in FOLDERS for path in folder.glob("*.yaml")})


def resolved(cfg: BuildConfig) -> dict[str, SourceConfig]:
    """Every source in full. Raises ConfigError that names the source and the field."""
    return {name: _source(name, given) for name, given in cfg.sources.items()}


def _source(name: str, given: dict[str, Any]) -> SourceConfig:
    own = {key: value for key, value in given.items() if key != "adapter"}
    adapter = given.get("adapter", name)
    found = next((file for folder in FOLDERS if (file := folder / f"{adapter}.yaml").is_file()), None)
    if found is None and "adapter" in given:
        raise ConfigError(f"sources.{name}.adapter: there is no {adapter!r} (adapters: {', '.join(names())})")
    under = plain(found) if found is not None else {}
    if "files" in own:  # the adapter's columns, another place
        under = {key: value for key, value in under.items() if key not in ("hub", "parts", "split", "revision")}
    if "answer" in own or "solution" in own:
        under = {key: value for key, value in under.items() if key not in ("answer", "solution")}
    return validate(SourceConfig, under | own, f"sources.{name}")


def read(name: str, cfg: SourceConfig) -> Iterator[Taken]:
    """The rows of a source, one at a time, in its order. Raises InputError on a missing column, on a cell that is
    neither text nor number, and on an id that stands twice."""
    seen: set[bytes] = set()
    taken = 0
    for where, number, row in _rows(name, cfg):
        if not _counts(where, number, row, cfg):
            continue
        one = _taken(name, cfg, where, number, row)
        if cfg.id is not None:
            key = hashlib.blake2b(one.problem.id.encode(), digest_size=8).digest()
            if key in seen:
                raise InputError(
                    f"{where}, row {number}, field 'id': {one.problem.id!r} stands in an earlier row already"
                )
            seen.add(key)
        yield one
        taken += 1
        if taken == cfg.limit:
            return
    if not taken:
        raise InputError(f"sources.{name}: holds no problem (of those that `where` and `drop` leave)")


def stable_id(name: str, text: str) -> str:
    """The name of a problem that has none: of its source and what it says, whatever row it stands in."""
    return f"{name}/{hashlib.sha256(latex_form(text).encode()).hexdigest()[:16]}"


def _rows(name: str, cfg: SourceConfig) -> Iterator[tuple[Path, int, dict[str, Any]]]:
    for path in cfg.files:
        for number, row in file_rows(path):
            yield path, number, row
    if cfg.hub is not None:
        where = Path(f"sources.{name}")
        for part in cfg.parts or (None,):
            for number, row in enumerate(hub_rows(where, cfg.hub, part, cfg.split, cfg.revision), start=1):
                yield where, number, row


def _counts(where: Path, number: int, row: dict[str, Any], cfg: SourceConfig) -> bool:
    return all(cell(where, number, row, column, "where") in values for column, values in cfg.where.items()) and not any(
        cell(where, number, row, column, "drop") in values for column, values in cfg.drop.items()
    )


def _taken(name: str, cfg: SourceConfig, where: Path, number: int, row: dict[str, Any]) -> Taken:
    def said(column: str | None, field: str) -> str | None:
        return None if column is None else cell(where, number, row, column, field) or None

    columns = (cfg.problem,) if isinstance(cfg.problem, str) else cfg.problem
    text = " ".join(filter(None, (said(column, "problem") for column in columns)))
    answer = said(cfg.answer, "answer")
    if answer is None and (solution := said(cfg.solution, "solution")) is not None:
        answer = extract(solution)
    own = said(cfg.id, "id")
    if cfg.id is not None and own is None:
        raise InputError(f"{where}, row {number}, field 'id': is empty")
    parent = said(cfg.parent, "parent")
    if parent is not None and " " in parent:
        parent = stable_id(name, parent)
    problem = Problem(
        stable_id(name, text) if own is None else f"{name}/{own}",
        text,
        answer,
        said(cfg.level, "level"),
        source=name,
        parent=parent,
    )
    return Taken(problem, _reason(problem))


def _reason(problem: Problem) -> str | None:
    """Why a row is no problem to train on: no text, no reference, or one that nobody could verify."""
    if not problem.text:
        return "no text"
    if problem.answer is None:
        return "unverifiable: no_answer"
    rule = unverifiable(problem.answer)
    return None if rule is None else f"unverifiable: {rule}"
