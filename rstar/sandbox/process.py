"""One process of the tree as the broker sees it: its record, its report, the kernel's clocks for it, and its death."""

import os
import time
from _socket import AF_UNIX, SOCK_SEQPACKET, socket, socketpair
from collections import OrderedDict, deque
from itertools import islice
from signal import SIGKILL, SIGXCPU

from rstar.sandbox.wire import BROKEN, CODE, HAS_ERROR, HAS_VALUE, LOST_CHANNEL, RESULT, TRUNCATED

ROOT = "root"
OK, INFRA = CODE["ok"], CODE["infra"]

SAMPLE = 8
"""Eviction looks at this many of the least recently used states."""


NOBODY = -2
"""The request of a job that rebuilds an evicted state."""

Result = tuple[int, str, str | None, str | None, bool, float, float, int]
"""status, stdout, value, error, truncated, CPU seconds, seconds, steps replayed for it."""


class Job:
    """One step to run. `request` and `index` say who asked (nobody, for rebuilding an evicted state), `group` for
    which problem; `state` is what it makes, `source` the live node it starts from, `chain` the prefix (code, digest) to
    replay first in the same process. `expected` is the digest that the step must show when it is a replay itself."""

    __slots__ = (
        "chain",
        "code",
        "expected",
        "group",
        "index",
        "keep",
        "replayed",
        "request",
        "retried",
        "source",
        "state",
    )

    def __init__(self, request: int, index: int, state: str, code: str, keep: bool, group: str = ""):
        self.request = request
        self.group = group
        self.index = index
        self.state = state
        self.code = code
        self.keep = keep
        self.source: Node | None = None
        self.chain: list[tuple[str, int]] = []
        self.expected: int | None = None
        self.replayed = 0
        self.retried = False


class Node:
    """One process. `job` is set while it runs, `state` while others may start from it; `births` are the forks it was
    asked for and has not confirmed, `wanted` the steps that wait to be forked from it, `cost` the CPU seconds of its
    path; `parent` is set until its birth is confirmed."""

    __slots__ = (
        "births",
        "check_at",
        "cost",
        "cpu_from",
        "doomed",
        "job",
        "nonce",
        "parent",
        "pid",
        "sock",
        "started",
        "stash",
        "state",
        "step",
        "waited_from",
        "wanted",
    )

    def __init__(self, pid: int, sock: socket, parent: "Node | None"):
        self.pid = pid
        self.sock = sock
        self.parent = parent
        self.births: deque[Node] = deque()
        self.job: Job | None = None
        self.state: str | None = None
        self.step = 0
        self.nonce = b""
        self.started = self.check_at = self.cpu_from = self.waited_from = self.cost = 0.0
        self.stash: list[bytes] = []
        self.wanted = 0
        self.doomed = False


def channel_pair() -> tuple[socket, socket]:
    """A broker's end and a node's end; one write is one message."""
    ours, theirs = socketpair(AF_UNIX, SOCK_SEQPACKET)
    return ours, theirs


def cheapest(live: OrderedDict[str, Node]) -> Node | None:
    """Of the least recently used states that are idle and not wanted, the one that costs least to rebuild."""
    idle = (node for state, node in live.items() if state != ROOT and not node.births and not node.wanted)
    return min(islice(idle, SAMPLE), key=lambda node: node.cost, default=None)


def parse(message: bytes, nonce: bytes) -> tuple[int, str, str | None, str | None, bool, float] | None:
    """The node's report; None when it is not one."""
    if len(message) < RESULT.size:
        return None
    kind, echoed, status, flags, line, cpu, n_out, n_value, n_error = RESULT.unpack_from(message)
    if kind != b"R" or echoed != nonce or status >= INFRA or len(message) != RESULT.size + n_out + n_value + n_error:
        return None
    if not 0.0 <= cpu < 1e6:
        return None
    at = RESULT.size
    stdout = message[at : at + n_out].decode("utf-8", "replace")
    at += n_out
    value = message[at : at + n_value].decode("utf-8", "replace") if flags & HAS_VALUE else None
    at += n_value
    error = message[at:].decode("utf-8", "replace") if flags & HAS_ERROR else None
    if error is not None and line > 0:
        error = f"{error} (line {line})"
    return status, stdout, value, error, bool(flags & TRUNCATED), cpu


HIDING = (CODE["crashed"], "the step closed the sandbox's own channel")
FORGED = (CODE["tampered"], "the step wrote to the sandbox's own channel")


def wait(pid: int, patient: bool) -> tuple[int, float, bool]:
    """Wait for a child whose channel has closed: wait status, CPU seconds, and whether it had to be killed.

    A dying process closes its files a moment before it can be waited for. `patient` gives it that moment, to tell it
    from one that closed its channel and runs on; where that does not matter it is killed, which changes nothing for a
    process that is exiting already.
    """
    if not pid:
        return 0, 0.0, False
    try:
        for _ in range(50 if patient else 0):
            found, status, usage = os.wait4(pid, os.WNOHANG)
            if found:
                return status, usage.ru_utime + usage.ru_stime, False
            time.sleep(0.001)
        kill(pid)
        _, status, usage = os.wait4(pid, 0)
    except ChildProcessError:  # ended as a stray
        return SIGKILL, 0.0, False
    return status, usage.ru_utime + usage.ru_stime, patient


def cause_of_death(status: int, pid: int) -> tuple[int, str]:
    if not pid:
        return INFRA, "the node ended before it was known"
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == SIGXCPU:
            return CODE["timeout_cpu"], "TimeoutError: out of CPU time"
        if number == SIGKILL:
            return INFRA, "the machine killed the step"
        return CODE["crashed"], f"the interpreter died of signal {number}"
    if os.WEXITSTATUS(status) == LOST_CHANNEL:
        return HIDING
    if os.WEXITSTATUS(status) == BROKEN:
        return CODE["crashed"], "the step broke the interpreter it ran in"
    return CODE["exit"], f"the process exited with code {os.WEXITSTATUS(status)}"


def cpu_clock(pid: int) -> float:
    """CPU seconds of a process so far, from the kernel's clock for it."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


def waited(pid: int) -> float:
    """Seconds a process was ready to run and had no processor; 0 where the kernel does not tell."""
    try:
        with open(f"/proc/{pid}/schedstat", "rb") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def runnable(pid: int) -> bool:
    """Does the process run, or wait for a processor? The wait that it is in is not yet in `waited`."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b") ")[2][:1] == b"R"
    except OSError:
        return False


def own_children() -> set[int]:
    """The pids of this process's children; empty where the kernel does not list them."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            return {int(pid) for pid in file.read().split()}
    except FileNotFoundError:
        return set()


def is_child(pid: int) -> bool:
    """Is this a child of ours that was not waited for yet? A step that reached into its node can name any process."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def end_strays(known: set[int]) -> set[int]:
    """Kill and wait for every child whose pid is not in `known`; which they were."""
    strays = own_children() - known
    for pid in strays:
        kill(pid)
        os.waitpid(pid, 0)
    return strays


def wait_for_all() -> None:
    """Wait until no child is left."""
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


def kill(pid: int) -> None:
    try:
        os.kill(pid, SIGKILL)
    except ProcessLookupError:
        return
