"""A folder that looks like a fresh checkout: the project's files by links, nothing run yet, nobody's settings."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


class Checkout:
    """Commands run in it see no Prefect setting but those of its pyproject.toml."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir()
        for name in ("pyproject.toml", "configs", "flows", "rstar"):
            (folder / name).symlink_to(ROOT / name)
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        self.env |= {"HOME": str(folder), "PATH": f"{BIN}:{self.env['PATH']}"}
        self.log = folder / "up.log"

    def run(self, *command: str, timeout_s: float = 240) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        return subprocess.run(
            command, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=timeout_s, check=False
        )

    def python(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return self.run(sys.executable, *arguments)

    def up(self, *options: str) -> "subprocess.Popen[bytes]":
        """Start the supervisor and wait until it says that all is ready."""
        with self.log.open("wb") as sink:
            started = subprocess.Popen(
                [sys.executable, "-m", "flows.up", *options],
                cwd=self.folder,
                env=self.env,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        until(lambda: "Prefect is up" in self.said() or started.poll() is not None, 240)
        assert started.poll() is None, self.said()
        return started

    def said(self) -> str:
        return self.log.read_text()

    def logs(self) -> str:
        """What supervisor, server and worker have printed: what to read when something did not come."""
        found = [self.log, *sorted((self.folder / ".rstar" / "prefect").glob("*.log"))]
        return "\n".join(f"--- {path.name}\n{path.read_text(errors='replace')[-3000:]}" for path in found)

    def start(self, *arguments: str) -> str:
        """`prefect deployment run ARGUMENTS`; returns the run's id."""
        done = self.run("prefect", "deployment", "run", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        found = re.search(r"UUID: (\S+)", done.stdout)
        assert found is not None, done.stdout
        return found.group(1)

    def trigger(self, port: int, deployment: str, config: list[str]) -> str:
        """What `start` does, without the seconds that Prefect's command line takes."""
        known = ask(port, f"deployments/name/{deployment}")
        made = ask(port, f"deployments/{known['id']}/create_flow_run", {"parameters": {"config": config}})
        return str(made["id"])

    def processes(self, words: str = "") -> list[psutil.Process]:
        """Living processes that work in this folder or say so in their environment or command line."""
        found = []
        for process in psutil.process_iter():
            try:
                command = " ".join(process.cmdline())
                clues = [process.cwd(), command, *process.environ().values()]
                alive = process.status() != psutil.STATUS_ZOMBIE
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            if alive and words in command and any(str(self.folder) in clue for clue in clues):
                found.append(process)
        return found

    def kill(self, words: str, there: bool = True) -> int:
        """kill -9 of the processes with these words in their command line; returns how many. With `there` there must be
        one."""
        found = self.processes(words)
        assert found or not there, f"no process with {words!r}"
        for process in found:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        psutil.wait_procs(found, timeout=10)
        return len(found)

    def kill_all(self) -> None:
        """Whatever a failed test has left."""
        while found := self.processes():
            for process in found:
                process.kill()
            psutil.wait_procs(found, timeout=10)


def ask(port: int, path: str, body: dict[str, Any] | None = None) -> Any:
    """Prefect's answer: a GET, or with a body a POST; a busy server is asked again, as Prefect's own client does."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/{path}", data=data, headers={"content-type": "application/json"}
    )
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code != 503 or time.monotonic() > deadline:
                raise
        time.sleep(1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(true: Callable[[], bool], timeout_s: float, logs: Callable[[], str] = str) -> None:
    """Wait until it is true. The time only guards against waiting for ever: Prefect's client alone retries a busy
    server for a minute."""
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, f"not within {timeout_s} s\n{logs()}"
        time.sleep(0.02)
