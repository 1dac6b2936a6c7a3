"""The client's end of one broker: start it, talk to it, notice its death, start another."""

import asyncio
import os
import resource
import socket
import subprocess
from pathlib import Path
from typing import Any

from rstar.errors import SandboxUnavailable
from rstar.sandbox.config import SandboxConfig
from rstar.sandbox.interpreter import interpreter
from rstar.sandbox.room import memory_limit, process_limit
from rstar.sandbox.wire import COUNTERS, pack, unpack

CORES_PER_BROKER = 8
STATES_PER_BROKER = 1024
"""No more live states than this for one broker unless asked for: beyond it forks slow down and neighbours suffer."""

QUEUE = 1024
"""Requests that a broker has at a time; the next ones wait on this side, where they cost it nothing."""

STOP_S = 10.0
"""Seconds a broker has to end its nodes before it is killed (its nodes then die by themselves)."""

BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from rstar.sandbox.broker import main; main(int(sys.argv[2]))"
"""Not `-m`: that would import what every fork then copies. No site, no environment but the one given."""

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
ENVIRONMENT = {"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "TZ": "UTC"} | dict.fromkeys(THREADS, "1")


class BrokerLost(Exception):
    """The broker went away before it answered."""


class _Protocol(asyncio.Protocol):
    def __init__(self, link: "Link"):
        self.link = link
        self.inbox = bytearray()

    def data_received(self, data: bytes) -> None:
        self.inbox += data
        for message in unpack(self.inbox):
            self.link.heard(message)

    def connection_lost(self, exc: Exception | None) -> None:
        self.link.lost()


class Link:
    """One broker. `waiting` counts steps that it owes; `counters` is its last report (see `wire.COUNTERS`)."""

    def __init__(self, config: SandboxConfig, number: int, without: tuple[str, ...]):
        self.config = config
        self.number = number
        self.without = without
        self.python = interpreter(config)
        self.layers: dict[str, tuple[bool, str]] = {}
        self.counters: tuple[float, ...] = (0,) * len(COUNTERS)
        self.restarts = 0
        self.waiting = 0
        self.pid: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._transport: asyncio.Transport | None = None
        self._asked: dict[int, asyncio.Future[list[Any] | None]] = {}
        self._count = 0
        self._starting: asyncio.Lock = asyncio.Lock()
        self._queue = asyncio.Semaphore(QUEUE)
        self._ready: asyncio.Future[None] | None = None
        self._stopped = False

    @staticmethod
    def count(config: SandboxConfig) -> int:
        """How many brokers this configuration means here."""
        return config.workers or max(1, _cores() // CORES_PER_BROKER)

    async def start(self) -> None:
        """Start the broker and wait until its isolation is proved. Raises SandboxUnavailable."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        self._ready = loop.create_future()
        with theirs:
            here = str(Path(__file__).resolve().parents[2])
            command = [self.python.executable, "-S", "-s", "-P", "-B", "-c", BOOT, here, str(theirs.fileno())]
            self._process = subprocess.Popen(
                command, env=_environment(), pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, cwd="/", start_new_session=True,
            )  # fmt: skip
        ours.setblocking(False)
        transport, _ = await loop.create_connection(lambda: _Protocol(self), sock=ours)
        self._transport = transport
        transport.write(pack(("config", self._settings())))
        await self._ready

    async def stop(self) -> None:
        """End the broker and its nodes, and wait for them."""
        self._stopped = True
        if self._transport is not None:
            self._transport.close()
            self._transport = None
        await asyncio.to_thread(self._reap)

    async def ask(
        self,
        parent: str,
        steps: list[tuple[str, str]],
        keep: bool,
        group: str,
        chain: list[tuple[str, str, int]] | None,
    ) -> list[Any] | None:
        """Have steps run: one row each, or None when `parent` is not live there and no `chain` was given.

        Raises BrokerLost when it dies meanwhile (the next call starts another), SandboxUnavailable when none starts.
        """
        self.waiting += len(steps)
        try:
            async with self._queue:
                if self._transport is None:
                    await self._restart()
                self._count += 1
                request = self._count
                future: asyncio.Future[list[Any] | None] = asyncio.get_running_loop().create_future()
                self._asked[request] = future
                self.send(("run", request, parent, steps, keep, group, chain))
                try:
                    return await future
                finally:
                    self._asked.pop(request, None)
        finally:
            self.waiting -= len(steps)

    def send(self, message: Any) -> None:
        """Write one message; to a broker that is gone it is nothing."""
        if self._transport is not None:
            self._transport.write(pack(message))

    def heard(self, message: tuple[Any, ...]) -> None:
        """A frame arrived."""
        kind = message[0]
        if kind == "done":
            _, request, rows, self.counters = message
            self._answer(request, rows)
        elif kind == "lost":
            self._answer(message[1], None)
        elif kind == "ready" and self._ready is not None and not self._ready.done():
            self.layers, self.pid = message[1], message[2]
            self._ready.set_result(None)
        elif kind == "failed" and self._ready is not None and not self._ready.done():
            self._ready.set_exception(SandboxUnavailable(message[1]))

    def lost(self) -> None:
        """The connection closed."""
        self._transport = None
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(SandboxUnavailable("the sandbox's broker died while it started"))
        for future in self._asked.values():
            if not future.done():
                future.set_exception(BrokerLost("the sandbox's broker died"))

    def _answer(self, request: int, rows: list[Any] | None) -> None:
        future = self._asked.get(request)
        if future is not None and not future.done():
            future.set_result(rows)

    async def _restart(self) -> None:
        async with self._starting:
            if self._transport is not None:
                return
            if self._stopped:
                raise SandboxUnavailable("the sandbox is closed")
            await asyncio.to_thread(self._reap)
            self.restarts += 1
            await self.start()

    def _reap(self) -> None:
        if self._process is None:
            return
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _settings(self) -> dict[str, Any]:
        config = self.config
        brokers = self.count(config)
        concurrency = config.concurrency or max(1, _cores() // brokers)
        total = config.live_states or min(live_states(len(config.preload)), STATES_PER_BROKER * brokers)
        return {
            "isolation": config.isolation,
            "without": list(self.without),
            "preload": config.preload,
            "runtime": list(self.python.paths),
            "limits": config.limits.model_dump() | {"wall_s": config.limits.wall},
            "concurrency": concurrency,
            "live_states": max(1, total // brokers),
            "keep": config.keep,
        }


def live_states(preloaded: int) -> int:
    """How many states may be processes: a quarter of the memory, half of the descriptors, half of the pids."""
    megabytes = 5.0 if preloaded else 1.5
    memory = memory_limit() * 0.25
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    bounds = [memory / (megabytes * 1e6), descriptors / 2, process_limit() / 2]
    return max(8, int(min(bounds)))


def _environment() -> dict[str, str]:
    """What the broker and its nodes have in theirs: nothing of ours but what the interpreter may need to load."""
    return ENVIRONMENT | {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}


def _cores() -> int:
    return len(os.sched_getaffinity(0))
