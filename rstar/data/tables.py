"""Rows of foreign tables: JSON lines and lists, Parquet, data sets of the hub; and their cells as text."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rstar.data.jsonl import LONGEST, objects
from rstar.errors import InputError

AT_ONCE = 256
"""Rows of a Parquet file that are held at a time."""


def file_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number from 1, row) of a file of JSON lines, a JSON list or Parquet. Raises InputError."""
    if path.suffix == ".parquet":
        return _parquet(path)
    return objects(path)


def _parquet(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=AT_ONCE):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except FileNotFoundError as error:
        raise InputError(f"{path}: cannot be read (No such file or directory)") from error
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: cannot be read as Parquet behind row {number} ({reason})") from error


def hub_rows(where: Path, hub: str, part: str | None, split: str, revision: str) -> Iterator[dict[str, Any]]:
    """The rows of a data set of the hub, or of a folder that `datasets` can load; `where` is what a message names."""
    try:
        import datasets
    except ImportError as error:
        raise InputError(f"{where}: the hub needs the package `datasets`: pip install 'rstar[train]'") from error
    datasets.disable_progress_bars()
    # Under a revision a folder would be known by it, and its first content served from the cache ever after.
    pinned = None if Path(hub).is_dir() else revision
    try:
        rows = datasets.load_dataset(hub, part, split=split, revision=pinned)
    except Exception as error:  # datasets raises its own, the hub's, the file system's and the parsers' errors
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{where}: {hub} cannot be loaded ({reason}); a file of its problems serves as well"
        ) from error
    return (dict(row) for row in rows)


def cell(where: Path | str, number: int, row: dict[str, Any], column: str, field: str, between: str = ", ") -> str:
    """A cell as text: truth values are yes and no, lists are joined, what is no number is empty.

    Raises InputError on a column that is not there, a mapping, a list of lists, and what is too long to be held.
    """
    if column not in row:
        columns = ", ".join(row)
        raise InputError(f"{where}, row {number}, field {field!r}: there is no column {column!r} (columns: {columns})")
    value = row[column]
    text = between.join(_scalar(where, number, field, item) for item in value) if isinstance(value, list) else None
    text = _scalar(where, number, field, value).strip() if text is None else text
    if len(text) > LONGEST:
        raise InputError(f"{where}, row {number}, field {field!r}: is longer than {LONGEST >> 20} MiB")
    return text


def _scalar(where: Path | str, number: int, field: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, (list, dict)):
        kind = "list" if isinstance(value, list) else "mapping"
        raise InputError(f"{where}, row {number}, field {field!r}: a text or a number is expected, not a {kind}")
    return str(value)
