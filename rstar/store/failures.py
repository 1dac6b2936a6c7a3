"""Failed searches on disk, as JSON lines: problem, attempt, boundary, error, and how many times it failed."""

from pathlib import Path
from typing import Any

import orjson

from rstar.store.manifest import write_atomic


class Failures:
    """The failed searches of one stage, by problem and attempt."""

    def __init__(self, path: Path):
        self.path = path
        self.rows: dict[tuple[str, int], dict[str, Any]] = {}
        if path.exists():
            for line in path.read_bytes().splitlines():
                row = orjson.loads(line)
                self.rows[row["problem"], row["attempt"]] = row

    def add(self, problem: str, attempt: int, error: Any) -> None:
        times = self.rows.get((problem, attempt), {"times": 0})["times"] + 1
        self.rows[problem, attempt] = {
            "problem": problem,
            "attempt": attempt,
            "boundary": getattr(error, "boundary", "search"),
            "error": str(error),
            "times": times,
        }
        self._write()

    def take(self, other: "Failures") -> None:
        """Add the rows of another file."""
        for key, row in other.rows.items():
            self.rows[key] = {**row, "times": row["times"] + self.rows.get(key, {"times": 0})["times"]}
        if other.rows:
            self._write()

    def mended(self, problem: str, attempt: int) -> None:
        if self.rows.pop((problem, attempt), None):
            self._write()

    def first(self) -> str:
        """The first failure, for a message."""
        return next(
            (f"{r['problem']}: {r['boundary']}: {r['error']}" for r in self.rows.values()), "no reason recorded"
        )

    def _write(self) -> None:
        rows = [self.rows[key] for key in sorted(self.rows)]
        write_atomic(self.path, b"".join(orjson.dumps(row) + b"\n" for row in rows))
