"""What people see: progress bars in a terminal, plain lines elsewhere, nothing when quiet; tables and JSON."""

import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import TimeRemainingColumn as TimeLeft
from rich.table import Table
from rich.text import Text

from rstar.errors import RstarError
from rstar.pipeline.progress import Pace, silent
from rstar.pipeline.progress import Progress as Report

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)
EVERY_S = 15.0
"""Seconds between two plain lines about the same stage."""


@contextmanager
def told() -> Iterator[None]:
    """Known errors end the program with one line on standard error and their exit code."""
    try:
        yield
    except RstarError as error:
        err.print(f"rstar: {error}", markup=False, highlight=False)
        raise SystemExit(error.exit_code) from None


@contextmanager
def progress(quiet: bool) -> Iterator[Report]:
    """A progress function for the pipeline: bars with rate and time left on a terminal, sparse lines in a log."""
    if quiet:
        yield silent
    elif err.is_terminal and not err.is_dumb_terminal:
        with _Bars() as bars:
            yield bars.report
    else:
        yield _Lines().report


class _Rate(ProgressColumn):
    """Units per second of late, or per minute where it takes longer."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        return Text(f"{speed:.1f}/s" if speed >= 1 else f"{60 * speed:.1f}/min", style="progress.data.speed")


class _Bars:
    """One bar a stage, in the order they begin."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            TimeLeft(),
            console=err,
        )
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> "_Bars":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def report(self, stage: str, done: int, total: int) -> None:
        with self._lock:
            if stage not in self._tasks:
                self._tasks[stage] = self._progress.add_task(stage, total=total, completed=done)
            self._progress.update(self._tasks[stage], completed=done, total=total)


class _Lines:
    """The first, the last, and now and then one between: for logs and continuous integration."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, int]] = {}
        self._paces: dict[str, Pace] = {}
        self._lock = threading.Lock()

    def report(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        with self._lock:
            pace = self._paces.setdefault(stage, Pace())
            pace.heard(done, now)
            when, at = self._last.get(stage, (-EVERY_S, -1))
            if done == at or (now - when < EVERY_S and done < total):
                return
            self._last[stage] = now, done
            words = pace.words(done, total)
        err.print(f"{time.strftime('%H:%M:%S')}  {stage}: {words}", markup=False, highlight=False)


def table(header: Sequence[str], body: Sequence[Sequence[str]], title: str | None = None) -> None:
    """A table on standard output, as wide as it needs when that is not a terminal."""
    made = Table(title=None if title is None else Text(title), title_justify="left")
    for name in header:
        made.add_column(Text(name), overflow="fold")
    for cells in body:
        made.add_row(*map(Text, cells))  # a cell may hold what a program printed: [/] is no markup
    console = out if out.is_terminal else Console(width=max(160, out.width))
    console.print(made)


def share(told: dict[str, Any]) -> str:
    """A mean with its interval, in percent."""
    low, high = told["interval"]
    return f"{100 * told['mean']:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def json_line(value: Any) -> None:
    """One JSON line on standard output."""
    try:
        line = orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        try:
            line = json.dumps(value).encode()  # lone surrogates, escaped
        except (TypeError, ValueError):
            raise RstarError(f"cannot be written as JSON: {error}") from error
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.flush()
