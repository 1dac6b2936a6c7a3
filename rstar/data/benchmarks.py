"""Problems to evaluate on: a JSONL file, or a benchmark by name, loaded from the hub column by column."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rstar.answers.program import suite
from rstar.config.benchmark import BenchmarkConfig
from rstar.config.load import load
from rstar.core.problem import Problem
from rstar.data.jsonl import read_problems
from rstar.data.tasks import with_tests
from rstar.errors import InputError
from rstar.text.grammar import Task

SHIPPED = Path(__file__).parents[2] / "configs" / "benchmarks"
FOLDERS = (Path("configs/benchmarks"), SHIPPED)
"""Where a benchmark is looked for by name: here, and beside the code."""


def read(source: str, task: Task = "math", shown_tests: int = 1) -> tuple[list[Problem], str | None]:
    """The problems of a JSONL file, of a benchmark's YAML file, or of a benchmark by name; and, of a benchmark, its
    task. Raises InputError on whatever is wrong with them."""
    path = Path(source)
    if path.suffix in (".yaml", ".yml"):
        return _benchmark(path, shown_tests)
    if path.suffix or path.exists() or len(path.parts) > 1:
        return read_problems(path, task, shown_tests), None
    found = next((file for folder in FOLDERS if (file := folder / f"{source}.yaml").is_file()), None)
    if found is None:
        raise InputError(f"--problems: {source!r} is neither a file nor a benchmark ({', '.join(names())})")
    return _benchmark(found, shown_tests)


def names() -> list[str]:
    """The benchmarks that can be asked for by name."""
    return sorted({path.stem for folder in FOLDERS for path in folder.glob("*.yaml")})


def _benchmark(path: Path, shown_tests: int) -> tuple[list[Problem], str]:
    cfg = load(BenchmarkConfig, [path])
    return problems(cfg, _rows(cfg, path), path, shown_tests), cfg.task


def problems(cfg: BenchmarkConfig, rows: Iterator[dict[str, Any]], where: Path, shown_tests: int = 1) -> list[Problem]:
    """Rows as problems. Raises InputError on a missing column or value, and on an id that stands twice."""
    found: list[Problem] = []
    seen: dict[str, int] = {}
    parts = (cfg.problem,) if isinstance(cfg.problem, str) else cfg.problem
    for number, row in enumerate(rows):
        texts = [_text(where, number, row, column, "problem") for column in parts]
        answer = _text(where, number, row, cfg.answer, "answer", "\n" if cfg.task == "code" else ", ")
        if cfg.answer_after is not None:
            _, mark, answer = answer.rpartition(cfg.answer_after)
            if not mark and not cfg.drop_unanswered:
                raise InputError(f"{where}, row {number}, field 'answer': there is no {cfg.answer_after!r} in it")
        if not answer.strip() and cfg.drop_unanswered:
            continue
        name = str(number) if cfg.id is None else _text(where, number, row, cfg.id, "id")
        level = None if cfg.level is None else _text(where, number, row, cfg.level, "level") or None
        for field, value in (("id", name), ("problem", "".join(texts)), ("answer", answer)):
            if not value.strip():
                raise InputError(f"{where}, row {number}, field {field!r}: is empty")
        if name in seen:
            raise InputError(f"{where}, row {number}, field 'id': {name!r} stands in row {seen[name]} already")
        seen[name] = number
        text, answer = " ".join(texts), answer.strip()
        if cfg.task == "code":
            answer = "\n".join(filter(None, [cfg.setup and _text(where, number, row, cfg.setup, "setup"), answer]))
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


def _text(where: Path, number: int, row: dict[str, Any], column: str, field: str, between: str = ", ") -> str:
    """A cell as text; truth values are yes and no, and lists are joined."""
    if column not in row:
        columns = ", ".join(row)
        raise InputError(f"{where}, row {number}, field {field!r}: there is no column {column!r} (columns: {columns})")
    value = row[column]
    if isinstance(value, list):
        return between.join(str(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value).strip()


def _rows(cfg: BenchmarkConfig, where: Path) -> Iterator[dict[str, Any]]:
    try:
        import datasets
    except ImportError as error:
        raise InputError(f"{where}: benchmarks need the package `datasets`: pip install 'rstar[train]'") from error
    datasets.disable_progress_bars()
    try:
        rows = datasets.load_dataset(cfg.hub, cfg.config, split=cfg.split, revision=cfg.revision)
    except Exception as error:  # datasets raises its own, the hub's, the file system's and the parsers' errors
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{where}: {cfg.hub} cannot be loaded ({reason}); any JSONL of its problems serves as well"
        ) from error
    return (dict(row) for row in rows)
