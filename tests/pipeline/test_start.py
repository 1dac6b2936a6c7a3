"""Wrong input is found before anything is written, and a mend of it is no drift."""

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from rstar.errors import ConfigError, InputError
from rstar.pipeline.round import evolve, run_round, start
from rstar.store import manifest
from tests.pipeline import tiny


@pytest.fixture
def folder(tmp_path) -> Path:
    tiny.prepare(tmp_path)
    return tmp_path


def damage(path: Path, line: int, text: str) -> None:
    rows = path.read_text().splitlines()
    rows[line - 1] = text
    path.write_text("\n".join(rows) + "\n")


WRONG = {
    "not JSON": ("train.jsonl", "{", "line 3: not a line of JSON"),
    "field missing": ("test.jsonl", '{"id": "x", "problem": "?"}', "line 3, field 'answer'"),
    "id twice": ("train.jsonl", '{"id": "w0", "problem": "?", "answer": "1"}', "line 3, field 'id'"),
    "in both sets": ("test.jsonl", '{"id": "w0", "problem": "?", "answer": "1"}', "'w0' stands in both"),
    "no steps": ("worked.jsonl", '{"id": "x", "problem": "?", "answer": "1"}', "line 3, field 'steps'"),
    "no Python": (
        "worked.jsonl",
        '{"id": "x", "problem": "?", "answer": "1", "steps": ["x ="]}',
        "step 1 is not Python",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_problem_files_leave_no_run_behind_and_a_mend_goes_on(folder, case):
    name, text, said = WRONG[case]
    good = (folder / name).read_text()
    damage(folder / name, 3, text)
    with pytest.raises(InputError) as caught:
        evolve(tiny.config(folder))
    assert said in str(caught.value)
    assert not (folder / "runs").exists()
    (folder / name).write_text(good)
    start(tiny.config(folder), 1)
    assert manifest.read(folder / "runs" / "tiny" / "problems").status == "complete"


@pytest.mark.parametrize(("name", "field"), [("train", "problems.train"), ("worked", "bootstrap.demonstrations")])
def test_a_missing_file_is_named_with_its_setting_and_leaves_no_run_behind(folder, name, field):
    (folder / f"{name}.jsonl").unlink()
    with pytest.raises(InputError) as caught:
        evolve(tiny.config(folder))
    assert str(caught.value).startswith(f"{field}: {folder / name}.jsonl cannot be read (No such file")
    assert not (folder / "runs").exists()


def test_a_round_that_is_not_configured_leaves_no_run_behind(folder):
    with pytest.raises(ConfigError, match="round 3: the config has rounds 1 to 2"):
        run_round(tiny.config(folder), 3)
    assert not (folder / "runs").exists()


def test_a_place_for_runs_that_is_none_is_named(folder):
    (folder / "runs").write_text("a file")
    with pytest.raises(InputError, match=r"runtime\.runs: .* cannot be written to"):
        start(tiny.config(folder), 1)


def test_before_a_base_model_is_made_another_may_be_chosen(folder):
    start(tiny.config(folder), 1)
    start(tiny.config(folder, "model.hidden=64", "control=false"), 1)


def test_an_open_stage_that_holds_nothing_takes_another_recipe(tmp_path):
    with manifest.stage(tmp_path, "base", {"path": "misspelt"}, {}):
        pass
    with manifest.stage(tmp_path, "base", {"path": "right"}, {}) as it:
        assert it.manifest.recipe == {"path": "right"}
        (tmp_path / "half").write_text("half")
    with pytest.raises(manifest.RecipeDrift), manifest.stage(tmp_path, "base", {"path": "third"}, {}):
        pytest.fail("the stage was entered")


def test_rounds_are_run_in_order(folder):
    with pytest.raises(InputError, match=r"round-1/policy: .* run the rounds in order"):
        run_round(tiny.config(folder), 2)


def test_a_search_that_solved_nothing_is_said_to_have_solved_nothing(folder):
    """Demonstrations with a wrong answer: every step runs, and no trajectory is right."""
    rows = [{**tiny.worked(row), "answer": "-1"} for row in tiny.KNOWN]
    tiny.write(folder / "worked.jsonl", rows)
    with pytest.raises(ConfigError, match=r"sft\.parquet: no verified trajectory to train on"):
        run_round(tiny.config(folder, "bootstrap.noise=0"), 1)


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_trainings_that_run_side_by_side(copy, sign):
    """They are stopped on the way out, not waited for."""
    for name in ("ppm", "control", "eval"):
        shutil.rmtree(copy / "runs" / "tiny" / "round-2" / name)
    running = subprocess.Popen(
        tiny.command("evolve", "run.yaml"), cwd=copy, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while len(trainings(running.pid)) < 2:
        assert running.poll() is None, running.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    children = trainings(running.pid)
    os.kill(running.pid, sign)
    began = time.monotonic()
    said = running.communicate(timeout=60)[1]
    assert running.returncode == 130, said
    assert said.splitlines()[-1] == "rstar: stopped; the same command goes on from here"
    assert "Traceback" not in said
    assert time.monotonic() - began < 10
    assert not any(psutil.pid_exists(each.pid) and each.status() != "zombie" for each in children)


def trainings(pid: int) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(pid).children():
        with suppress(psutil.NoSuchProcess):  # a short-lived child that has ended since, or is a zombie by now
            if "rstar.train" in child.cmdline():
                found.append(child)
    return found
