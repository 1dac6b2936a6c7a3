"""The bytes that client, broker and nodes exchange; imported by all three, so it needs next to nothing itself."""

import marshal
import zlib
from struct import Struct
from typing import Any

STATUSES = (
    "ok",
    "syntax",
    "exception",
    "timeout_wall",
    "timeout_cpu",
    "memory",
    "recursion",
    "output_limit",
    "exit",
    "stdin",
    "denied",
    "crashed",
    "tampered",
    "nondeterministic",
    "infra",
)
"""The values of `rstar.core.execution.Status`, by wire number (the enum itself would weigh on every fork)."""

CODE = {name: number for number, name in enumerate(STATUSES)}

NODE_FD = 3
"""Every node's only channel, always under this number: a child puts its own over its parent's."""

LOST_CHANNEL = 113
"""Exit code of a node that has no more to say. Seen for a step that has not reported, the step closed the channel."""

BROKEN = 112
"""Exit code of a node whose own code failed, which takes a step that reached into it."""

FORK = b"F"
RUN = b"R"
RUN_HEAD = Struct("<cB8s")
"""Broker to node: kind, keep (1: stay alive when ok), nonce; the code follows as UTF-8."""

FORKED = Struct("<cii")
"""Node to broker after FORK: b"P", the child's pid (-1 when it failed), errno."""

RESULT = Struct("<c8sBBidIII")
"""Node to broker after RUN: b"R", nonce, status, flags, error line (-1: none), CPU seconds, and the lengths of stdout,
value and error; then these texts."""

COUNTERS = ("live", "queued", "forks", "fork_s", "evictions", "replays", "replay_cpu_s", "broker_cpu_s")
"""What a broker tells with every answer, in this order; see `rstar.sandbox.client.SandboxStats`."""

TRUNCATED = 1
HAS_VALUE = 2
HAS_ERROR = 4
MAX_RESULT = 1 << 18

FRAME = Struct("<I")


def pack(message: Any) -> bytes:
    """One frame between client and broker. Marshal: both ends are this very interpreter and trust each other."""
    body = marshal.dumps(message)
    return FRAME.pack(len(body)) + body


def unpack(buffer: bytearray) -> list[Any]:
    """Take every complete frame off the front of `buffer`."""
    messages = []
    at = 0
    while len(buffer) - at >= 4:
        (length,) = FRAME.unpack_from(buffer, at)
        if len(buffer) - at - 4 < length:
            break
        messages.append(marshal.loads(memoryview(buffer)[at + 4 : at + 4 + length]))
        at += 4 + length
    if at:
        del buffer[:at]
    return messages


def digest(status: int, stdout: str, value: str | None) -> int:
    """What a replay must reproduce: everything shown, memory addresses aside."""
    import re  # only the broker and the client need it

    shown = re.sub(r"0x[0-9a-f]{6,}", "0x", f"{status}\n{stdout}\n{value}")
    return zlib.crc32(shown.encode("utf-8", "surrogatepass"))
