"""The first node: imports and warms the mathematics, locks itself down, and is forked from ever after."""

import ctypes
import gc
import os
import resource
import sys
from collections.abc import Callable
from struct import Struct
from typing import Any

from rstar.sandbox import lockdown, seccomp
from rstar.sandbox.immortal import immortalise
from rstar.sandbox.node import Node, still_ours
from rstar.sandbox.pages import ease_forks
from rstar.sandbox.wire import NODE_FD

PR_GET_TID_ADDRESS = 40
SIGKILL = 9
READY = Struct("<B")


def become_zygote(channel: int, config: dict[str, Any], broker: int) -> None:
    """Turn this freshly forked child of the broker into the root of the execution tree. Never returns.

    Sends one message first: byte 1 and the layers as text, or byte 0 and why it failed.
    """
    try:
        node = _prepare(channel, config, broker)
    except Exception as failure:  # whatever a preloaded package raises must reach the client as words
        os.write(NODE_FD, READY.pack(0) + f"{type(failure).__name__}: {failure}".encode()[:4000])
        os._exit(1)
    node.serve()


def _prepare(channel: int, config: dict[str, Any], broker: int) -> Node:
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.dup2(channel, NODE_FD)
    os.closerange(NODE_FD + 1, 65536)
    c = lockdown.libc()
    c.prctl(lockdown.PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
    c.prctl(lockdown.PR_SET_NAME, b"rstar-node", 0, 0, 0)
    sys.path[:] = config["runtime"]
    os.register_at_fork = _no_fork_hooks  # type: ignore[assignment]
    sys.modules["posix"].register_at_fork = _no_fork_hooks  # type: ignore[attr-defined]
    if config["preload"]:
        from rstar.sandbox.warm import warm_up

        warm_up(config["preload"])
    import random

    random.seed(0)
    cookie = int.from_bytes(os.urandom(8), "little")
    fork = _forker(c, cookie)

    def in_child() -> None:
        c.prctl(lockdown.PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
        if not still_ours(broker):
            os._exit(0)

    for name in [name for name in sys.modules if name.partition(".")[0] == "rstar"]:
        del sys.modules[name]
    sys.argv[:] = [""]
    node = Node(fork, in_child, _limiter(c, cookie), config["limits"])
    gc.collect()
    immortalise()
    gc.collect()
    ease_forks(c)
    layers = lockdown.lock(config, cookie, c)
    node.memory, node.files = resource.getrlimit(resource.RLIMIT_AS), resource.getrlimit(resource.RLIMIT_NOFILE)
    c.prctl(lockdown.PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)  # a change of uid clears it
    gc.freeze()
    text = "\n".join(f"{name}\t{int(active)}\t{detail}" for name, (active, detail) in layers.items())
    os.write(NODE_FD, READY.pack(1) + text.encode())
    return node


def _no_fork_hooks(**hooks: Callable[[], None]) -> None:
    """Replaces `os.register_at_fork`: `random` and others would reseed in every node, and a path of steps must see one
    unbroken state. Nothing but the tree itself can fork here."""


def _forker(c: ctypes.CDLL, cookie: int) -> Callable[[], int]:
    """A fork whose child belongs to the broker (CLONE_PARENT), as the filter allows it. The filter forbids threads."""
    machine = os.uname().machine
    if machine not in seccomp.ARCHITECTURES:
        raise OSError(f"the execution tree has no fork for {machine}; it knows {', '.join(seccomp.ARCHITECTURES)}")
    call = c.syscall
    number = ctypes.c_long(seccomp.number(seccomp.CLONE, machine))
    tid = _tid_address(c)
    order = (0, tid, 0) if machine == "x86_64" else (0, 0, tid)
    arguments = [number, ctypes.c_long(seccomp.CLONE_FLAGS), ctypes.c_long(0), *map(ctypes.c_void_p, order)]
    last = ctypes.c_uint64(cookie)
    before = ctypes.pythonapi.PyOS_BeforeFork
    after_child = ctypes.pythonapi.PyOS_AfterFork_Child
    after_parent = ctypes.pythonapi.PyOS_AfterFork_Parent
    for function in (before, after_child, after_parent):
        function.restype = None
    get_errno = ctypes.get_errno

    def fork() -> int:
        before()
        pid: int = call(*arguments, last)
        if pid == 0:
            after_child()
            return 0
        after_parent()
        return pid if pid > 0 else -get_errno()

    return fork


def _limiter(c: ctypes.CDLL, cookie: int) -> Callable[[int, int, int], None]:
    """Sets a limit of this process (resource, soft, hard), as the filter allows it to the node and not to a step."""
    number = ctypes.c_long(seccomp.number(seccomp.PRLIMIT, os.uname().machine))
    bounds = (ctypes.c_uint64 * 2)()
    rest = ctypes.byref(bounds), ctypes.c_void_p(0), ctypes.c_long(0), ctypes.c_uint64(cookie)
    call = c.syscall
    this = ctypes.c_long(0)

    def limit(which: int, soft: int, hard: int) -> None:
        bounds[:] = [soft, hard]
        call(number, this, which, *rest)

    return limit


def _tid_address(c: ctypes.CDLL) -> int:
    """Where the C library keeps its own thread id, for the kernel to correct in a child; a spare word if hidden."""
    found = ctypes.c_void_p(0)
    if c.prctl(PR_GET_TID_ADDRESS, ctypes.byref(found), 0, 0, 0) == 0 and found.value:
        return found.value
    global _spare_tid
    _spare_tid = ctypes.c_int(0)
    return ctypes.addressof(_spare_tid)


_spare_tid = ctypes.c_int(0)
