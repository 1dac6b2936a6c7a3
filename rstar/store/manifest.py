"""Stages on disk: what a folder was made from, whether it is finished, and that nobody else is working on it."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from rstar.errors import Damaged, RecipeDrift, StageFailed
from rstar.store.fingerprint import differences, file_sha256, fingerprint
from rstar.store.provenance import provenance

NAME = "manifest.json"


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

    def finish(self, files: dict[str, int | None], metrics: dict[str, Any], seconds: float) -> None:
        """Seal the stage: hash its files (path -> rows) and write the complete manifest by rename."""
        parts = [
            Part(path=name, sha256=file_sha256(self.folder / name), rows=rows) for name, rows in sorted(files.items())
        ]
        self.manifest = self.manifest.model_copy(
            update={"status": "complete", "parts": parts, "metrics": metrics, "seconds": round(seconds, 3)}
        )
        _write(self.folder, self.manifest)


@contextmanager
def stage(
    folder: Path, name: str, recipe: dict[str, Any], inputs: dict[str, str], wait_s: float = 600
) -> Iterator[Stage]:
    """Open the stage in `folder` and hold its lock.

    No manifest: an open one is written. The same fingerprint: what is there is resumed, or reused when complete.
    Another fingerprint: RecipeDrift, naming the fields, unless nothing had been made yet. Waits up to `wait_s` seconds
    for another process that holds the lock, then raises StageFailed.
    """
    # Through JSON and back, so that what is compared is what a file can hold.
    recipe = json.loads(json.dumps(recipe))
    identity = fingerprint({"stage": name, "recipe": recipe, "inputs": inputs})
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder, wait_s):
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
    except ValidationError as error:
        raise Damaged(f"{path}: not a manifest ({error.errors()[0]['msg']})") from error


def begun(folder: Path) -> Manifest | None:
    """The manifest of a stage that holds something: a finished one, or an open one with files of its own."""
    found = read(folder)
    if found is None or found.status == "complete":
        return found
    return found if any(path.name not in (NAME, ".lock") for path in folder.iterdir()) else None


def check(folder: Path) -> list[str]:
    """What is wrong with a stage, a line each: files missing or changed, a fingerprint that is not its own."""
    manifest = read(folder)
    if manifest is None:
        return [f"{folder}: no {NAME}"]
    wrong = []
    own = fingerprint({"stage": manifest.stage, "recipe": manifest.recipe, "inputs": manifest.inputs})
    if own != manifest.fingerprint:
        wrong.append(f"{folder / NAME}: the fingerprint is not that of its recipe and inputs")
    for part in manifest.parts:
        path = folder / part.path
        if not path.exists():
            wrong.append(f"{path}: missing")
        elif file_sha256(path) != part.sha256:
            wrong.append(f"{path}: changed since it was sealed")
    return wrong


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
        temporary.unlink(missing_ok=True)
        raise


def _write(folder: Path, manifest: Manifest) -> None:
    write_atomic(folder / NAME, (manifest.model_dump_json(indent=1) + "\n").encode())


@contextmanager
def _locked(folder: Path, wait_s: float) -> Iterator[IO[str]]:
    """Hold the folder's lock; the kernel frees it with the process, however that ends."""
    with (folder / ".lock").open("a+", encoding="utf-8") as file:
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    file.seek(0)
                    holder = file.read().strip() or "unknown"
                    raise StageFailed(f"{folder}: process {holder} has been working on it for {wait_s:.0f} s") from None
                time.sleep(0.2)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield file
