"""Parquet written in batches under a fixed schema, all of it or nothing."""

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

BATCH = 4096


class Writer:
    """Collects rows and writes them in batches; the file appears under its name when the block ends well.

    Long texts, which seldom repeat, are listed in `plain`: no dictionary is tried for them.
    """

    def __init__(self, path: Path, schema: pa.Schema, plain: Iterable[str] = ()):
        self.path = path
        self.rows = 0
        self._schema = schema
        self._coded = [name for name in schema.names if name not in set(plain)]
        self._temporary = path.with_name(f".{path.name}.tmp")
        self._waiting: list[dict[str, Any]] = []

    def __enter__(self) -> "Writer":
        # No statistics: they would hold whole texts, and grow with the batches.
        self._file = pq.ParquetWriter(
            self._temporary, self._schema, compression="zstd", use_dictionary=self._coded, write_statistics=False
        )
        return self

    def add(self, row: dict[str, Any]) -> None:
        self._waiting.append(row)
        self.rows += 1
        if len(self._waiting) >= BATCH:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            columns = [pa.array([row[field.name] for row in self._waiting], field.type) for field in self._schema]
            self._file.write_table(pa.Table.from_arrays(columns, schema=self._schema))
            self._waiting.clear()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._flush()
            self._file.close()
            if kind is None:
                self._temporary.replace(self.path)
        finally:
            self._temporary.unlink(missing_ok=True)
