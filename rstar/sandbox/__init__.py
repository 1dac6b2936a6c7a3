"""Runs the code of strangers: an execution tree of locked-down processes, one per interpreter state.

A step runs in a fork of its parent's process and executes only its own code; the children of a state see that state and
nothing of each other. A broker (small, trusted) owns a zygote (modules imported, warmed, locked down) and all nodes.

Threat model. *Covered*, on Linux with the default isolation `seccomp`: network, new processes and threads, signals to
others, writing or deleting files, reading files outside the Python runtime (Landlock; without it no file can be
opened at all), the environment and memory of the trainer, unbounded memory, processor time, clock time and output,
state that leaks between siblings or problems, processes left behind when the client or the broker dies, accidental or
lazy forging of results. *Not covered*: bugs of the kernel; side channels; existence and size of files (`stat` is
allowed); reading the Python runtime and its installed packages; and code that attacks its own interpreter on purpose:
it can lie about its own step's result and about those below it, so never let code grade itself. For those run the
whole program in a virtual machine or gVisor. The layers are tested from inside a node at every start, and a sandbox
that falls short of `SandboxConfig.isolation` refuses to start. `unsafe` and `rlimits` protect against accidents at
most.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rstar.sandbox.client import Sandbox as Sandbox
    from rstar.sandbox.client import SandboxStats as SandboxStats
    from rstar.sandbox.config import Limits as Limits
    from rstar.sandbox.config import SandboxConfig as SandboxConfig

__all__ = ["Limits", "Sandbox", "SandboxConfig", "SandboxStats"]

_HOME = {"Sandbox": "client", "SandboxStats": "client", "Limits": "config", "SandboxConfig": "config"}


def __getattr__(name: str) -> Any:
    """Import on first use: the broker and its nodes live in this package too and must stay small to fork fast."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
