"""How much memory and how many processes there are to use, on this machine and in the control groups around us."""

import os

Bound = tuple[int, int]
"""A limit in bytes, and how much of it is still free."""

FEW = 10
"""Memory is short when less than one part in so many of a limit is free."""


def memory_limit() -> int:
    """The tightest memory limit, in bytes: the machine's own, or a container's."""
    return min((limit for limit, _ in memory()), default=1 << 33)


def short_of_memory() -> bool:
    """Is any limit nearly reached?"""
    return any(free * FEW < limit for limit, free in memory())


def memory() -> list[Bound]:
    """Every memory bound that applies to this process; what the kernel can drop at once counts as free."""
    rows = _table("/proc/meminfo", ":")
    total, available = _kilobytes(rows, "MemTotal"), _kilobytes(rows, "MemAvailable")
    bounds = [(total, available)] if total else []
    for folder in _groups("memory"):
        for limit_name, used_name in (
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            limit, used = _number(f"{folder}/{limit_name}"), _number(f"{folder}/{used_name}")
            if limit is not None and used is not None and (not total or limit < total):
                cache = _table(f"{folder}/memory.stat", " ").get("inactive_file", "0")
                bounds.append((limit, limit - max(0, used - int(cache))))
    return bounds


def process_limit() -> int:
    """The tightest limit on the number of processes that the kernel shows."""
    bounds = [32768, _number("/proc/sys/kernel/pid_max")]
    bounds += [_number(f"{folder}/pids.max") for folder in _groups("pids")]
    return min(bound for bound in bounds if bound is not None)


def _groups(controller: str) -> list[str]:
    """The folders of the control groups that this process is in, innermost first; of version 2, and of version 1."""
    folders = []
    for line in _lines("/proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        roots = [f"/sys/fs/cgroup/{controller}"] if controllers else ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        for root in roots:
            at = path
            while True:
                folders.append(root + at.rstrip("/"))
                if at in ("/", ""):
                    break
                at = os.path.dirname(at)
    return [folder for folder in dict.fromkeys(folders) if os.path.isdir(folder)]


def _number(path: str) -> int | None:
    """The number in a file; None where there is no such file, or it says `max`."""
    text = "".join(_lines(path))
    return int(text) if text.isdigit() else None


def _table(path: str, separator: str) -> dict[str, str]:
    rows = (line.partition(separator) for line in _lines(path))
    return {name: value.strip() for name, _, value in rows}


def _kilobytes(rows: dict[str, str], name: str) -> int:
    return int(rows[name].split()[0]) << 10 if name in rows else 0


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().splitlines()
    except OSError:
        return []
