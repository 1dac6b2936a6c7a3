"""A Parquet file appears whole or not at all."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rstar.store import table
from rstar.store.table import Writer

SCHEMA = pa.schema([("name", pa.string()), ("value", pa.float64())])


def rows(n: int) -> list[dict[str, object]]:
    return [{"name": f"n{i}", "value": i / 4 if i % 3 else None} for i in range(n)]


def interrupted(path: Path, some: list[dict[str, object]], error: BaseException) -> None:
    """Write rows, then raise."""
    before = path.exists() and path.read_bytes()
    with Writer(path, SCHEMA) as writer:
        for row in some:
            writer.add(row)
        assert (path.exists() and path.read_bytes()) == before
        raise error


@pytest.mark.parametrize("count", [0, 1, 4, 5, 12])
def test_rows_come_back_whatever_the_batches(tmp_path, monkeypatch, count):
    monkeypatch.setattr(table, "BATCH", 4)
    with Writer(tmp_path / "t.parquet", SCHEMA) as writer:
        for row in rows(count):
            writer.add(row)
    assert writer.rows == count
    found = pq.read_table(tmp_path / "t.parquet")
    assert found.schema.equals(SCHEMA)
    assert found.to_pylist() == rows(count)
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


def test_nothing_appears_while_it_is_written_and_nothing_is_left_after_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "BATCH", 2)
    with pytest.raises(ZeroDivisionError):
        interrupted(tmp_path / "t.parquet", rows(5), ZeroDivisionError())
    assert list(tmp_path.iterdir()) == []


def test_an_error_keeps_the_file_that_was_there(tmp_path):
    with Writer(tmp_path / "t.parquet", SCHEMA) as writer:
        writer.add({"name": "old", "value": 1.0})
    before = (tmp_path / "t.parquet").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        interrupted(tmp_path / "t.parquet", rows(3), KeyboardInterrupt())
    assert (tmp_path / "t.parquet").read_bytes() == before


def test_a_row_that_does_not_fit_the_schema_leaves_nothing(tmp_path):
    with pytest.raises(pa.ArrowException), Writer(tmp_path / "t.parquet", SCHEMA) as writer:
        writer.add({"name": "n", "value": "not a number"})
    assert list(tmp_path.iterdir()) == []


def test_the_same_rows_give_the_same_bytes(tmp_path):
    def written(path: Path) -> bytes:
        with Writer(path, SCHEMA) as writer:
            for row in rows(10):
                writer.add(row)
        return path.read_bytes()

    assert written(tmp_path / "a") == written(tmp_path / "b")
