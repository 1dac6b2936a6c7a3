"""`make up`: one foreground process that starts server, pool, limit, deployments and worker, and stops them all.

Everything lives in `.rstar/prefect` of the current folder: database, logs, and the file by which `make down` and
Prefect's command line find it. Each process that is started, and whatever it starts in turn, carries a mark in its
environment, by which it is found again however its parents ended.
"""

import argparse
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import IO, NoReturn

import psutil

from flows import place, scale

HOST = "127.0.0.1"
PORT = 4200
MARK = "RSTAR_UP"
"""Environment variable of everything that was started here: which part it belongs to, and the folder it was started
for."""
PARTS = ("worker", "server", "stores")
"""In the order in which they are stopped; `stores` are PostgreSQL and Redis, where there are any."""
READY_S = 240
"""How long each step of the start may take; a first start migrates a database."""
STOP_S = 20
"""How long processes have to end by themselves."""
READY = """
Prefect is up: {url}   (database and logs: {home})

In another terminal, in this folder, with the environment active:
  prefect deployment run round-1 --watch      round 1 of configs/demo.yaml
  prefect deployment run evolve --watch       all its rounds
  prefect deployment run round-1 --watch -p 'config=["configs/tiny.yaml", "name=first"]'

Ctrl-C here, or `make down` in this folder, stops everything; what is finished is kept.
"""


class CannotRun(Exception):
    """The start failed, or something that was started has ended; the message says what and why."""


class Stop(BaseException):
    """Ctrl-C, `make down`, or a closed terminal."""


@dataclass(frozen=True, slots=True)
class Child:
    """A started process and what it prints."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Start all, wait, stop all. Returns 0 when it was stopped by request, else 1."""
    options = _options(arguments)
    for number in _SIGNALS:
        signal.signal(number, _stop)
    try:
        with _only_one() as state:
            try:
                _run(options, state)
            finally:
                for number in _SIGNALS:
                    signal.signal(number, signal.SIG_IGN)  # stopping takes seconds and must not be left half done
                left = end()
    except Stop:
        print("\nstopped" + (f"; cannot be ended: {left}" if left else ""), flush=True)
        return 1 if left else 0
    except CannotRun as error:
        print(f"rstar: {error}", file=sys.stderr)
    return 1


def living() -> list[int]:
    """The process ids of everything that carries the mark."""
    return [process.pid for part in PARTS for process in _marked(part)]


def end() -> list[int]:
    """End everything that carries the mark, the worker and its runs first; returns the ids of what cannot be ended."""
    return [process.pid for part in PARTS for process in _end(part)]


def wait_for_end(processes: Sequence[psutil.Process], timeout_s: float) -> None:
    """Wait until none of them lives, or the time is over."""
    deadline = time.monotonic() + timeout_s
    while any(_alive(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(0.1)


def supervisor() -> int | None:
    """The process id of the living `make up` of this folder."""
    try:
        with place.STATE.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        pid = place.state().get("pid")
        return pid if isinstance(pid, int) else None
    return None


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m flows.up", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--port", type=int, help=f"of server and UI; {PORT} or the next free one if absent")
    parser.add_argument("--limit", type=int, default=8, help="runs at once; an evolution is one, its round another")
    parser.add_argument("--slots", type=int, default=1, help="stages with models at once (the limit `gpu`)")
    parser.add_argument("--scale", action="store_true", help="PostgreSQL and Redis, API and services apart")
    options = parser.parse_args(arguments)
    if options.limit < 2 or options.slots < 1:
        parser.error("--limit must be at least 2 (an evolution waits for the run of its round), --slots at least 1")
    return options


def _run(options: argparse.Namespace, state: IO[str]) -> NoReturn:
    if left := end():
        raise CannotRun(f"processes of an earlier `make up` cannot be ended: {left}")
    port = _free(options.port)
    api = f"http://{HOST}:{port}/api"
    # Prefect reads its settings when it is imported, so they are set first: for this process and for its children.
    os.environ.update(_settings(api))
    os.environ.pop("PREFECT_PROFILE", None)
    print(f"server on port {port} ...", flush=True)
    parts = _start_stores() if options.scale else []
    web = ("server", "start", "--host", HOST, "--port", str(port), "--analytics-off")
    server = _start("server", "server", *_prefect(*web, *(["--no-services"] if options.scale else [])))
    parts.append(server)
    if options.scale:
        parts.append(_start("services", "server", *_prefect("server", "services", "start")))

    from flows import deploy  # takes seconds: well spent while the server starts

    _wait(lambda: _answers(api), *parts, server)
    print("pool, limit and deployments ...", flush=True)
    deploy.deploy(options.limit, options.slots)
    for name in deploy.tidy():
        print(f"  run {name} was cut off when its process ended; start it again to go on", flush=True)
    print("worker ...", flush=True)
    since = datetime.now(UTC)
    work = ("worker", "start", "--pool", deploy.POOL, "--type", "process", "--limit", str(options.limit))
    parts.append(_start("worker", "worker", *_prefect(*work)))
    _wait(lambda: deploy.polls(since), *parts)
    _write(state, api)
    print(READY.format(url=f"http://{HOST}:{port}", home=place.HOME), flush=True)
    while True:
        _check(*parts)
        time.sleep(0.5)


def _start_stores() -> list[Child]:
    """Start PostgreSQL and Redis, point Prefect's settings at them and bring the database's tables up to date."""
    print("PostgreSQL and Redis ...", flush=True)
    try:
        stores = scale.find()
        stores.initialise()
    except scale.Missing as error:
        raise CannotRun(str(error)) from error
    postgres = _start("postgres", "stores", *stores.postgres(), user=stores.user)
    _wait(stores.ready, postgres)
    redis = _start("redis", "stores", stores.redis, "-", said=stores.redis_config())
    _wait(lambda: place.listens(HOST, stores.ports[1]), postgres, redis)
    os.environ.update(stores.settings())
    upgrade = _start("upgrade", "server", *_prefect("server", "database", "upgrade", "-y"))
    _wait(lambda: upgrade.process.poll() is not None, postgres, redis)
    if upgrade.process.returncode:
        _check(upgrade)
    return [postgres, redis]


def _settings(api: str) -> dict[str, str]:
    return {
        "PREFECT_HOME": str(place.HOME.resolve()),
        "PREFECT_API_URL": api,
        "PREFECT_SERVER_UI_API_URL": "/api",  # the default names port 4200, whatever the port is
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_PLUGINS_ENABLED": "false",  # a flow's process imports Prefect in an event loop, where hooks cannot run
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PYTHONUNBUFFERED": "1",
    }


@contextmanager
def _only_one() -> Iterator[IO[str]]:
    """Hold the lock of the state file, which the kernel frees with this process; empty the file in the end."""
    place.HOME.mkdir(parents=True, exist_ok=True)
    with place.STATE.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            there = place.state()
            raise CannotRun(f"it is up already: process {there.get('pid')}, {there.get('api')}") from None
        _write(file, None)
        try:
            yield file
        finally:
            file.truncate(0)


def _write(file: IO[str], api: str | None) -> None:
    file.truncate(0)
    file.write(json.dumps({"pid": os.getpid(), "api": api}))
    file.flush()


def _free(wanted: int | None) -> int:
    ports = range(PORT, PORT + 20) if wanted is None else [wanted]
    for port in ports:
        if not place.listens(HOST, port):
            return port
    raise CannotRun(f"port {ports[0]} is taken by another program; choose one with `python -m flows.up --port N`")


def _prefect(*words: str) -> tuple[str, ...]:
    return sys.executable, "-m", "prefect", *words


def _start(name: str, part: str, *command: str, user: str | None = None, said: bytes = b"") -> Child:
    """Start a process of a part, with `said` on its standard input."""
    log = place.HOME / f"{name}.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env=os.environ | {MARK: _mark(part)},
            cwd=None if user is None else "/",
            user=user,
            group=user,
            start_new_session=True,  # Ctrl-C reaches the supervisor alone, which then stops the others in order
        )
    assert process.stdin is not None
    process.stdin.write(said)
    process.stdin.close()
    return Child(name, process, log)


def _wait(ready: Callable[[], bool], *children: Child) -> None:
    """Wait for the last of `children` to be ready, as long as all of them live."""
    deadline = time.monotonic() + READY_S
    while not ready():
        _check(*children)
        if time.monotonic() > deadline:
            raise CannotRun(f"the {children[-1].name} was not ready within {READY_S} s; see {children[-1].log}")
        time.sleep(0.3)


def _check(*children: Child) -> None:
    for child in children:
        if (status := child.process.poll()) is not None:
            tail = child.log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:]
            how = f"was killed by signal {-status}" if status < 0 else f"ended with exit status {status}"
            raise CannotRun("\n  ".join([f"the {child.name} {how}; the end of {child.log}:", *tail]))


def _answers(api: str) -> bool:
    try:
        with urllib.request.urlopen(f"{api}/health", timeout=5):
            return True
    except OSError:
        return False


def _end(part: str) -> list[psutil.Process]:
    deadline = time.monotonic() + STOP_S
    while found := _marked(part):
        patient = time.monotonic() < deadline
        asked = found if not patient else _on_top(found)
        for process in asked:
            with suppress(psutil.NoSuchProcess):
                process.terminate() if patient else process.kill()
        wait_for_end(asked, max(1.0, (deadline - time.monotonic()) / 2))
        if time.monotonic() > deadline + STOP_S:
            break
    return found


def _on_top(found: list[psutil.Process]) -> list[psutil.Process]:
    """Those whose parents are not among them. They end their own children in order; who is left is on top next time."""
    ids = {process.pid for process in found}
    return [process for process in found if _parent(process) not in ids]


def _parent(process: psutil.Process) -> int | None:
    with suppress(psutil.NoSuchProcess):
        return int(process.ppid())
    return None


def _marked(part: str) -> list[psutil.Process]:
    """Living processes with the mark of a part, whoever their parents are."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == _mark(part) and _alive(process):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def _alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        # A zombie has ended; whether somebody takes note of it is its parent's affair.
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def _mark(part: str) -> str:
    return f"{part} of {place.HOME.resolve()}"


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise Stop


if __name__ == "__main__":
    sys.exit(main())
