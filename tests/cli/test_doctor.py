"""`rstar doctor`: what the machine gives, and refusal where that is less than what was asked for."""

import errno
import json
import os
import struct
import subprocess
import sys

import pytest

from rstar.sandbox import lockdown, seccomp
from rstar.sandbox.landlock import CREATE_RULESET
from tests.cli.calling import rstar

COMMAND = [sys.executable, "-c", "from rstar.cli import main; main()", "doctor"]


def findings(text: str) -> dict[str, bool]:
    return {row["name"]: row["active"] for row in json.loads(text)["findings"]}


def test_every_layer_and_level_is_listed():
    done = rstar("doctor", "--json")
    assert done.returncode == 0, done.stderr
    assert set(findings(done.stdout)) >= {*lockdown.REMEDY, "execution tree", "isolation seccomp", "isolation strict"}
    shown = rstar("doctor")
    assert all(name in shown.stdout for name in lockdown.REMEDY)


def test_an_unknown_level_is_wrong_input():
    done = rstar("doctor", "--isolation", "perfect")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'perfect' is not one of unsafe, rlimits, seccomp, strict" in done.stderr


def without_landlock() -> None:
    """Make this process and its children live on a kernel that has no Landlock: the call does not exist for them."""
    c = lockdown.libc()
    code = [
        (0x20, 0, 0, 0),
        (0x15, 0, 1, CREATE_RULESET),
        (0x06, 0, 0, 0x00050000 | errno.ENOSYS),
        (0x06, 0, 0, 0x7FFF0000),
    ]
    c.prctl(lockdown.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    seccomp.install(b"".join(struct.pack("<HBBI", *row) for row in code), c)


@pytest.mark.skipif(os.uname().machine not in seccomp.ARCHITECTURES, reason="no seccomp filter for this processor")
@pytest.mark.parametrize("words", [["--isolation", "strict"], ["configs/demo.yaml", "sandbox.isolation=strict"]])
def test_strict_is_refused_where_a_layer_is_missing(words):
    done = subprocess.run([*COMMAND, *words, "--json"], preexec_fn=without_landlock, capture_output=True, text=True)
    assert done.returncode == 1
    found = findings(done.stdout)
    assert (found["landlock"], found["isolation strict"], found["isolation seccomp"]) == (False, False, True)
    assert "landlock is not active" in done.stderr
    assert done.stderr.count("\n") == 1
    done = subprocess.run([*COMMAND, "--isolation", "seccomp"], preexec_fn=without_landlock, capture_output=True)
    assert done.returncode == 0
