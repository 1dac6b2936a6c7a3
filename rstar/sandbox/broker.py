"""The broker: a small trusted process between the client and the execution tree. It never runs a step itself.

It owns the zygote and every node (they are its direct children), decides which state runs what, enforces the clock, and
reports exact verdicts. It ends when the client's end of the pipe closes, and every node ends with it.
"""

import os
import select
import sys
from _socket import socket
from collections import deque
from resource import RLIMIT_NOFILE, getrlimit, setrlimit
from typing import Any, NoReturn

from rstar.sandbox import lockdown
from rstar.sandbox.process import ROOT, Job, channel_pair
from rstar.sandbox.tree import Tree
from rstar.sandbox.wire import CODE, STATUSES, pack, unpack
from rstar.sandbox.zygote import READY, become_zygote

START_S = 120.0
"""Seconds the zygote may take to import and warm its modules."""

SELF_TEST = """
import os, _socket
def refused(call, *arguments):
    try:
        call(*arguments)
    except PermissionError:
        return True
    except OSError:
        return False
    return False
def fork():
    if os.fork() == 0:
        os._exit(0)
print(*[name for name, held in {
    "fork": refused(fork),
    "execve": refused(os.execv, "/nonexistent", ["x"]),
    "signals": refused(os.kill, os.getpid(), 0),
    "sockets": refused(_socket.socket),
    "writing files": refused(os.open, "/dev/null", os.O_WRONLY),
    "reading files": refused(os.open, "/etc/passwd", os.O_RDONLY),
    "not being root": os.getuid() != 0,
}.items() if not held], sep=", ")
"""

PROVES = {
    "seccomp": ("fork", "execve", "signals", "sockets", "writing files"),
    "strict": ("fork", "execve", "signals", "sockets", "writing files", "reading files", "not being root"),
}


class Broker:
    """One client, one zygote, one loop. Messages: see `rstar.sandbox.client`."""

    def __init__(self, client: socket, config: dict[str, Any]):
        self.client = client
        self.config = config
        self.inbox = bytearray()
        self.poll = select.epoll()
        self.tree = Tree(config, self.poll)
        self.open: dict[int, _Request] = {}

    def start(self) -> None:
        """Fork the zygote, wait until it is locked, test the locks from inside a node, and tell the client."""
        ours, theirs = channel_pair()
        broker = os.getpid()
        pid = os.fork()
        if pid == 0:
            become_zygote(theirs.fileno(), self.config, broker)
        theirs.close()
        ours.settimeout(START_S)
        said = ours.recv(1 << 16)
        if said[:1] != READY.pack(1):
            reason = said[1:].decode("utf-8", "replace") or "the zygote died while it imported its modules"
            self._send(("failed", reason))
            sys.exit(1)
        ours.settimeout(None)
        layers = {}
        for row in said[1:].decode().splitlines():
            name, active, detail = row.split("\t")
            layers[name] = (active == "1", detail)
        self.tree.plant(pid, ours)
        isolation = self.config["isolation"]
        problem = lockdown.missing(isolation, layers) or self._self_test(isolation)
        if problem:
            self._send(("failed", problem))
            sys.exit(1)
        self._send(("ready", layers, os.getpid()))

    def _self_test(self, isolation: str) -> str | None:
        must_hold = PROVES.get(isolation)
        if must_hold is None:
            return None
        job = Job(-1, 0, "self-test", SELF_TEST, False)
        self.tree.submit(job, ROOT)
        while not self.tree.finished:
            self._turn()
        done, result = self.tree.finished.popleft()
        if done is not job or result[0] != CODE["ok"]:
            return f"the isolation's self-test ended as {STATUSES[result[0]]}: {result[3]}"
        open_doors = [name for name in result[1].strip().split(", ") if name in must_hold]
        return f"the isolation's self-test found unprotected: {', '.join(open_doors)}" if open_doors else None

    def serve(self) -> None:
        """Work until the client is gone."""
        self.poll.register(self.client.fileno(), select.EPOLLIN)
        while True:
            self._turn()
            while self.tree.finished:
                job, result = self.tree.finished.popleft()
                self._finish(job, result)

    def _turn(self) -> None:
        fd_client = self.client.fileno()
        for fd, _ in self.poll.poll(self.tree.patience()):
            if fd == fd_client:
                self._read_client()
            else:
                self.tree.hear(fd)
        self.tree.tick()

    def _read_client(self) -> None:
        try:
            data = self.client.recv(1 << 18)
        except ConnectionResetError:  # it ended with replies unread
            self._gone()
        if not data:
            self._gone()
        self.inbox += data
        for message in unpack(self.inbox):
            kind = message[0]
            if kind == "run":
                self._run(*message[1:])
            elif kind == "drop":
                self.tree.drop(message[1])

    def _run(
        self,
        request: int,
        parent: str,
        steps: list[tuple[str, str]],
        keep: bool,
        group: str,
        chain: list[Any] | None,
    ) -> None:
        lives = parent in self.tree.live
        if not lives and chain is None:
            self._send(("lost", request))
            return
        self.open[request] = _Request(len(steps))
        for index, (state, code) in enumerate(steps):
            job = Job(request, index, state, code, keep, group)
            if lives:
                self.tree.submit(job, parent)
            else:
                self.tree.submit_after(job, parent, chain or [])

    def _finish(self, job: Job, result: tuple[Any, ...]) -> None:
        request = self.open[job.request]
        request.results[job.index] = result
        request.left -= 1
        if not request.left:
            del self.open[job.request]
            self._send(("done", job.request, request.results, self.tree.counters()))

    def _send(self, message: Any) -> None:
        try:
            self.client.sendall(pack(message))
        except OSError:
            self._gone()

    def _gone(self) -> NoReturn:
        """The client is: kill every node, and end."""
        self.tree.fell()
        sys.exit(0)


class _Request:
    __slots__ = ("left", "results")

    def __init__(self, size: int):
        self.left = size
        self.results: list[Any] = [None] * size


def main(fd: int) -> None:
    """Serve the client on this inherited descriptor; the first frame is the configuration."""
    _, most = getrlimit(RLIMIT_NOFILE)
    setrlimit(RLIMIT_NOFILE, (most, most))  # one descriptor per live state
    client = socket(fileno=fd)
    inbox = bytearray()
    first: deque[Any] = deque()
    while not first:
        data = client.recv(1 << 16)
        if not data:
            return
        inbox += data
        first.extend(unpack(inbox))
    broker = Broker(client, first.popleft()[1])
    broker.start()
    broker.serve()
