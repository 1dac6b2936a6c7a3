"""Landlock through its three system calls: read the Python runtime, and nothing else in the file system."""

import ctypes
import os
from collections.abc import Iterable

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same on every architecture
READ_FILE, READ_DIR = 1 << 2, 1 << 3
FILE_RIGHTS_BY_ABI = {1: 1 << 13, 2: 1 << 14, 3: 1 << 15, 5: 1 << 16}
"""From this ABI on, the file-system rights below this bit exist."""


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def abi(libc: ctypes.CDLL) -> int:
    """The kernel's Landlock version; 0 when there is none."""
    version: int = libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    return max(version, 0)


def restrict(readable: Iterable[str], libc: ctypes.CDLL) -> int:
    """Confine the calling thread to reading what lies under `readable`; TCP, abstract sockets and signals to others
    are refused too where the kernel can. Returns the ABI used. Raises OSError."""
    version = abi(libc)
    if version < 1:
        raise OSError("this kernel has no Landlock (Linux 5.13 or newer with `landlock` among its `lsm=`)")
    rights = max(limit for since, limit in FILE_RIGHTS_BY_ABI.items() if since <= version) - 1
    attributes = _Ruleset(rights, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = libc.syscall(CREATE_RULESET, ctypes.byref(attributes), ctypes.c_size_t(size), ctypes.c_uint32(0))
    if ruleset < 0:
        raise OSError(ctypes.get_errno(), "Landlock refused to make a rule set")
    try:
        for path in readable:
            _allow(ruleset, path, libc)
        if libc.syscall(RESTRICT_SELF, ruleset, ctypes.c_uint32(0)):
            raise OSError(ctypes.get_errno(), "Landlock refused to confine the process")
    finally:
        os.close(ruleset)
    return version


def _allow(ruleset: int, path: str, libc: ctypes.CDLL) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        rights = READ_FILE | READ_DIR if os.path.isdir(path) else READ_FILE
        rule = _PathBeneath(rights, opened)
        if libc.syscall(ADD_RULE, ruleset, 1, ctypes.byref(rule), ctypes.c_uint32(0)):
            raise OSError(ctypes.get_errno(), f"Landlock refused the path {path}")
    finally:
        os.close(opened)
