"""Opening stages again whose files are damaged, so that the next start makes what is gone and nothing else."""

import re
from pathlib import Path

from rstar.pipeline import inspect
from rstar.store import manifest
from rstar.store.layout import CHECKPOINT, TREES
from rstar.store.trees import drop_broken_lines

_PASS = re.compile(r"pass-(\d+)-")


def repair(folder: Path) -> list[str]:
    """Open every stage of a run again of which something is damaged or missing; returns their names.

    Damaged files are removed. A search keeps its other parts, but for the passes behind a damaged one, whose problems
    it decides; of an open part only the lines that are no trees go. Of other stages everything is made again. Where the
    manifest is the damage nothing vouches for the files, and all of them go. Stages made from a repaired one stay: the
    same recipe makes the same files. Raises StageFailed when a process is working on such a stage.
    """
    opened = []
    for stage in inspect.stages(folder):
        _, damaged = inspect.examine(stage)
        if damaged:
            with manifest.writable(stage), manifest.locked(stage, 0):
                _clear(stage, damaged)
            opened.append(str(stage.relative_to(folder)))
    return opened


def _clear(stage: Path, damaged: list[str]) -> None:
    if manifest.NAME in damaged:
        for path in stage.iterdir():
            if path.name not in (manifest.LOCK, manifest.NAME):
                manifest.remove(path)
        manifest.reopen(stage)
        return
    trees = [name for name in damaged if name.startswith(f"{TREES}/")]
    for name in trees:
        if name.endswith(".jsonl"):
            drop_broken_lines(stage / name)
        else:
            manifest.remove(stage / name)
    if trees:
        first = min(_pass(Path(name).name) for name in trees)
        for path in (stage / TREES).iterdir():
            if _pass(path.name) > first:
                manifest.remove(path)
    found = manifest.read(stage)
    if found is not None and found.status == "complete":
        for part in found.parts:
            if not part.path.startswith(f"{TREES}/"):
                manifest.remove(stage / part.path)
        manifest.remove(stage / CHECKPOINT)
        manifest.reopen(stage)


def _pass(name: str) -> int:
    """The number of the pass that a part of trees belongs to."""
    found = _PASS.match(name)
    return int(found[1]) if found else 0
