"""A server and all that it started end with whoever wanted them."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from rstar.engine import keeper

SERVER = """\
import pathlib, signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
if {stubborn}: signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path({pids!r}).write_text(f"{{__import__('os').getpid()}} {{child.pid}}")
time.sleep(60)
"""


@pytest.fixture(params=[False, True], ids=["willing", "stubborn"])
def kept(request, tmp_path) -> tuple[subprocess.Popen, list[psutil.Process]]:
    """A keeper, and the server with a child of its own behind it; a stubborn one ignores SIGTERM."""
    pids = tmp_path / "pids"
    server = SERVER.format(stubborn=request.param, pids=str(pids))
    running = subprocess.Popen(
        [sys.executable, "-I", keeper.__file__, "0.5", sys.executable, "-c", server], stdin=subprocess.PIPE
    )
    deadline = time.monotonic() + 20
    while not (pids.exists() and pids.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return running, [psutil.Process(int(pid)) for pid in pids.read_text().split()]


def gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=10)
    return all(one.status() == psutil.STATUS_ZOMBIE for one in alive if one.is_running())


def test_it_stops_them_when_asked(kept):
    running, processes = kept
    running.stdin.write(b"q")
    running.stdin.close()
    running.wait(10)
    assert gone(processes)


def test_they_end_with_the_parent(kept):
    running, processes = kept
    running.stdin.close()  # what is left of a parent that was killed
    running.wait(10)
    assert gone(processes)


def test_a_server_does_not_outlive_a_keeper_that_was_killed(kept):
    running, processes = kept
    os.kill(running.pid, signal.SIGKILL)
    assert gone(processes[:1])
    os.kill(processes[1].pid, signal.SIGKILL)  # a real server's own processes watch for its end


def test_a_parent_that_dies_while_a_server_is_asked_to_stop_is_not_waited_for(tmp_path):
    server = (
        sys.executable,
        "-c",
        "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)",
    )
    running = subprocess.Popen(
        [sys.executable, "-I", keeper.__file__, "50", *server], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert running.stdout.readline() == b"1\n"
    running.stdin.write(b"q")
    running.stdin.close()
    assert running.wait(20) == 128 + signal.SIGKILL


def test_what_a_dead_server_leaves_behind_goes_too(kept):
    running, processes = kept
    os.kill(processes[0].pid, signal.SIGKILL)
    assert running.wait(10) == 128 + signal.SIGKILL
    assert gone(processes)


def test_its_exit_code_is_the_server_s():
    server = (sys.executable, "-c", "raise SystemExit(7)")
    running = subprocess.Popen([sys.executable, "-I", keeper.__file__, "1", *server], stdin=subprocess.PIPE)
    assert running.wait(20) == 7
