"""The seccomp filter: an allow-list in the kernel's classic BPF; everything else fails with EPERM.

A refused call is a `PermissionError` in the step, not a crash. Two calls are the node's own and carry a random 64-bit
cookie in their unused sixth argument: the one `clone`, with exact flags, and setting a limit; so `os.fork`, threads,
`subprocess` and `resource.setrlimit` are refused. Memory is never shared: what a step writes stays in its own process.
"""

import ctypes
import errno
import os
from struct import Struct

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""`uname -m` to the kernel's AUDIT_ARCH."""

# name: number on x86_64, number on aarch64 (None: the architecture has no such call)
PLAIN: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "stat": (4, None),
    "fstat": (5, 80),
    "lstat": (6, None),
    "poll": (7, None),
    "lseek": (8, 62),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "pread64": (17, 67),
    "readv": (19, 65),
    "writev": (20, 66),
    "access": (21, None),
    "select": (23, None),
    "sched_yield": (24, 124),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "dup": (32, 23),
    "dup2": (33, None),
    "pause": (34, None),
    "nanosleep": (35, 101),
    "getpid": (39, 172),
    "recvmsg": (47, 212),
    "exit": (60, 93),
    "uname": (63, 160),
    "getcwd": (79, 17),
    "readlink": (89, None),
    "umask": (95, 166),
    "gettimeofday": (96, 169),
    "getrlimit": (97, 163),
    "getrusage": (98, 165),
    "sysinfo": (99, 179),
    "times": (100, 153),
    "getuid": (102, 174),
    "getgid": (104, 176),
    "geteuid": (107, 175),
    "getegid": (108, 177),
    "getppid": (110, 173),
    "getpgrp": (111, None),
    "getpgid": (121, 155),
    "sigaltstack": (131, 132),
    "gettid": (186, 178),
    "time": (201, None),
    "futex": (202, 98),
    "sched_getaffinity": (204, 123),
    "getdents64": (217, 61),
    "fadvise64": (221, 223),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "exit_group": (231, 94),
    "newfstatat": (262, 79),
    "readlinkat": (267, 78),
    "faccessat": (269, 48),
    "pselect6": (270, 72),
    "ppoll": (271, 73),
    "set_robust_list": (273, 99),
    "dup3": (292, 24),
    "getrandom": (318, 278),
    "membarrier": (324, 283),
    "statx": (332, 291),
    "rseq": (334, 293),
    "faccessat2": (439, 439),
}
MMAP = (9, 222)
OPENAT = (257, 56)
OPEN = (2, None)
IOCTL = (16, 29)
FCNTL = (72, 25)
PRCTL = (157, 167)
PRLIMIT = (302, 261)
CLONE = (56, 220)
CLONE3 = (435, 435)

WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | (os.O_TMPFILE & ~os.O_DIRECTORY)
IOCTLS = (0x5401, 0x5450, 0x5451)  # TCGETS, FIONCLEX, FIOCLEX: what open() and isatty() ask
FCNTLS = (0, 1, 2, 3, 1030)  # no F_SETOWN: it could send SIGIO to others
PR_SET_PDEATHSIG, SIGKILL = 1, 9
MAP_SHARED, MAP_ANONYMOUS = 1, 0x20
CLONE_FLAGS = 0x8000 | 0x01000000 | 17
"""CLONE_PARENT | CLONE_CHILD_SETTID | SIGCHLD: the child is the broker's, and exits and is waited for like a fork."""

ALLOW = 0x7FFF0000
REFUSE = 0x00050000 | errno.EPERM
ABSENT = 0x00050000 | errno.ENOSYS
KILL = 0x80000000

LOAD, EQUAL, BITS, RETURN = 0x20, 0x15, 0x45, 0x06
INSTRUCTION = Struct("<HBBI")

Program = list[tuple[int, int, int, int]]


def _argument(index: int, high: bool = False) -> tuple[int, int, int, int]:
    return LOAD, 0, 0, 16 + 8 * index + (4 if high else 0)


def _rule(number: int, body: Program) -> Program:
    """For this call number run `body`, which must end in a return on every path."""
    return [(EQUAL, 0, len(body), number), *body]


def _one_of(index: int, values: tuple[int, ...]) -> Program:
    """Allow when the argument's low word is one of `values`."""
    checks = [(EQUAL, len(values) - at, 0, value) for at, value in enumerate(values)]
    return [_argument(index), *checks, (RETURN, 0, 0, REFUSE), (RETURN, 0, 0, ALLOW)]


def _cookie(cookie: int) -> Program:
    """Go on when the sixth argument is the cookie, else refuse."""
    checks: Program = []
    for high, value in ((False, cookie & 0xFFFFFFFF), (True, cookie >> 32)):
        checks += [_argument(5, high), (EQUAL, 1, 0, value), (RETURN, 0, 0, REFUSE)]
    return checks


def number(numbers: tuple[int | None, int | None], machine: str) -> int:
    """A call's number on `machine` (`uname -m`), which must be one of ARCHITECTURES and have that call."""
    found = numbers[list(ARCHITECTURES).index(machine)]
    assert found is not None
    return found


def program(machine: str, cookie: int, sealed: bool) -> bytes:
    """The filter for `machine` (`uname -m`). `sealed` refuses every open, for kernels without Landlock."""
    column = list(ARCHITECTURES).index(machine)
    code: Program = [(LOAD, 0, 0, 4), (EQUAL, 1, 0, ARCHITECTURES[machine]), (RETURN, 0, 0, KILL), (LOAD, 0, 0, 0)]

    def rule(numbers: tuple[int | None, int | None], body: Program) -> None:
        number = numbers[column]
        if number is not None:
            code.extend(_rule(number, body))

    for numbers in PLAIN.values():
        rule(numbers, [(RETURN, 0, 0, ALLOW)])
    refuse, allow = (RETURN, 0, 0, REFUSE), (RETURN, 0, 0, ALLOW)
    for numbers, flags_at in ((OPENAT, 2), (OPEN, 1)):
        rule(numbers, [refuse] if sealed else [_argument(flags_at), (BITS, 0, 1, WRITE_FLAGS), refuse, allow])
    rule(IOCTL, _one_of(1, IOCTLS))
    rule(FCNTL, _one_of(1, FCNTLS))
    limits: Program = [_argument(0), (EQUAL, 1, 0, 0), refuse, _argument(2), (EQUAL, 0, 3, 0), _argument(2, True)]
    rule(PRLIMIT, [*limits, (EQUAL, 0, 1, 0), allow, *_cookie(cookie), allow])
    rule(MMAP, [_argument(3), (BITS, 0, 2, MAP_ANONYMOUS), (BITS, 0, 1, MAP_SHARED), refuse, allow])
    rule(PRCTL, [_argument(0), (EQUAL, 0, 2, PR_SET_PDEATHSIG), _argument(1), (EQUAL, 1, 0, SIGKILL), refuse, allow])
    rule(CLONE, [_argument(0), (EQUAL, 1, 0, CLONE_FLAGS), refuse, *_cookie(cookie), allow])
    rule(CLONE3, [(RETURN, 0, 0, ABSENT)])  # ENOSYS makes glibc fall back to clone, which is then refused
    code.append(refuse)
    return b"".join(INSTRUCTION.pack(*instruction) for instruction in code)


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("program", ctypes.c_char_p))


def install(filter_code: bytes, libc: ctypes.CDLL) -> None:
    """Put the calling thread, and all it ever forks, under the filter. Raises OSError. Needs no_new_privs."""
    loaded = _Filter(len(filter_code) // INSTRUCTION.size, filter_code)
    pr_set_seccomp, seccomp_mode_filter = 22, 2
    if libc.prctl(pr_set_seccomp, seccomp_mode_filter, ctypes.byref(loaded), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp is not available")
