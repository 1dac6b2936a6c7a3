"""The layers around the code of strangers, applied once in the zygote and inherited by every node, so free per step.

Order matters: address space and files first, then the uid, then no_new_privs, Landlock, seccomp. Nothing here degrades
silently: `lock` reports what holds and `missing` names what was asked for and does not.
"""

import ctypes
import os
import resource
import sys
from typing import Any

from rstar.sandbox import landlock, seccomp

NOBODY = 65534
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_SET_NAME, PR_SET_NO_NEW_PRIVS = 1, 4, 8, 15, 38
PR_SET_THP_DISABLE = 41
CAP_DAC_READ_SEARCH = 2
CAPABILITY_VERSION = 0x20080522

LEVELS: dict[str, tuple[str, ...]] = {
    "unsafe": (),
    "rlimits": ("rlimits",),
    "seccomp": ("rlimits", "no_new_privs", "seccomp"),
    "strict": ("rlimits", "no_new_privs", "seccomp", "landlock", "uid"),
}
"""What each isolation level insists on. All but `unsafe` also apply every further layer that the machine has."""

REMEDY = {
    "rlimits": "needs Linux",
    "no_new_privs": "needs Linux 3.5 or newer",
    "seccomp": "needs Linux on x86_64 or aarch64 with CONFIG_SECCOMP_FILTER (Docker's default profile allows it)",
    "landlock": "needs Linux 5.13 or newer with `landlock` in lsm=, and a container profile that allows its calls",
    "uid": "as root, needs CAP_SETUID and CAP_SETGID; or start rstar as an ordinary user",
}

Layers = dict[str, tuple[bool, str]]


def libc() -> ctypes.CDLL:
    """The C library, errno kept, the GIL held during calls (so that a clone returns into a running interpreter)."""
    return ctypes.PyDLL(None, use_errno=True)


def readable_paths(runtime: list[str]) -> list[str]:
    """What a node may read: the Python runtime, shared libraries, and two devices."""
    system = ["/usr/lib", "/usr/lib64", "/lib", "/lib64", "/etc/ld.so.cache", "/usr/share/zoneinfo"]
    return [*runtime, *system, "/dev/null", "/dev/urandom"]


def lock(config: dict[str, Any], cookie: int, c: ctypes.CDLL) -> Layers:
    """Apply every layer that the machine has (none when unsafe); say which ones hold.

    `config["without"]` names layers to do without, as on a machine that has none; for tests."""
    layers: Layers = {}
    wanted = config["isolation"]
    skip = set(config["without"])
    if wanted == "unsafe":
        return dict.fromkeys(REMEDY, (False, "switched off: isolation is unsafe"))
    _limit(config["limits"])
    _go_first()
    layers["rlimits"] = (True, "address space, file size, open files, core dumps; CPU per step")
    has_landlock = "landlock" not in skip and landlock.abi(c) > 0
    if "uid" not in skip:
        layers["uid"] = _drop_uid(config["runtime"], has_landlock, c)
    else:
        layers["uid"] = (False, "left out on request")
    c.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)  # a crash writes no core, not even to a collector that has no limit
    held = c.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    layers["no_new_privs"] = (held, "no set-uid program can give rights back")
    if has_landlock:
        version = landlock.restrict(readable_paths(config["runtime"]), c)
        layers["landlock"] = (True, f"ABI {version}: reads the Python runtime only")
    else:
        layers["landlock"] = (False, "not in this kernel; sealed instead: no file can be opened at all")
    machine = os.uname().machine
    if "seccomp" in skip:
        layers["seccomp"] = (False, "left out on request")
    elif machine in seccomp.ARCHITECTURES:
        sealed = not has_landlock
        try:
            seccomp.install(seccomp.program(machine, cookie, sealed), c)
            layers["seccomp"] = (True, "allow-list" + (", sealed" if sealed else ""))
        except OSError as failure:
            layers["seccomp"] = (False, failure.strerror or str(failure))
    else:
        layers["seccomp"] = (False, f"no filter for {machine}")
    return layers


def missing(isolation: str, layers: Layers) -> str | None:
    """One sentence naming the first layer that `isolation` insists on and that does not hold; None when all do."""
    for name in LEVELS[isolation]:
        active, detail = layers[name]
        if not active:
            return f"sandbox.isolation is {isolation!r} but the layer {name} is not active ({detail}): {REMEDY[name]}"
    return None


def _limit(limits: dict[str, Any]) -> None:
    with open("/proc/self/statm", encoding="ascii") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    soft = size + limits["mem_bytes"]
    for name, value in (
        (resource.RLIMIT_AS, (soft, soft + (64 << 20))),  # the reserve is the node's own: see `node.Node`
        (resource.RLIMIT_CORE, (0, 0)),
        (resource.RLIMIT_FSIZE, (0, 0)),
        (resource.RLIMIT_NOFILE, (256, 260)),
        (resource.RLIMIT_STACK, (8 << 20, 8 << 20)),
    ):
        _, ceiling = resource.getrlimit(name)
        if ceiling != resource.RLIM_INFINITY:
            value = (min(value[0], ceiling), min(value[1], ceiling))
        resource.setrlimit(name, value)


def _go_first() -> None:
    """When the machine runs out of memory, the kernel is to end a step and not the training beside it."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("1000")
    except OSError:  # /proc cannot be written here
        return


def _drop_uid(runtime: list[str], has_landlock: bool, c: ctypes.CDLL) -> tuple[bool, str]:
    """Become nobody when we are root. Where nobody cannot reach the Python runtime (a home folder with mode 0700) keep
    the one right to read everything, if Landlock narrows it to the runtime; otherwise later imports fail and say so."""
    if os.getuid() != 0:
        return True, f"already an ordinary user, uid {os.getuid()}"
    reachable = _reachable(runtime)
    keep_reading = has_landlock and not reachable
    if keep_reading:
        c.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
    try:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    except PermissionError as failure:
        _set_capabilities(0, c)
        return False, f"still uid 0, without capabilities ({failure.strerror})"
    kept = keep_reading and _set_capabilities(1 << CAP_DAC_READ_SEARCH, c)
    if kept:
        return True, f"uid {NOBODY}; {sys.base_prefix} is private to root: reading past modes is kept, under Landlock"
    if not reachable:
        return True, f"uid {NOBODY}; {sys.base_prefix} is private to root: only preloaded modules can be imported"
    return True, f"uid {NOBODY}"


def _reachable(runtime: list[str]) -> bool:
    """May anyone enter these folders? Judged by their modes."""
    for path in runtime:
        at = os.path.realpath(path)
        while at != "/":
            if not os.stat(at).st_mode & 0o001:
                return False
            at = os.path.dirname(at)
    return True


def _set_capabilities(bits: int, c: ctypes.CDLL) -> bool:
    head = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    data = (ctypes.c_uint32 * 6)(bits, bits, 0, 0, 0, 0)  # effective, permitted, inheritable; low word, high word
    return bool(c.capset(head, data) == 0)
