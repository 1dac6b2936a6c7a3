"""Results of a resumable stage, a JSON line each: flushed as they come, so a kill loses what was in flight alone."""

from pathlib import Path
from typing import Any

import orjson

from rstar.errors import Damaged
from rstar.store.trees import drop_torn_line, lines


class Journal:
    """Rows by their `key`, in the order they came; a torn last line is dropped, and owed again."""

    def __init__(self, path: Path):
        self.path = path
        if path.exists():
            drop_torn_line(path)
        self.done = {row["key"] for row in self.rows()}
        self._file = path.open("ab")

    def add(self, row: dict[str, Any]) -> None:
        """Append a row whose key is new."""
        self._file.write(orjson.dumps(row) + b"\n")
        self._file.flush()
        self.done.add(row["key"])

    def rows(self) -> list[dict[str, Any]]:
        """All rows. Raises Damaged on a line that is none."""
        if not self.path.exists():
            return []
        found = []
        for number, line in enumerate(lines(self.path), start=1):
            try:
                row = orjson.loads(line)
                row["key"]
            except (orjson.JSONDecodeError, KeyError, TypeError) as error:
                raise Damaged(f"{self.path}, line {number}: not a row ({error}); remove that line") from error
            found.append(row)
        return found

    def close(self) -> None:
        self._file.close()
