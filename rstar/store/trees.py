"""Finished trees on disk: append-only JSON lines in parts by problem, sealed in the problems' order.

Part k holds the trees of problems 1000k to 1000k + 999, in the order they finished; when the last of them is there it
is rewritten in the problems' order and compressed. Each line is flushed as it is written, so a killed process loses
the trees in flight and nothing else; a torn last line is owed again.
"""

import gzip
import io
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from rstar.core.tree import Tree
from rstar.errors import Damaged
from rstar.store.manifest import remove, write_atomic

PART_SIZE = 1000
BUFFER = 1 << 18


class TreeStore:
    """The trees of one search pass over `ids`, in `folder`; `prefix` tells passes apart."""

    def __init__(self, folder: Path, ids: Sequence[str], prefix: str = "part"):
        self.folder = folder
        self.prefix = prefix
        self._place = {name: i for i, name in enumerate(ids)}
        if len(self._place) != len(ids):
            raise ValueError("problem ids must be distinct")
        self._sizes = [len(ids[i : i + PART_SIZE]) for i in range(0, len(ids), PART_SIZE)]
        self._counts: dict[int, int] = {}
        self._files: dict[int, Any] = {}
        folder.mkdir(parents=True, exist_ok=True)
        for left_over in folder.glob(f".{prefix}-*.tmp"):
            left_over.unlink()  # of a process that was killed while it sealed
        self.done = self._recover()

    def owed(self) -> list[str]:
        """The problems whose tree is not on disk yet, in order."""
        return [name for name in self._place if name not in self.done]

    def add(self, tree: Tree) -> None:
        """Append a finished tree; seals its part when that is the last one owed."""
        self._append(tree.problem.id, orjson.dumps(tree.to_json()))

    def _append(self, name: str, line: bytes) -> None:
        part = self._place[name] // PART_SIZE
        if part not in self._files:
            self._files[part] = self._open_path(part).open("ab")
        file = self._files[part]
        file.write(line + b"\n")
        file.flush()
        self.done.add(name)
        self._counts[part] = self._counts.get(part, 0) + 1
        if self._counts[part] == self._sizes[part]:
            self._seal(part)

    def take(self, folder: Path) -> None:
        """Take over the finished trees of another store's folder, those that are owed here."""
        for path in parts(folder):
            if path.suffix != ".gz":
                drop_torn_line(path)
            for number, line in enumerate(lines(path), start=1):
                name = _identity(path, number, line)
                if name in self._place and name not in self.done:
                    self._append(name, line)

    def seal(self) -> dict[str, int]:
        """Seal what is left (parts in which problems failed); returns path below the folder's parent -> rows."""
        for part in range(len(self._sizes)):
            if self._open_path(part).exists():
                self._seal(part)
        sealed = {}
        for part in range(len(self._sizes)):
            path = self._sealed_path(part)
            if path.exists():
                sealed[f"{self.folder.name}/{path.name}"] = sum(1 for _ in lines(path))
        return sealed

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _seal(self, part: int) -> None:
        if part in self._files:
            self._files.pop(part).close()
        source = self._open_path(part)
        ordered = sorted(lines(source), key=lambda line: self._place[orjson.loads(line)["problem"]["id"]])
        # No name and no time in the header: the same trees give the same bytes.
        write_atomic(self._sealed_path(part), gzip.compress(b"".join(line + b"\n" for line in ordered), 6, mtime=0))
        source.unlink()

    def _recover(self) -> set[str]:
        done: set[str] = set()
        for part in range(len(self._sizes)):
            source, sealed = self._open_path(part), self._sealed_path(part)
            if sealed.exists():
                source.unlink(missing_ok=True)  # killed between the rename and the removal
                self._reopen_if_owed(part)
            if source.exists():
                drop_torn_line(source)
            path = sealed if sealed.exists() else source
            if path.exists():
                found = [_identity(path, number, line) for number, line in enumerate(lines(path), start=1)]
                self._counts[part] = len(found)
                done.update(found)
                if path == source and len(found) == self._sizes[part]:
                    self._seal(part)
        return done

    def _reopen_if_owed(self, part: int) -> None:
        """A part that was sealed without the trees of failed problems takes them up again."""
        found = list(lines(self._sealed_path(part)))
        if len(found) < self._sizes[part]:
            write_atomic(self._open_path(part), b"".join(line + b"\n" for line in found))
            self._sealed_path(part).unlink()

    def _open_path(self, part: int) -> Path:
        return self.folder / f"{self.prefix}-{part:05d}.jsonl"

    def _sealed_path(self, part: int) -> Path:
        return self.folder / f"{self.prefix}-{part:05d}.jsonl.gz"


def parts(folder: Path) -> list[Path]:
    """The open and the sealed parts of a folder, in order: not what a killed process had half written."""
    return sorted([*folder.glob("[!.]*.jsonl"), *folder.glob("[!.]*.jsonl.gz")])


def read_trees(folder: Path, pattern: str = "*") -> Iterator[Tree]:
    """Every tree of a folder, part by part, one in memory at a time. Raises Damaged naming file and line."""
    yield from _read_paths(sorted(folder.glob(f"{pattern}.jsonl.gz")))


def read_grouped(folder: Path, ids: Iterable[str]) -> Iterator[list[Tree]]:
    """All trees of one problem at a time, in the order of `ids`, over every pass in the folder.

    Each pass was sealed in the problems' order, so walking along `ids` once suffices: memory holds one tree a pass,
    however many problems there are. Raises Damaged when a tree is left over: its problem is unknown or out of order.
    """
    passes: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.jsonl.gz")):
        passes.setdefault(path.name.rpartition("-")[0], []).append(path)
    streams = [_read_paths(paths) for paths in passes.values()]
    heads = [next(stream, None) for stream in streams]
    for name in ids:
        group = []
        for i, head in enumerate(heads):
            if head is not None and head.problem.id == name:
                group.append(head)
                heads[i] = next(streams[i], None)
        if group:
            yield sorted(group, key=lambda tree: tree.attempt)
    for head in heads:
        if head is not None:
            raise Damaged(f"{folder}: the tree of problem {head.problem.id!r} stands out of the problems' order")


def lines(path: Path) -> Iterator[bytes]:
    """The lines of a plain or compressed file, without their ends. Raises Damaged when it cannot be decompressed."""
    try:
        with path.open("rb") as raw:
            # Lines are found in a large buffer: GzipFile's own hands each of them through Python.
            packed = path.suffix == ".gz"
            file = io.BufferedReader(gzip.GzipFile(fileobj=raw), BUFFER) if packed else raw
            for line in file:
                yield line.rstrip(b"\n")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise Damaged(
            f"{path}: cannot be decompressed ({error}); `rstar check RUN --repair` has its stage made again"
        ) from error


def broken_lines(path: Path) -> list[int]:
    """The numbers, from 1, of the lines of an open part that are no trees; a torn last one is just owed. A folder in
    its place has one such line."""
    if path.is_dir():
        return [1]
    found = []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.endswith(b"\n") and not _is_tree(line):
                found.append(number)
    return found


def drop_broken_lines(path: Path) -> None:
    """Write an open part again without them."""
    if path.is_dir():
        remove(path)
        return
    kept = [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n") and _is_tree(line)]
    write_atomic(path, b"".join(kept))


def _is_tree(line: bytes) -> bool:
    try:
        Tree.from_json(orjson.loads(line))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return False
    return True


def _read_paths(paths: Sequence[Path]) -> Iterator[Tree]:
    for path in paths:
        for number, line in enumerate(lines(path), start=1):
            try:
                yield Tree.from_line(line)
            except ValueError as error:
                raise Damaged(
                    f"{path}, line {number}: not a tree ({error}); `rstar check RUN --repair` has its stage made again"
                ) from error


def _identity(path: Path, number: int, line: bytes) -> str:
    try:
        return str(orjson.loads(line)["problem"]["id"])
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise Damaged(
            f"{path}, line {number}: not a tree ({error}); remove that line, or let `rstar check RUN --repair` do it"
        ) from error


def drop_torn_line(path: Path) -> None:
    """Cut the file behind its last complete line."""
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        position = size
        while position > 0:
            step = min(position, 1 << 16)
            file.seek(position - step)
            chunk = file.read(step)
            newline = chunk.rfind(b"\n")
            if newline >= 0:
                position += newline + 1 - step
                break
            position -= step
        if position < size:
            file.truncate(position)
