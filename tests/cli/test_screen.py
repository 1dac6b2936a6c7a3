"""Progress as people see it: bars on a terminal, lines in a log, nothing when quiet."""

import io
import os
import pty
import select
import subprocess
import sys

import pytest
from rich.console import Console

from rstar.cli import screen

WORK = """
import time
from rstar.cli import screen
with screen.progress(False) as progress:
    for done in range(0, 41, 5):
        progress("round 1 search", done, 40)
        time.sleep(0.15)
screen.json_line({"done": True})
"""


def test_lines_say_rate_and_time_left_and_are_few(monkeypatch):
    clock, said = [0.0], io.StringIO()
    monkeypatch.setattr(screen.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(screen, "err", Console(file=said, soft_wrap=True))
    with screen.progress(False) as progress:
        for done in range(601):
            clock[0] = done / 4
            progress("round 1 search", done, 600)
    lines = [line.partition("  ")[2] for line in said.getvalue().splitlines()]
    assert lines[0] == "round 1 search: 0 of 600"
    assert lines[1] == "round 1 search: 60 of 600, 4.0/s, 0:02:15 left"
    assert lines[-1] == "round 1 search: 600 of 600, 4.0/s"
    assert len(lines) == 11


def test_quiet_says_nothing(capfd):
    with screen.progress(True) as progress:
        progress("round 1 search", 1, 2)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("term", ["xterm-256color", "dumb"])
def test_a_terminal_shows_bars_unless_it_cannot(term):
    """Standard error is a terminal, standard output is not: JSON stays clean."""
    leader, follower = pty.openpty()
    env = {**os.environ, "TERM": term, "COLUMNS": "100"}
    with subprocess.Popen([sys.executable, "-c", WORK], stdout=subprocess.PIPE, stderr=follower, env=env) as child:
        os.close(follower)
        shown = b""
        while select.select([leader], [], [], 120)[0]:
            try:
                data = os.read(leader, 65536)
            except OSError:  # the other end is closed
                break
            if not data:
                break
            shown += data
        assert child.stdout is not None
        assert child.stdout.read() == b'{"done":true}\n'
    os.close(leader)
    text = shown.decode()
    assert "round 1 search" in text
    assert ("━" in text) == (term != "dumb")
    assert "/s" in text
    assert "40 of 40" in text if term == "dumb" else "40/40" in text
