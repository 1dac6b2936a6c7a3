"""Problems to evaluate on: a JSONL file, or a benchmark by name, loaded from the hub column by column."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from rstar.answers.program import suite
from rstar.config.benchmark import BenchmarkConfig
from rstar.config.load import load
from rstar.core.problem import Problem
from rstar.data.jsonl import read_problems, rows
from rstar.data.tables import cell, hub_rows
from rstar.data.tasks import with_tests
from rstar.errors import InputError
from rstar.text.grammar import Task

SHIPPED = Path(__file__).parents[2] / "configs" / "benchmarks"
FOLDERS = (Path("configs/benchmarks"), SHIPPED)
"""Where a benchmark is looked for by name: here, and beside the code."""
YAML = (".yaml", ".yml")


def read(source: str, task: Task = "math", shown_tests: int = 1) -> tuple[list[Problem], str | None]:
    """The problems of a JSONL file, of a benchmark's YAML file, or of a benchmark by name; and, of a benchmark, its
    task. Raises InputError on whatever is wrong with them."""
    path = _located(source, "--problems")
    if path.suffix not in YAML:
        return read_problems(path, task, shown_tests), None
    cfg = load(BenchmarkConfig, [path])
    return problems(cfg, _rows(cfg, path), path, shown_tests), cfg.task


def texts(source: str) -> Iterator[tuple[str, str]]:
    """(id, text) of every problem of what `read` takes, whatever its task: what training data must not overlap."""
    path = _located(source, "benchmarks")
    if path.suffix not in YAML:
        yield from ((row.id, row.problem) for _, row in rows(path, _TextRow))
        return
    cfg = load(BenchmarkConfig, [path])
    parts = (cfg.problem,) if isinstance(cfg.problem, str) else cfg.problem
    for number, row in enumerate(_rows(cfg, path)):
        name = str(number) if cfg.id is None else cell(path, number, row, cfg.id, "id")
        yield name, " ".join(cell(path, number, row, column, "problem") for column in parts)


class _TextRow(BaseModel):
    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    id: str = Field(validation_alias=AliasChoices("id", "unique_id", "task_id", "qid", "index", "idx"))
    problem: str = Field(validation_alias=AliasChoices("problem", "question", "text", "prompt"))


def _located(source: str, field: str) -> Path:
    """The file that is meant: itself, or the YAML file of a benchmark by name."""
    path = Path(source)
    if path.suffix or path.exists() or len(path.parts) > 1:
        return path
    found = next((file for folder in FOLDERS if (file := folder / f"{source}.yaml").is_file()), None)
    if found is None:
        raise InputError(f"{field}: {source!r} is neither a file nor a benchmark ({', '.join(names())})")
    return found


def _rows(cfg: BenchmarkConfig, where: Path) -> Iterator[dict[str, Any]]:
    return hub_rows(where, cfg.hub, cfg.config, cfg.split, cfg.revision)


def names() -> list[str]:
    """The benchmarks that can be asked for by name."""
    return sorted({path.stem for folder in FOLDERS for path in folder.glob("*.yaml")})


def problems(cfg: BenchmarkConfig, rows: Iterator[dict[str, Any]], where: Path, shown_tests: int = 1) -> list[Problem]:
    """Rows as problems. Raises InputError on a missing column or value, and on an id that stands twice."""
    found: list[Problem] = []
    seen: dict[str, int] = {}
    parts = (cfg.problem,) if isinstance(cfg.problem, str) else cfg.problem
    for number, row in enumerate(rows):
        texts = [cell(where, number, row, column, "problem") for column in parts]
        answer = cell(where, number, row, cfg.answer, "answer", "\n" if cfg.task == "code" else ", ")
        if cfg.answer_after is not None:
            _, mark, answer = answer.rpartition(cfg.answer_after)
            if not mark and not cfg.drop_unanswered:
                raise InputError(f"{where}, row {number}, field 'answer': there is no {cfg.answer_after!r} in it")
        if not answer.strip() and cfg.drop_unanswered:
            continue
        name = str(number) if cfg.id is None else cell(where, number, row, cfg.id, "id")
        level = None if cfg.level is None else cell(where, number, row, cfg.level, "level") or None
        for field, value in (("id", name), ("problem", "".join(texts)), ("answer", answer)):
            if not value.strip():
                raise InputError(f"{where}, row {number}, field {field!r}: is empty")
        if name in seen:
            raise InputError(f"{where}, row {number}, field 'id': {name!r} stands in row {seen[name]} already")
        seen[name] = number
        text, answer = " ".join(texts), answer.strip()
        if cfg.task == "code":
            answer = "\n".join(filter(None, [cfg.setup and cell(where, number, row, cfg.setup, "setup"), answer]))
            text = _with_tests(where, number, text, answer, shown_tests)
        found.append(Problem(name, text, answer, level))
    if not found:
        raise InputError(f"{where}: {cfg.hub} holds no problem")
    return found


def _with_tests(where: Path, number: int, text: str, tests: str, shown_tests: int) -> str:
    try:
        suite(tests)
    except ValueError as error:
        raise InputError(f"{where}, row {number}, field 'answer': {error}") from error
    return with_tests(text, tests, shown_tests)
