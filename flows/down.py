"""`make down`: stop what `make up` started in this folder, from any terminal, and make sure that nothing is left."""

import sys
from contextlib import suppress

import psutil

from flows import up

WAIT_S = 90
"""How long the supervisor may take to stop what it started, before that is ended from here."""


def main() -> int:
    """Returns 0 when no process is left."""
    pid = up.supervisor()
    found = pid is not None or bool(up.living())
    if pid is not None:
        print(f"stopping process {pid} and all that it started ...", flush=True)
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            process.terminate()
            up.wait_for_end([process], WAIT_S)
    left = up.end()
    if left or up.supervisor() is not None:
        print(f"rstar: cannot be ended: {left or pid}", file=sys.stderr)
        return 1
    print("all is down" if found else "nothing is up in this folder")
    return 0


if __name__ == "__main__":
    sys.exit(main())
