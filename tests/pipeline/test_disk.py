"""A full disk and a read-only one, for real: one clear error, and after the mend the run as it would have been."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rstar.config.run import RunConfig
from rstar.errors import InputError, StageFailed
from rstar.pipeline.progress import silent
from rstar.pipeline.round import search, select, start
from rstar.pipeline.train import policy_stage
from rstar.store import manifest
from tests.pipeline import tiny

STAGES: dict[str, Callable[[RunConfig], manifest.Manifest]] = {
    "search": lambda cfg: search(cfg, 2),
    "select": lambda cfg: select(cfg, 2),
    "policy": lambda cfg: policy_stage(cfg, 2, silent),
}
ROOM = {"search": 12, "select": 8, "policy": 48}
"""Kilobytes that are left: some for the manifest and the first files, too few for the whole stage."""

TIMED = ("checkpoint/metrics.json", "checkpoint/README.md")


def mount(*words: str) -> bool:
    return subprocess.run(["mount", *words], capture_output=True, check=False).returncode == 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of four megabytes that holds the finished run."""
    made = tmp_path / "disk"
    made.mkdir()
    if not mount("-t", "tmpfs", "-o", "size=4m", "tmpfs", str(made)):
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        shutil.copytree(tiny.evolved() / "runs" / "tiny", made / "tiny")
        yield made
    finally:
        mount("-o", "remount,rw", str(made))
        subprocess.run(["umount", "-l", str(made)], check=True)


def sealed(stage: Path) -> list[tuple[str, str]]:
    """The files of a complete stage, but for those that hold times and places."""
    found = manifest.read(stage)
    assert found is not None
    assert found.status == "complete"
    return [(part.path, part.sha256) for part in found.parts if part.path not in TIMED]


def fill(disk: Path, kilobytes: int) -> Path:
    """Fill the disk but for so much; removing the file that is returned is the mend."""
    filler = disk / "filler"
    with filler.open("wb") as file:
        file.write(bytes(shutil.disk_usage(disk).free - kilobytes * 1024))
    return filler


@pytest.mark.parametrize("name", STAGES)
def test_a_full_disk_is_one_error_and_the_stage_goes_on_when_there_is_room(disk, name):
    stage, cfg = disk / "tiny" / "round-2" / name, tiny.config(tiny.evolved(), f"runtime.runs={disk}")
    before = sealed(stage)
    shutil.rmtree(stage)
    filler = fill(disk, ROOM[name])
    with pytest.raises(StageFailed, match=rf"^{stage}: the disk is full .* make room and start again$"):
        STAGES[name](cfg)
    assert manifest.read(stage).status == "open"
    filler.unlink()
    STAGES[name](cfg)
    assert sealed(stage) == before
    assert manifest.check(stage) == ([], [])


@pytest.mark.parametrize("name", STAGES)
def test_a_read_only_folder_is_one_error_and_the_stage_goes_on_when_it_is_writable(disk, name):
    stage, cfg = disk / "tiny" / "round-2" / name, tiny.config(tiny.evolved(), f"runtime.runs={disk}")
    before = sealed(stage)
    shutil.rmtree(stage)
    stage.mkdir()
    assert mount("--bind", str(stage), str(stage))
    assert mount("-o", "remount,ro,bind", str(stage))
    try:
        with pytest.raises(
            StageFailed, match=rf"^{stage}: cannot be written to \(Read-only file system: .* start again$"
        ):
            STAGES[name](cfg)
    finally:
        subprocess.run(["umount", str(stage)], check=True)
    STAGES[name](cfg)
    assert sealed(stage) == before


def test_a_run_that_cannot_begin_says_so(disk):
    assert mount("-o", "remount,ro", str(disk))
    with pytest.raises((InputError, StageFailed), match="cannot be written to"):
        start(tiny.config(tiny.evolved(), f"runtime.runs={disk}", "name=new"), 1)
    with pytest.raises(StageFailed, match="cannot be written to"):
        start(tiny.config(tiny.evolved(), f"runtime.runs={disk}"), 2)
