"""The life of a stage: opened, resumed, sealed, reused; refused when its recipe drifted or another process holds it."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rstar.errors import Damaged, RecipeDrift, StageFailed
from rstar.store import manifest
from rstar.store.manifest import NAME, check, read, stage, write_atomic

RECIPE = {"search": {"rollouts": 8, "c": 2.0}, "seed": 1}
INPUTS = {"problems": "a" * 64}


def finished(folder: Path, text: str = "result\n", **changes) -> manifest.Manifest:
    """A complete stage with one file."""
    with stage(folder, "search", RECIPE | changes, INPUTS) as it:
        if not it.complete:
            (folder / "out.txt").write_text(text)
            it.finish({"out.txt": 1}, {"solved": 3}, 1.23456)
        return it.manifest


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Bytes and time of change of every file but the lock."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def test_a_new_folder_gets_an_open_manifest(tmp_path):
    with stage(tmp_path / "a" / "b", "search", RECIPE, INPUTS) as it:
        assert not it.complete
        found = read(tmp_path / "a" / "b")
    assert (found.stage, found.status, found.recipe, found.inputs) == ("search", "open", RECIPE, INPUTS)
    assert found.fingerprint == it.fingerprint
    assert {"started", "python", "packages"} <= found.provenance.keys()


def test_a_finished_stage_lists_its_files_with_their_hashes(tmp_path):
    found = finished(tmp_path)
    (part,) = found.parts
    assert (part.path, part.rows) == ("out.txt", 1)
    assert part.sha256 == hashlib.sha256(b"result\n").hexdigest()
    assert (found.status, found.metrics, found.seconds) == ("complete", {"solved": 3}, 1.235)
    assert read(tmp_path) == found
    assert check(tmp_path) == ([], [])


def test_an_open_stage_is_resumed_with_what_is_in_it(tmp_path):
    with stage(tmp_path, "search", RECIPE, INPUTS):
        (tmp_path / "half").write_text("half")
    began = read(tmp_path)
    with stage(tmp_path, "search", RECIPE, INPUTS) as it:
        assert not it.complete
        assert it.manifest == began  # its provenance still says when it was begun
        assert (tmp_path / "half").read_text() == "half"


def test_a_complete_stage_is_reused_and_not_touched(tmp_path):
    first = finished(tmp_path, "one")
    before = snapshot(tmp_path)
    second = finished(tmp_path, "two")
    assert second == first
    assert snapshot(tmp_path) == before


def test_a_recipe_is_compared_as_json_holds_it(tmp_path):
    finished(tmp_path, retry=(8, 16))
    assert finished(tmp_path, retry=[8, 16]).status == "complete"


@pytest.mark.parametrize("complete", [True, False])
def test_drift_names_every_field_and_overwrites_nothing(tmp_path, complete):
    if complete:
        finished(tmp_path)
    else:
        with stage(tmp_path, "search", RECIPE, INPUTS):
            (tmp_path / "tree").write_text("kept")
    before = snapshot(tmp_path)
    other = {"search": {"rollouts": 32, "c": 2.0}, "seed": 2}
    with (
        pytest.raises(RecipeDrift) as caught,
        stage(tmp_path, "search", other, INPUTS | {"policy": "b" * 64}),
    ):
        pytest.fail("the stage was entered")
    message = str(caught.value)
    assert str(tmp_path) in message
    assert "recipe.search.rollouts: 8 -> 32" in message
    assert "recipe.seed: 1 -> 2" in message
    assert "inputs.policy: nothing -> bbb" in message
    assert "search.c" not in message
    assert caught.value.exit_code == 3
    assert snapshot(tmp_path) == before


def test_another_kind_of_stage_in_the_folder_is_drift(tmp_path):
    finished(tmp_path)
    with pytest.raises(RecipeDrift, match="stage: search -> select"), stage(tmp_path, "select", RECIPE, INPUTS):
        pytest.fail("the stage was entered")


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"[]", b'{"stage": "search"}', b"\xff\xfe", b'{"stage": 1, "unknown": 2}'],
    ids=["empty", "cut", "list", "fields missing", "not UTF-8", "wrong fields"],
)
def test_a_damaged_manifest_is_named_and_kept(tmp_path, damage):
    finished(tmp_path)
    (tmp_path / NAME).write_bytes(damage)
    with pytest.raises(Damaged, match=NAME) as caught, stage(tmp_path, "search", RECIPE, INPUTS):
        pytest.fail("the stage was entered")
    assert str(tmp_path) in str(caught.value)
    assert caught.value.exit_code == 4
    assert (tmp_path / NAME).read_bytes() == damage


@pytest.mark.parametrize("size", range(0, 400, 7))
def test_a_manifest_cut_anywhere_is_damaged_and_not_taken_for_another(tmp_path, size):
    finished(tmp_path)
    whole = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(whole[:size])
    with pytest.raises(Damaged):
        read(tmp_path)


def test_check_says_what_is_missing_changed_or_not_its_own(tmp_path):
    with stage(tmp_path, "search", RECIPE, INPUTS) as it:
        for name in ("a", "b", "c"):
            (tmp_path / name).write_text(name)
        it.finish({"a": None, "b": None, "c": None}, {}, 0)
    (tmp_path / "a").unlink()
    (tmp_path / "b").write_text("B")
    told = json.loads((tmp_path / NAME).read_text())
    told["recipe"]["seed"] = 7
    (tmp_path / NAME).write_text(json.dumps(told))
    wrong, _ = check(tmp_path)
    assert wrong == [
        f"{tmp_path / NAME}: the fingerprint is not that of its recipe and inputs",
        f"{tmp_path / 'a'}: missing",
        f"{tmp_path / 'b'}: changed since it was sealed",
    ]


def test_check_of_a_folder_without_a_manifest_says_so(tmp_path):
    assert check(tmp_path) == ([f"{tmp_path / NAME}: missing"], [NAME])


def test_write_atomic_replaces_the_whole_file(tmp_path):
    (tmp_path / "f").write_bytes(b"a much longer old text")
    write_atomic(tmp_path / "f", b"new")
    assert (tmp_path / "f").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


@pytest.mark.parametrize("wrong", ["text", None, 3])
def test_write_atomic_leaves_nothing_when_writing_fails(tmp_path, wrong):
    (tmp_path / "f").write_bytes(b"old")
    with pytest.raises(TypeError):
        write_atomic(tmp_path / "f", wrong)
    assert (tmp_path / "f").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_write_atomic_leaves_nothing_when_the_rename_fails(tmp_path):
    (tmp_path / "taken" / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="taken"):
        write_atomic(tmp_path / "taken", b"data")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


WORKER = """
import sys, time
from pathlib import Path
from rstar.store.manifest import stage
folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
with stage(folder, "search", {"seed": 1}, {}, wait_s=float(sys.argv[3])) as it:
    if it.complete:
        print("reused", flush=True)
    else:
        print("working", flush=True)
        with (folder / "log").open("a") as log:
            log.write("worked\\n")
        time.sleep(seconds)
        it.finish({"log": 1}, {}, seconds)
        print("finished", flush=True)
"""


def worker(folder: Path, seconds: float, wait_s: float = 60) -> subprocess.Popen:
    """A process that works on the stage for `seconds`."""
    arguments = [sys.executable, "-c", WORKER, str(folder), str(seconds), str(wait_s)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_parallel_process_waits_for_the_lock_and_then_reuses(tmp_path):
    first = worker(tmp_path, 1.0)
    assert first.stdout.readline() == "working\n"
    second = worker(tmp_path, 1.0)
    assert first.communicate(timeout=60)[0] == "finished\n"
    assert second.communicate(timeout=60)[0] == "reused\n"
    assert (tmp_path / "log").read_text() == "worked\n"


def test_of_many_processes_one_works(tmp_path):
    workers = [worker(tmp_path, 0.2) for _ in range(4)]
    said = sorted(each.communicate(timeout=120)[0] for each in workers)
    assert said == ["reused\n", "reused\n", "reused\n", "working\nfinished\n"]


def test_who_waits_too_long_is_told_who_holds_the_stage(tmp_path):
    first = worker(tmp_path, 60)
    try:
        assert first.stdout.readline() == "working\n"
        with (
            pytest.raises(StageFailed, match=f"process {first.pid} has been working on it"),
            stage(tmp_path, "search", {"seed": 1}, {}, wait_s=0.3),
        ):
            pytest.fail("two processes were in the same stage")
    finally:
        first.kill()
        first.communicate()


def test_a_killed_process_leaves_no_lock_behind(tmp_path):
    first = worker(tmp_path, 60)
    assert first.stdout.readline() == "working\n"
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    began = time.monotonic()
    with stage(tmp_path, "search", {"seed": 1}, {}) as it:
        assert not it.complete
    assert time.monotonic() - began < 5
