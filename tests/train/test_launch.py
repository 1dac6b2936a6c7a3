import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from rstar.errors import InputError, StageFailed
from rstar.train.job import SftJob, read_job
from rstar.train.launch import run

Make = Callable[..., SftJob]

ENDLESS = {"steps": 1_000_000, "batch": 1, "micro_batch": 1}
"""So many steps that only a kill ends them; the examples are not varied, so nothing is prepared for each."""


def trainings(out: Path) -> list[int]:
    """The processes that work on the checkpoint `out`: those that hold its examples open."""
    found = []
    for process in psutil.process_iter():
        try:
            maps = {m.path for m in process.memory_maps()} if process.pid != os.getpid() else set()
        except (psutil.Error, OSError):
            continue
        if any(path.startswith(str(out)) for path in maps):
            found.append(process.pid)
    return found


def gone(pid: int, within_s: float = 10.0) -> bool:
    """Whether the process ends within so many seconds."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.1)
    return False


def test_a_job_in_a_process_of_its_own(sft: Make, tmp_path: Path) -> None:
    job = sft()
    seen: list[tuple[int, int, float | None]] = []
    metrics = run(job, on_progress=lambda *report: seen.append(report), log=tmp_path / "logs" / "train.log")
    assert seen[-1][:2] == (4, 4)
    assert seen[-1][2] == pytest.approx(metrics["final_loss"])
    assert (job.out / "model.safetensors").exists()
    assert not job.work.exists()


def test_a_failing_job_says_why(sft: Make, tmp_path: Path) -> None:
    job = sft().model_copy(update={"rows": tmp_path / "nothing.parquet"})
    log = tmp_path / "train.log"
    log.write_text("an earlier run\n")
    with pytest.raises(
        StageFailed, match=r"exit status 2.*\n.*cannot read the training data .*nothing\.parquet"
    ) as info:
        run(job, log=log)
    assert "an earlier run" not in str(info.value)
    assert log.read_text().startswith("an earlier run\n")
    assert not job.out.exists()


def test_leaving_the_call_ends_the_process(sft: Make, tmp_path: Path) -> None:
    job = sft(**ENDLESS)
    pids: list[int] = []

    def leave(step: int, of: int, loss: float | None) -> None:
        pids.extend(trainings(job.work))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(job, on_progress=leave, log=tmp_path / "train.log")
    assert len(pids) == 1
    assert gone(pids[0], 0.5)


def test_another_thread_can_stop_it(sft: Make, tmp_path: Path) -> None:
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    with pytest.raises(StageFailed, match="stopped"):
        run(sft(**ENDLESS), log=tmp_path / "train.log", stop=stop)


def test_the_death_of_the_parent_is_the_death_of_the_child(sft: Make, tmp_path: Path) -> None:
    job = sft(**ENDLESS)
    (tmp_path / "job.json").write_text(job.model_dump_json())
    program = (
        "import sys; from pathlib import Path;"
        "from rstar.train.job import read_job; from rstar.train.launch import run;"
        "folder = Path(sys.argv[1]);"
        "run(read_job(folder / 'job.json'), on_progress=lambda *_: print('going', flush=True), log=folder / 'log')"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent.stdout:
        assert parent.stdout.readline() == b"going\n"
        children = [child.pid for child in psutil.Process(parent.pid).children(recursive=True)]
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert len(children) == 1
    assert gone(children[0])


def test_a_file_that_is_no_job_is_named(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text('{"kind": "sft", "rows": "a", "colour": 3}')
    with pytest.raises(InputError, match=r"(?s)job\.json.*colour"):
        read_job(tmp_path / "job.json")
    with pytest.raises(InputError, match="cannot read"):
        read_job(tmp_path / "none.json")
