"""Stands between rstar and a server, and ends the server with all that it started when rstar ends, however that ends.

`python keeper.py GRACE_S COMMAND...` runs the command in a process group of its own. A byte on standard input asks it
to stop (SIGTERM, then SIGKILL after GRACE_S seconds); the end of standard input, which is what is left when the parent
was killed, kills it at once. What a server leaves behind when it dies alone is killed too, and no server outlives
a keeper that was killed itself. Standard library only.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress

PR_SET_PDEATHSIG = 1


def main(grace_s: float, command: list[str]) -> int:
    prctl = ctypes.CDLL(None).prctl
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        ended = os.pidfd_open(child.pid)
        ready, _, _ = select.select([sys.stdin, ended], [], [])
        if ended not in ready and os.read(sys.stdin.fileno(), 1):
            child.terminate()
            select.select([sys.stdin, ended], [], [], grace_s)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    return child.wait()


if __name__ == "__main__":
    code = main(float(sys.argv[1]), sys.argv[2:])
    sys.exit(128 - code if code < 0 else code)  # as a shell says it: 137 when it was killed
