"""The zygote's memory, laid out so that forks are cheap: fewer mappings, and a heap in huge pages."""

import ctypes
import os
from typing import NamedTuple

from rstar.sandbox.lockdown import PR_SET_THP_DISABLE

MADV_COLLAPSE, HUGE = 25, 2 << 20
READ, WRITE, EXECUTE = 1, 2, 4
MAP_PRIVATE, MAP_FIXED = 2, 16

LARGE = 512 << 10
"""Bytes of a library's data that are worth a copy."""

IN_USE = ("python", "libpython", "libc.", "libc-", "ld-", "_ctypes", "libffi")
"""Libraries that write to their data while the data of others are moved."""


class _Mapping(NamedTuple):
    start: int
    end: int
    rights: str
    offset: int
    inode: str
    path: str

    def continued_by(self, other: "_Mapping") -> bool:
        """Is `other` the next part of the same file, right behind this one?"""
        adjacent = self.end == other.start and self.inode == other.inode != "0"
        return adjacent and other.offset - self.offset == other.start - self.start


def ease_forks(c: ctypes.CDLL) -> None:
    """Change how this process's memory is mapped, not what is in it. Where the kernel refuses, forks are slower."""
    _shelve_data(c)
    _join(c, ("r--p", "r-xp"), READ | EXECUTE)
    _join(c, ("r--p", "rw-p"), READ | WRITE)
    _use_huge_pages(c)


def _shelve_data(c: ctypes.CDLL) -> None:
    """Map what the libraries write to privately from a file in memory. A fork then neither copies its page table nor
    links it to every ancestor, until a step writes there, which few do."""
    runs: list[list[_Mapping]] = [[]]
    for mapping in _mappings():
        run = runs[-1]
        if not _is_data(mapping):
            runs.append([])
        elif run and mapping.rights == "rw-p" and run[-1].end == mapping.start and run[-1].inode == mapping.inode:
            run.append(mapping)
        else:
            runs.append([mapping])
    try:
        file = os.memfd_create("libraries")
    except OSError:
        return
    offset = 0
    for run in runs:
        if not run or run[-1].rights != "rw-p":
            continue
        start, size = ctypes.c_void_p(run[0].start), ctypes.c_size_t(run[-1].end - run[0].start)
        at = ctypes.c_long(offset)
        if c.pwrite(file, start, size, at) == size.value:
            c.mmap(start, size, READ | WRITE, MAP_PRIVATE | MAP_FIXED, file, at)
            offset += size.value
    os.close(file)


def _is_data(mapping: _Mapping) -> bool:
    """Does this look like a shared library's data (or the part of them that is read-only once it is linked)?"""
    small = mapping.end - mapping.start <= LARGE
    name = os.path.basename(mapping.path)
    library = mapping.path.startswith("/") and not name.startswith(IN_USE)
    return small and library and mapping.rights in ("r--p", "rw-p")


def _join(c: ctypes.CDLL, rights: tuple[str, ...], become: int) -> None:
    """Give neighbouring parts of one shared library the same rights, which makes them one mapping: a fork copies
    mapping by mapping, and the mathematics brings four hundred. None becomes both writable and executable."""
    run: list[_Mapping] = []
    for mapping in [*_mappings(), None]:
        if run and mapping is not None and mapping.rights in rights and run[-1].continued_by(mapping):
            run.append(mapping)
            continue
        if len({part.rights for part in run}) > 1:
            start, end = run[0].start, run[-1].end
            c.mprotect(ctypes.c_void_p(start), ctypes.c_size_t(end - start), become)
        run = [mapping] if mapping is not None and mapping.rights in rights else []


def _use_huge_pages(c: ctypes.CDLL) -> None:
    """Gather the heap into huge pages (Linux 6.1): a fork then copies one entry of the page table for 2 MB, not 512."""
    for mapping in _mappings():
        if mapping.rights != "rw-p" or mapping.path not in ("", "[heap]"):
            continue
        start, end = -(-mapping.start // HUGE) * HUGE, mapping.end // HUGE * HUGE
        if end > start:
            c.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), MADV_COLLAPSE)
    c.prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)  # no more of them: a copy on write would then copy 2 MB


def _mappings() -> list[_Mapping]:
    found = []
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        for line in file:
            area, rights, offset, _, inode, *path = line.rstrip("\n").split(maxsplit=5)
            start, end = (int(part, 16) for part in area.split("-"))
            found.append(_Mapping(start, end, rights, int(offset, 16), inode, path[0] if path else ""))
    return found
