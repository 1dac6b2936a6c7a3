"""Run a training job in a process of its own, so that its memory returns to the engines when it ends."""

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from rstar.errors import StageFailed
from rstar.train.job import SftJob, ValueJob

PARENT = "RSTAR_TRAIN_PARENT"
"""Environment variable: the process with which the training process ends."""

Progress = Callable[[int, int, float | None], None]
"""Called with (step, of, last loss or None)."""

_POLL_S = 0.2
_TAIL = 2000


def run(
    job: SftJob | ValueJob,
    *,
    devices: int = 1,
    on_progress: Progress | None = None,
    log: Path,
    stop: threading.Event | None = None,
) -> dict[str, Any]:
    """Train `job` and return the `metrics.json` of its checkpoint. What the process prints is appended to `log`.

    The process and all that it starts are killed when this call is left for any reason: an interrupt, an exception in
    `on_progress`, `stop` being set from another thread. They are killed too when the calling thread or process dies.
    Raises StageFailed with the end of the log if the training fails or is stopped, and the OSError that the process ran
    into if it was one (a full disk has no room for a log).
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="rstar-train-") as folder, log.open("ab") as sink:
        before = sink.tell()
        file = Path(folder) / "job.json"
        file.write_text(job.model_dump_json())
        child = subprocess.Popen(
            [sys.executable, "-m", "rstar.train", str(file), "--devices", str(devices)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=sink,
            env=os.environ | {PARENT: str(os.getpid())},
            start_new_session=True,
        )
        assert child.stdout is not None
        try:
            for line in _lines(child.stdout, stop):
                if (refused := _refused(line)) is not None:
                    raise refused
                if (progress := _progress(line)) is None:
                    sink.write(line)
                    sink.flush()
                elif on_progress is not None:
                    on_progress(*progress)
            status = child.wait()
        finally:
            # The group outlives its leader if a worker of several devices does.
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            child.stdout.close()
    if status:
        with log.open("rb") as said:
            said.seek(before)
            tail = said.read()[-_TAIL:].decode(errors="replace").strip()
        raise StageFailed(f"training of {job.out} ended with exit status {status}; the end of {log}:\n{tail}")
    metrics: dict[str, Any] = json.loads((job.out / "metrics.json").read_text())
    return metrics


def _lines(pipe: IO[bytes], stop: threading.Event | None) -> Iterator[bytes]:
    """The lines of `pipe` until it is closed; raises StageFailed soon after `stop` is set."""
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            if stop is not None and stop.is_set():
                raise StageFailed("training was stopped")
            if not selector.select(_POLL_S):
                continue
            data = os.read(pipe.fileno(), 65536)
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            yield from (line + b"\n" for line in lines)
    if rest:
        yield rest


def _progress(line: bytes) -> tuple[int, int, float | None] | None:
    """(step, of, loss) if the line is a report of progress."""
    try:
        report = json.loads(line)
        return report["step"], report["of"], report["loss"]
    except (ValueError, KeyError, TypeError):
        return None


def _refused(line: bytes) -> OSError | None:
    """The system's error that the line reports, if it does."""
    try:
        report = json.loads(line)
        return OSError(report["errno"], os.strerror(report["errno"]), report["file"])
    except (ValueError, KeyError, TypeError):
        return None
