"""An arena for hostile steps: a canary folder, a port that hears everything, a sandbox, and a count of what is left.

`python -m tests.sandbox.arena` reads a set-up and its rows from standard input and prints what came of it, all as JSON;
a process of its own, so that it can be another user's, and so that whatever a step leaves behind becomes its child.
"""

import asyncio
import ctypes
import json
import os
import socket
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rstar.core.execution import ROOT_STATE, StepResult
from rstar.sandbox import Limits, Sandbox, SandboxConfig

SECRET = "the canary sings"
LIMITS = Limits(cpu_s=0.25, wall_s=1.0, mem_bytes=64 << 20)
SHARED_FOLDERS = ("/", "/dev/shm", "/dev/mqueue", "/tmp", "/var/tmp")
PR_SET_CHILD_SUBREAPER = 36


class World:
    """What hostile steps reach for: a folder with a secret, and a port that hears everything."""

    def __init__(self, folder: Path):
        self.folder = folder
        (folder / "w" / "tree").mkdir(parents=True)
        (folder / "secret.txt").write_text(SECRET)
        (folder / "w" / "keep.txt").write_text("keep")
        (folder / "w" / "tree" / "leaf.txt").write_text("leaf")
        for path in (folder, *folder.rglob("*")):  # nothing but the sandbox protects it
            path.chmod(0o777)
        self.before = self.listing()
        self.heard: list[str] = []
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.port = self.tcp.getsockname()[1]
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()
        threading.Thread(target=self._receive, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                return
            self.heard.append("tcp")
            connection.close()

    def _receive(self) -> None:
        while True:
            try:
                self.heard.append(f"udp {self.udp.recv(100)!r}")
            except OSError:
                return

    def listing(self) -> list[str]:
        """Every path of the canary folder: its mode, time of change, and content."""
        rows = []
        for path in sorted(self.folder.rglob("*")):
            its = path.lstat()
            content = path.read_text() if stat.S_ISREG(its.st_mode) else ""
            rows.append(f"{path} {its.st_mode:o} {its.st_mtime_ns} {content!r}")
        return rows

    def close(self) -> None:
        self.tcp.close()
        self.udp.close()

    def fill(self, code: str) -> str:
        return code.replace("{C}", str(self.folder)).replace("{P}", str(self.port))


def leavings(uid: int, alone: bool) -> list[str]:
    """Files, shared memory, queues and sockets that steps could have left outside the canary folder: those of `uid` if
    nobody else has it (`alone`), otherwise those that have "hostile" in their name."""
    found = []
    for folder in map(Path, SHARED_FOLDERS):
        for path in folder.iterdir() if folder.is_dir() else ():
            if "hostile" in path.name or (alone and _owner(path) == uid):
                found.append(str(path))
    found += [line for line in _lines("/proc/net/unix") if "hostile" in line]
    if alone:
        for name in ("shm", "sem", "msg"):
            head, *rows = _lines(f"/proc/sysvipc/{name}") or [""]
            if "cuid" in head.split():
                at = head.split().index("cuid")
                found += [f"{name} {row}" for row in rows if int(row.split()[at]) == uid]
        for name in ("tcp", "tcp6", "udp", "udp6"):
            found += [f"{name} {row}" for row in _lines(f"/proc/net/{name}")[1:] if int(row.split()[7]) == uid]
    return sorted(found)


async def fight(setup: dict[str, Any], rows: list[dict[str, Any]], world: World) -> dict[str, Any]:
    """Every row in a branch of its own, all at once; then the tree and the world are looked at."""
    config = SandboxConfig(
        isolation=setup["isolation"], preload=tuple(setup["preload"]), limits=LIMITS, concurrency=8, workers=1,
        python=setup.get("python"),
    )  # fmt: skip
    async with Sandbox(config, without=setup["without"]) as sandbox:
        uid = int((await sandbox.run(ROOT_STATE, "import os\nos.getuid()")).value or -1)
        before = leavings(uid, setup["alone"])
        aside = await sandbox.run(ROOT_STATE, "import sympy\ny = sympy.Symbol('y')")
        assert aside.state is not None
        began = time.monotonic()
        told = await asyncio.gather(*(_bout(sandbox, row, world) for row in rows))
        seconds = time.monotonic() - began
        answers = [
            (await sandbox.run(aside.state, "sympy.factor(y**2 - 1)")).value,
            (await sandbox.run(ROOT_STATE, "6 * 7")).value,
            (await sandbox.run(ROOT_STATE, "sum(x * x for x in range(10))")).value,
        ]
        broker = sandbox._links[0].pid
        assert broker is not None
        await _soon(lambda: len(children(broker)) == sandbox.stats().live + 1)
        stats = sandbox.stats()
        return {
            "rows": told,
            "answers": answers,
            "processes beyond the tree": len(children(broker)) - stats.live - 1,
            "restarts": stats.restarts,
            "canary changed": sorted(set(world.before) ^ set(world.listing())),
            "heard": world.heard,
            "left": sorted(set(leavings(uid, setup["alone"])) - set(before)),
            "layers": [name for name, (active, _) in sandbox.layers.items() if active],
            "uid": uid,
            "cpu_s": round(stats.step_cpu_s, 2),
            "seconds": round(seconds, 2),
        }


async def _bout(sandbox: Sandbox, row: dict[str, Any], world: World) -> dict[str, Any]:
    corner = (await sandbox.run(ROOT_STATE, f"marker, value = {row['id']!r}, 42")).state
    assert corner is not None
    at, shown = corner, ""
    *before, last = row["steps"]
    for code in before:
        result = await sandbox.run(at, world.fill(code))
        shown += _shown(result)
        if result.state is None:
            break
        at = result.state
    else:
        result = await sandbox.run(at, world.fill(last), keep="never")
    shown += _shown(result)
    after = await sandbox.run(corner, "marker, value", keep="never")
    return {
        "id": row["id"],
        "status": result.status,
        "error": result.error,
        "leaked": SECRET in shown or "root:" in shown,
        "parent intact": after.value == repr((row["id"], 42)),
        "cpu_s": round(result.cpu_s, 3),
    }


def _shown(result: StepResult) -> str:
    return f"{result.stdout}\n{result.value}\n{result.error}\n"


def children(pid: int) -> set[int]:
    """Direct children of a process, as the kernel lists them."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return {int(part) for part in text.split()}


async def _soon(held: Callable[[], bool]) -> None:
    """Processes take a moment to die."""
    for _ in range(100):
        if held():
            return
        await asyncio.sleep(0.05)


def _owner(path: Path) -> int | None:
    try:
        return path.lstat().st_uid
    except FileNotFoundError:
        return None


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def main() -> None:
    asked = json.load(sys.stdin)
    assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    with tempfile.TemporaryDirectory(prefix="canary-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        world = World(Path(folder) / "canary")
        report = asyncio.run(fight(asked["setup"], asked["rows"], world))
        world.close()
    asyncio.run(_soon(lambda: not children(os.getpid())))
    report["processes left"] = sorted(children(os.getpid()))
    status = dict(line.split(":\t") for line in _lines("/proc/self/status") if ":\t" in line)
    report["capabilities"] = sum(int(status[name], 16) for name in ("CapPrm", "CapEff", "CapAmb", "CapBnd"))
    print(json.dumps(report))


if __name__ == "__main__":
    main()
