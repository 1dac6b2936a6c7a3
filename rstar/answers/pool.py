"""Long-lived grading processes: spawned on first need, timed from here, killed and replaced when one hangs or dies."""

import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from queue import LifoQueue

from rstar.answers.grade import Mode
from rstar.core.verdict import Judgement, Verdict
from rstar.errors import RstarError

MEMORY_BYTES = 2 * 1024**3
START_TIMEOUT_S = 60.0
_READ = 65536


class GraderUnavailable(RstarError):
    """The grading process does not start, or fails its self-test: no verdict of it may be trusted."""


class WorkerLost(Exception):
    """The worker hung or died during one question; `rule` says which."""

    def __init__(self, rule: str):
        super().__init__(rule)
        self.rule = rule


class Worker:
    """One grading process. Not thread-safe: a pool lends it to one thread at a time."""

    def __init__(self, memory_bytes: int = MEMORY_BYTES):
        """Raises GraderUnavailable where the process does not come up and pass its self-test."""
        self._buffer = b""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rstar.answers.worker", str(memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            start_new_session=True,  # a terminal's Ctrl-C is the parent's to handle
        )
        try:
            word, failure = json.loads(self._read_line(START_TIMEOUT_S))
        except (WorkerLost, ValueError) as error:
            self.kill()
            raise GraderUnavailable(
                f"the grading process did not start ({error}); try: python -m rstar.answers.worker {memory_bytes}"
            ) from error
        if word != "ready" or failure:
            self.kill()
            raise GraderUnavailable(
                f"the grader failed its self-test: {failure}; check the versions of sympy and latex2sympy2_extended"
            )

    @property
    def pid(self) -> int:
        """Process id, for tests and status pages."""
        return self._process.pid

    def judge(self, mode: Mode, gold: str, candidate: str, timeout_s: float) -> Judgement:
        """The worker's verdict. Raises WorkerLost after `timeout_s` seconds or where the process died.

        Loading the library, once per worker, has a time of its own. Raises GraderUnavailable where that fails.
        """
        line = json.dumps([mode, gold, candidate]).encode() + b"\n"
        self._write(line, timeout_s)
        reply = json.loads(self._read_line(timeout_s))
        if reply[0] == "loading":
            word, failure, *_ = json.loads(self._read_line(START_TIMEOUT_S))
            if word != "loaded" or failure:
                self.kill()
                raise GraderUnavailable(f"{failure}; check the versions of math-verify, sympy and antlr4")
            reply = json.loads(self._read_line(timeout_s))
        verdict, rule, ms = reply
        return Judgement(Verdict(verdict), rule, ms)

    def kill(self) -> None:
        """Ends the process at once and reaps it. Safe to call twice."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # unsent bytes of a request that nobody will read
                    pipe.close()
        self._process.wait()

    def _write(self, line: bytes, timeout_s: float) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        descriptor = pipe.fileno()
        os.set_blocking(descriptor, False)
        deadline = time.monotonic() + timeout_s
        while line:
            try:
                line = line[os.write(descriptor, line) :]
            except BlockingIOError:
                _wait(lambda left: _ready(descriptor, select.POLLOUT, left), deadline)
            except (BrokenPipeError, ConnectionResetError) as error:
                raise WorkerLost("worker_died") from error

    def _read_line(self, timeout_s: float) -> bytes:
        pipe = self._process.stdout
        assert pipe is not None
        descriptor = pipe.fileno()
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._buffer:
            _wait(lambda left: _ready(descriptor, select.POLLIN, left), deadline)
            chunk = os.read(descriptor, _READ)
            if not chunk:
                raise WorkerLost("worker_died")
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line


class WorkerPool:
    """At most `size` workers, started when first needed and kept warm; usable from any number of threads."""

    def __init__(self, size: int = 1, timeout_s: float = 2.0, memory_bytes: int = MEMORY_BYTES):
        self.timeout_s = timeout_s
        self._memory_bytes = memory_bytes
        self._slots: LifoQueue[Worker | None] = LifoQueue()
        self._lock = threading.Lock()
        self._closed = False
        for _ in range(size):
            self._slots.put(None)  # an empty slot: whoever takes it starts a worker

    def judge(self, mode: Mode, gold: str, candidate: str) -> Judgement:
        """The verdict of a worker; UNVERIFIABLE with rule `timeout` or `worker_died` where it gives none.

        Waits for a free worker without limit; the clock runs only while one works. Raises GraderUnavailable.
        """
        worker = self._slots.get()
        try:
            worker = worker if worker is not None else Worker(self._memory_bytes)
            start = time.perf_counter()
            try:
                return worker.judge(mode, gold, candidate, self.timeout_s)
            except WorkerLost as lost:
                worker.kill()
                worker = None
                return Judgement(Verdict.UNVERIFIABLE, lost.rule, (time.perf_counter() - start) * 1000)
            except GraderUnavailable:
                worker = None  # already killed
                raise
        finally:
            self._give_back(worker)

    def pids(self) -> list[int]:
        """Process ids of the idle workers."""
        with self._slots.mutex:
            return [worker.pid for worker in self._slots.queue if worker is not None]

    def close(self) -> None:
        """Ends every idle worker; one that is working ends when it gives its slot back."""
        with self._lock:
            self._closed = True
        idle = [self._slots.get() for _ in range(self._slots.qsize())]  # all, before any goes back: last in, first out
        for worker in idle:
            if worker is not None:
                worker.kill()
            self._slots.put(None)

    def _give_back(self, worker: Worker | None) -> None:
        with self._lock:
            closed = self._closed
        if closed and worker is not None:
            worker.kill()
            worker = None
        self._slots.put(worker)


def _environment() -> dict[str, str]:
    """The parent's, with this package importable and no numerical library's threads."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
    return {
        **os.environ,
        "PYTHONPATH": path,
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def _ready(descriptor: int, event: int, timeout_s: float) -> bool:
    poll = select.poll()  # not select.select, which fails on descriptors above 1,023
    poll.register(descriptor, event)
    return bool(poll.poll(timeout_s * 1000))


def _wait(ready: Callable[[float], object], deadline: float) -> None:
    left = deadline - time.monotonic()
    if left <= 0 or not ready(left):
        raise WorkerLost("timeout")
