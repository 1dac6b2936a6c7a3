"""Stages on disk: what a folder was made from, whether it is finished, and that nobody else is working on it."""

import errno
import fcntl
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from rstar.errors import Damaged, RecipeDrift, StageFailed
from rstar.store.fingerprint import differences, file_sha256, fingerprint
from rstar.store.provenance import provenance

_log = logging.getLogger(__name__)
NAME = "manifest.json"
LOCK = ".lock"
PROGRESS = ".progress"
"""How far an open stage is, for those who look: `told` of a Stage writes it, `finish` removes it."""
TOLD_EVERY_S = 1.0
FULL = (errno.ENOSPC, errno.EDQUOT)
CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)
"""The system's errors of a disk that has no room and of one that may not be written to."""


class Part(BaseModel):
    """A finished file of a stage: its path below the folder, its rows (where it has any), its bytes' sha256."""

    model_config = ConfigDict(extra="forbid")

    path: str
    sha256: str
    rows: int | None = None


class Manifest(BaseModel):
    """What `manifest.json` says. `fingerprint` covers `stage`, `recipe` and `inputs`, and nothing else."""

    model_config = ConfigDict(extra="forbid")

    stage: str
    fingerprint: str
    status: Literal["open", "complete"]
    recipe: dict[str, Any]
    inputs: dict[str, str]
    parts: list[Part] = []
    metrics: dict[str, Any] = {}
    provenance: dict[str, Any] = {}
    seconds: float | None = None
    clock: dict[str, float] = {}
    """Seconds that the stage's searches took, over all its starts; like `seconds`, never compared with anything."""


@dataclass(slots=True)
class Stage:
    """A stage that is being worked on: an open manifest whose folder this process has locked, or a complete one."""

    folder: Path
    manifest: Manifest

    @property
    def complete(self) -> bool:
        return self.manifest.status == "complete"

    @property
    def fingerprint(self) -> str:
        return self.manifest.fingerprint

    def clock(self, **seconds: float) -> None:
        """Add to the clock of an open stage. What a killed process had spent is not known and stays out."""
        known = self.manifest.clock
        added = {name: round(known.get(name, 0.0) + value, 3) for name, value in seconds.items()}
        self.manifest = self.manifest.model_copy(update={"clock": {**known, **added}})
        _write(self.folder, self.manifest)

    def told(self, progress: Callable[[str, int, int], None]) -> Callable[[str, int, int], None]:
        """The same progress function, which also leaves in the stage's folder how far it is.

        The file says which part of the stage it is about, since when (`since` seconds of the epoch, `first` done by
        then) and how far it was at last (`at`, `done`, `total`).
        """
        known: dict[str, Any] = {}

        def report(label: str, done: int, total: int) -> None:
            now = time.time()
            if known.get("label") != label:
                known.update(label=label, since=now, first=done, at=0.0)
            if now - known["at"] >= TOLD_EVERY_S or done == total:
                known.update(at=now, done=done, total=total)
                with suppress(OSError):  # whatever keeps it from being written keeps the stage's own files too
                    _replace(self.folder / PROGRESS, json.dumps(known).encode())
            progress(label, done, total)

        return report

    def finish(self, files: dict[str, int | None], metrics: dict[str, Any], seconds: float) -> None:
        """Seal the stage: hash its files (path -> rows) and write the complete manifest by rename."""
        parts = [
            Part(path=name, sha256=file_sha256(self.folder / name), rows=rows) for name, rows in sorted(files.items())
        ]
        self.manifest = self.manifest.model_copy(
            update={"status": "complete", "parts": parts, "metrics": metrics, "seconds": round(seconds, 3)}
        )
        _write(self.folder, self.manifest)
        (self.folder / PROGRESS).unlink(missing_ok=True)


@contextmanager
def stage(
    folder: Path, name: str, recipe: dict[str, Any], inputs: dict[str, str], wait_s: float = 600
) -> Iterator[Stage]:
    """Open the stage in `folder` and hold its lock.

    No manifest: an open one is written. The same fingerprint: what is there is resumed, or reused when complete.
    Another fingerprint: RecipeDrift, naming the fields, unless nothing had been made yet. Waits up to `wait_s` seconds
    for another process that holds the lock, then raises StageFailed; so does a disk that is full or read-only, at any
    moment until the block ends.
    """
    # Through JSON and back, so that what is compared is what a file can hold.
    recipe = json.loads(json.dumps(recipe))
    identity = fingerprint({"stage": name, "recipe": recipe, "inputs": inputs})
    with writable(folder), locked(folder, wait_s):
        found = read(folder)
        if found is None or (found.fingerprint != identity and begun(folder) is None):
            found = Manifest(
                stage=name,
                fingerprint=identity,
                status="open",
                recipe=recipe,
                inputs=inputs,
                provenance=provenance(),
            )
            _write(folder, found)
        elif found.fingerprint != identity:
            old = {"stage": found.stage, "recipe": found.recipe, "inputs": found.inputs}
            new = {"stage": name, "recipe": recipe, "inputs": inputs}
            changed = "; ".join(differences(old, new)) or "its fingerprint"
            raise RecipeDrift(
                f"{folder} was made by another recipe: {changed}. Give the run another name, or remove that folder"
                " and what was built from it"
            )
        yield Stage(folder, found)


def read(folder: Path) -> Manifest | None:
    """The manifest of a folder, or None. Raises Damaged when it cannot be read."""
    path = folder / NAME
    if not path.exists():
        return None
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (ValidationError, IsADirectoryError) as error:
        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else "it is a folder"
        raise Damaged(f"{path}: not a manifest ({why}); `rstar check RUN --repair` has its stage made again") from error


def begun(folder: Path) -> Manifest | None:
    """The manifest of a stage that holds something: a finished one, or an open one with files of its own."""
    found = read(folder)
    if found is None or found.status == "complete":
        return found
    own = (path.name for path in folder.iterdir() if not path.name.startswith("."))
    return found if any(name != NAME for name in own) else None


def holds(folder: Path) -> bool:
    """Whether a stage has a manifest, or files of its own without one. Hidden ones are the lock, how far it is, and
    what a killed process had half written."""
    return folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir())


def check(folder: Path) -> tuple[list[str], list[str]]:
    """(what is wrong with a stage, a line each; the damaged files below its folder): files missing or changed, and a
    fingerprint that is not its own, which is the manifest's damage. Raises Damaged when that cannot be read."""
    manifest = read(folder)
    if manifest is None:
        return [f"{folder / NAME}: missing"], [NAME]
    wrong, damaged = [], []
    own = fingerprint({"stage": manifest.stage, "recipe": manifest.recipe, "inputs": manifest.inputs})
    if own != manifest.fingerprint:
        wrong.append(f"{folder / NAME}: the fingerprint is not that of its recipe and inputs")
        damaged.append(NAME)
    for part in manifest.parts:
        path = folder / part.path
        if not path.exists():
            wrong.append(f"{path}: missing")
        else:
            try:
                if file_sha256(path) == part.sha256:
                    continue
                wrong.append(f"{path}: changed since it was sealed")
            except IsADirectoryError:
                wrong.append(f"{path}: a folder is in its place")
            except OSError as error:
                wrong.append(f"{path}: cannot be read ({error.strerror})")
                continue  # nobody knows whether it is damaged
        damaged.append(part.path)
    return wrong, damaged


def missing(folder: Path, manifest: Manifest) -> Path | None:
    """The first file that a complete stage has lost, or None. Hashes are not looked at: that takes `check`."""
    paths = (folder / part.path for part in manifest.parts)
    return next((path for path in paths if not path.is_file()), None)


def reopen(folder: Path) -> None:
    """Open a complete stage again; a manifest that is not sound is removed, and the next start writes a new one."""
    try:
        found = read(folder)
    except Damaged:
        found = None
    if found is None or NAME in check(folder)[1]:
        remove(folder / NAME)
        return
    _write(folder, found.model_copy(update={"status": "open", "parts": [], "metrics": {}, "seconds": None}))


def remove(path: Path) -> None:
    """Remove a file, a folder with all in it, or nothing where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def writable(folder: Path) -> Iterator[None]:
    """Turn what a full or read-only disk raises in the block into one line. Raises StageFailed."""
    try:
        yield
    except OSError as error:
        where = error.filename or folder
        if error.errno in FULL:
            there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
            free = shutil.disk_usage(there).free
            raise StageFailed(
                f"{folder}: the disk is full ({free / 1e6:.1f} MB are free there, at {where}). What is finished is"
                " kept: make room and start again"
            ) from error
        if error.errno in CLOSED:
            raise StageFailed(
                f"{folder}: cannot be written to ({os.strerror(error.errno)}: {where}). What is finished is kept: make"
                " it writable and start again"
            ) from error
        raise


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file by a temporary one beside it, flushed to disk, and a rename: all of it or nothing."""
    with replacing(path) as file:
        file.write(data)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write into that takes the place of `path` when the block ends well, and leaves nothing otherwise."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _replace(path: Path, data: bytes) -> None:
    """The same without waiting for the disk, for what is renewed all the time."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(data)
    temporary.replace(path)


def busy(folder: Path) -> bool:
    """Whether a process is working on the stage right now."""
    try:
        with (folder / LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def _write(folder: Path, manifest: Manifest) -> None:
    write_atomic(folder / NAME, (manifest.model_dump_json(indent=1) + "\n").encode())


@contextmanager
def locked(folder: Path, wait_s: float) -> Iterator[IO[str]]:
    """Hold the folder's lock; the kernel frees it with the process, however that ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+", encoding="utf-8") as file:
        deadline = time.monotonic() + wait_s
        told = wait_s == 0
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                file.seek(0)
                holder = file.read().strip() or "unknown"
                if time.monotonic() > deadline:
                    raise StageFailed(f"{folder}: process {holder} has been working on it for {wait_s:.0f} s") from None
                if not told:
                    _log.warning("%s: process %s is working on it; waiting up to %.0f s", folder, holder, wait_s)
                    told = True
                time.sleep(0.2)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield file
