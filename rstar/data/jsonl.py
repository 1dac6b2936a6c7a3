"""Reading problem and demonstration files, with errors that name the file, the line and the field."""

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar, cast

import orjson
from pydantic import BaseModel, ValidationError

from rstar.core.problem import Demonstration, Problem
from rstar.data.tasks import ROWS, WORKED_ROWS, demonstration
from rstar.errors import InputError
from rstar.text.grammar import Task

Row = TypeVar("Row", bound=BaseModel)

_QUOTE = ord('"')
_TOKEN = re.compile(rb'"(?:[^"\\]+|\\.)*+("?)|[\[\]{}]', re.DOTALL)
"""A text, whose group is empty where it is cut short, or a bracket."""

LONGEST = 16 << 20
"""Bytes of a line (of an element of a list, of a cell) at most: what is longer is no problem, and must not be held."""


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


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


_LONG = re.compile(rb"\d{19}")
"""Whole numbers that may not fit into 64 bits: orjson would make floats of them."""


def objects(path: Path, any_text: bool = False) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, JSON object) of each line that is not empty. Raises InputError on the first that is wrong.

    A file in gzip is read as well, and so is one whole JSON list of objects, whose elements are numbered. No more than
    LONGEST bytes are held at once. `any_text` takes texts that are no Unicode too (a lone surrogate, escaped), as code
    may be.
    """
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: cannot be read ({'it is a folder' if path.is_dir() else 'it is no regular file'})")
    load = json.loads if any_text else orjson.loads
    listed = _is_list(path)
    unit = "element" if listed else "line"
    for number, raw in _listed(path) if listed else _lines(path):
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            what = f"byte {error.start + 1} is 0x{raw[error.start]:02x}{_field_of(raw)}"
            raise InputError(f"{path}, {unit} {number}: not a line of JSON in UTF-8 ({what})") from error
        try:
            value = json.loads(raw, parse_constant=_no_number) if _LONG.search(raw) else load(raw)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}, {unit} {number}: not a line of JSON in UTF-8 ({error})") from error
        if not isinstance(value, dict):
            raise InputError(f"{path}, {unit} {number}: a JSON object is expected, not {type(value).__name__}")
        yield number, value


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """(number, line) of each line that is not empty."""
    with _opened(path) as file:
        number = 0
        while raw := file.readline(LONGEST + 1):
            number += 1
            if len(raw) > LONGEST:
                raise InputError(f"{path}, line {number}: is longer than {LONGEST >> 20} MiB, so it is no problem")
            if raw.strip():
                yield number, raw


def _listed(path: Path) -> Iterator[tuple[int, bytes]]:
    """(number, element) of a JSON list, its elements cut out by their brackets."""
    with _opened(path) as file:
        held, at, start, depth, number = b"", 0, 0, 0, 0
        while chunk := file.read(1 << 20):
            held, at, start = held[start:] + chunk, at - start, 0
            for token in _TOKEN.finditer(held, at):
                if depth < 2:
                    _between(path, held[at : token.start()], token[0], depth, number)
                if token[0][0] == _QUOTE:
                    if not token[1]:
                        break  # the text goes on in the next piece
                elif token[0] in b"[{":
                    start = token.start() if depth == 1 else start
                    depth += 1
                else:
                    depth -= 1
                    if depth == 1:
                        number += 1
                        yield number, held[start : token.end()]
                        start = token.end()
                at = token.end()
            start = start if depth > 1 else at
            if len(held) - start > LONGEST:
                raise InputError(
                    f"{path}, element {number + 1}: is longer than {LONGEST >> 20} MiB, so it is no problem"
                )
        if depth:
            raise InputError(f"{path}: the JSON list is cut short behind its element {number}")
        if held[at:].strip():
            raise InputError(f"{path}: there is more behind the JSON list")


def _between(path: Path, gap: bytes, token: bytes, depth: int, number: int) -> None:
    """Outside of a list's elements there are commas, one in front of each but the first, and nothing else."""
    comma = b"," if number and token in (b"{", b"[") else b""
    if depth and (gap.strip() != comma or token[0] == _QUOTE):
        raise InputError(f"{path}, element {number + 1}: a list of JSON objects, with commas between them, is expected")
    if not depth and (gap.strip() or number or token != b"["):
        raise InputError(f"{path}: there is more behind the JSON list")


def _is_list(path: Path) -> bool:
    with _opened(path) as file:
        return file.read(64).lstrip()[:1] == b"["


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The file, decompressed where it is gzip. Raises InputError when it cannot be read to its end."""
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if packed else path.open("rb") as file:
            yield cast(IO[bytes], file)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be decompressed ({error}); the file may have been cut short") from error
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
