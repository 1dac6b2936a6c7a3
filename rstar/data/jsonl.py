"""Reading problem and demonstration files, with errors that name the file, the line and the field."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from rstar.core.problem import Demonstration, Problem
from rstar.data.tasks import ROWS, WORKED_ROWS, demonstration
from rstar.errors import InputError
from rstar.text.grammar import Task

Row = TypeVar("Row", bound=BaseModel)


def rows(path: Path, kind: type[Row]) -> Iterator[tuple[int, Row]]:
    """(line number, row) of each line that is not empty. Raises InputError on the first that is wrong."""
    for number, value in objects(path):
        yield number, validated(path, number, value, kind)


def validated(path: Path, number: int, value: dict[str, Any], kind: type[Row]) -> Row:
    """One object as a row. Raises InputError that names file, line and field."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "line"
        raise InputError(f"{path}, line {number}, field {field!r}: {first['msg']}") from error


def objects(path: Path, any_text: bool = False) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, JSON object) of each line that is not empty. Raises InputError on the first that is wrong.

    `any_text` takes texts that are no Unicode too (a lone surrogate, escaped), as code may be.
    """
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                if not raw.strip():
                    continue
                try:
                    raw.decode()
                except UnicodeDecodeError as error:
                    what = f"byte {error.start + 1} is 0x{raw[error.start]:02x}{_field_of(raw)}"
                    raise InputError(f"{path}, line {number}: not a line of JSON in UTF-8 ({what})") from error
                try:
                    value = json.loads(raw) if any_text else orjson.loads(raw)
                except (ValueError, RecursionError) as error:
                    raise InputError(f"{path}, line {number}: not a line of JSON in UTF-8 ({error})") from error
                if not isinstance(value, dict):
                    raise InputError(f"{path}, line {number}: a JSON object is expected, not {type(value).__name__}")
                yield number, value
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _field_of(raw: bytes) -> str:
    """Where in a line that is not UTF-8 the wrong byte stands, if that can be told."""
    try:
        value = json.loads(raw.decode(errors="surrogateescape"))
    except json.JSONDecodeError:
        return ""
    items = value.items() if isinstance(value, dict) else ()
    return next((f", in field {name!r}" for name, item in items if not _is_utf8(str(item))), "")


def _is_utf8(text: str) -> bool:
    return not any("\udc80" <= letter <= "\udcff" for letter in text)


def read_problems(path: Path, task: Task = "math", shown_tests: int = 1) -> list[Problem]:
    """All problems of a file. Raises InputError on an empty file, a wrong line or an id that stands twice.

    The text of a code problem shows the first `shown_tests` of its tests.
    """
    found: list[Problem] = []
    seen: dict[str, int] = {}
    for number, row in rows(path, ROWS[task]):
        _once(path, seen, row.id, number)
        found.append(row.posed(shown_tests))
    if not found:
        raise InputError(f"{path}: holds no problem")
    return found


def read_demonstrations(path: Path, task: Task = "math", shown_tests: int = 1) -> list[Demonstration]:
    """All demonstrations of a file. Raises InputError as `read_problems` does."""
    found: list[Demonstration] = []
    seen: dict[str, int] = {}
    for number, row in rows(path, WORKED_ROWS[task]):
        _once(path, seen, row.id, number)
        found.append(demonstration(row, shown_tests))
    if not found:
        raise InputError(f"{path}: holds no demonstration")
    return found


def _once(path: Path, seen: dict[str, int], name: str, number: int) -> None:
    if name in seen:
        raise InputError(f"{path}, line {number}, field 'id': {name!r} stands on line {seen[name]} already")
    seen[name] = number
