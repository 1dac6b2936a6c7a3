"""The corpora of hostile and accidental steps, in four set-ups: as we are, as a user who may do nothing, without
Landlock, and without seccomp. After each the world is as it was and the pool still answers.

`hostile.jsonl` is ours; a second corpus is tried too where it lies beside the repository. The columns of a row:
  id, category  names
  steps         snippets, one on top of the other; the last is judged, the others must be fine
  expected      the statuses that may end it ("timeout", "cpu" and "output" are short for timeout_wall, timeout_cpu and
                output_limit)
  layers        the layers that it takes: with any of them gone nothing is promised, and the row is not tried. Where
                either of two layers is enough neither is named
  machine       the `uname -m` that its numbers are for; any, when there is none
`{C}` is the canary folder, `{P}` the port that hears everything.
"""

import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rstar.core.execution import Status
from rstar.sandbox.lockdown import LEVELS

ROOT = Path(__file__).resolve().parents[2]
OWN = Path(__file__).with_name("hostile.jsonl")
OTHER = ROOT.parent / "shared" / "data" / "hostile_dev.jsonl"
SHORT = {"timeout": Status.TIMEOUT_WALL, "cpu": Status.TIMEOUT_CPU, "output": Status.OUTPUT_LIMIT}

OTHER_LAYERS = {
    "seccomp": {
        "fork_once", "kill_all", "kill_parent", "killpg", "memfd", "nice_affinity", "numpy_shared_touch", "os_popen",
        "os_system_touch", "ptrace_parent", "raise_rlimit", "sigpause", "tcp_listen", "udp_send", "unix_abstract",
    },
}  # fmt: skip
"""`layers` for the rows of the other corpus, which has no such column."""

STRANGER = 54321
"""A user id that nobody has."""

PRELOAD = ("math", "numpy", "sympy")
SEALED_PRELOAD = (
    *PRELOAD, "ast", "asyncio", "argparse", "atexit", "concurrent.futures.process", "concurrent.futures.thread",
    "copy", "csv", "ctypes", "datetime", "decimal", "encodings.idna", "faulthandler", "getpass", "gzip", "http.client",
    "http.server", "inspect", "json", "logging", "mmap", "mpmath", "multiprocessing.pool", "multiprocessing.popen_fork",
    "multiprocessing.shared_memory", "multiprocessing.synchronize", "pathlib", "pdb", "pickle", "queue", "random",
    "resource", "select", "shutil", "signal", "smtplib", "socket", "sqlite3", "subprocess", "tempfile", "threading",
    "unittest", "urllib.request", "zipfile", "zlib",
)  # fmt: skip
"""Without Landlock no file can be opened after the start, so what steps import must be there."""

SETUPS: dict[str, dict[str, Any]] = {
    "as we are": {"isolation": "seccomp"},
    "as a stranger": {"isolation": "strict"},
    "without landlock": {"isolation": "seccomp", "without": ["landlock"], "preload": SEALED_PRELOAD},
    "without seccomp": {"isolation": "rlimits", "without": ["seccomp"]},
}


def corpus(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def rows_for(without: list[str]) -> list[dict[str, Any]]:
    """The rows of both corpora that something is promised for."""
    rows = corpus(OWN)
    for row in corpus(OTHER) if OTHER.exists() else ():
        layers = [layer for layer, ids in OTHER_LAYERS.items() if row["id"] in ids]
        rows.append({**row, "id": f"other: {row['id']}", "layers": layers})
    machine = platform.machine()
    return [row for row in rows if not set(row["layers"]) & set(without) and row.get("machine", machine) == machine]


def expected(row: dict[str, Any]) -> set[Status]:
    return {SHORT.get(word) or Status(word) for word in row["expected"]}


@pytest.mark.skipif(not OTHER.exists(), reason=f"no second corpus at {OTHER}")
def test_the_second_corpus_is_tried() -> None:
    rows = corpus(OTHER)
    assert set().union(*OTHER_LAYERS.values()) <= {row["id"] for row in rows}
    assert all(expected(row) for row in rows)


def test_rows_are_well_formed() -> None:
    rows = corpus(OWN)
    assert len(rows) >= 100
    assert [name for name, count in Counter(row["id"] for row in rows).items() if count > 1] == []
    for row in rows:
        assert set(row) - {"machine"} == {"id", "category", "steps", "expected", "layers"}, row["id"]
        assert row["steps"], row["id"]
        assert expected(row), row["id"]
        assert Status.INFRA not in expected(row), row["id"]
        assert set(row["layers"]) <= set(LEVELS["strict"]), row["id"]


@pytest.mark.parametrize("name", SETUPS)
def test_hostile_steps(name: str) -> None:
    setup = {"without": [], "preload": PRELOAD, "alone": os.getuid() == 0} | SETUPS[name]
    rows = rows_for(setup["without"])
    with stranger() if name == "as a stranger" else as_we_are() as words:
        done = subprocess.run(
            [*words, sys.executable, "-m", "tests.sandbox.arena"],
            input=json.dumps({"setup": setup, "rows": rows}), capture_output=True, text=True, cwd=ROOT, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    told = report.pop("rows")
    assert [answer["id"] for answer in told] == [row["id"] for row in rows]
    wrong = [
        f"{row['id']}: {answer['status']}, not {' or '.join(sorted(expected(row)))}: {answer['error']}"
        for row, answer in zip(rows, told, strict=True)
        if answer["status"] not in expected(row)
    ]
    assert wrong == []
    assert [answer["id"] for answer in told if answer["leaked"]] == []
    assert [answer["id"] for answer in told if not answer["parent intact"]] == []
    assert report["answers"] == ["(y - 1)*(y + 1)", "42", "285"]
    for clean in ("canary changed", "heard", "left", "processes left"):
        assert report[clean] == [], clean
    assert (report["processes beyond the tree"], report["restarts"]) == (0, 0)
    assert not set(setup["without"]) & set(report["layers"])
    if name == "as a stranger":
        assert (report["uid"], report["capabilities"]) == (STRANGER, 0)
    print(f"{name}: {len(rows)} rows, {report['cpu_s']} CPU seconds, {report['seconds']} s")


@contextmanager
def as_we_are() -> Iterator[list[str]]:
    yield []


@contextmanager
def stranger() -> Iterator[list[str]]:
    """The words before a command that run it as a user who owns nothing and has no capability.

    Where the repository or the runtime lie in folders that are closed to others (root's home), these are covered in a
    mount namespace of the command's own, and what is needed is put back under its path.
    """
    if os.getuid() != 0:
        pytest.skip("we are an ordinary user already: the set-up 'as we are' is this one")
    missing = [tool for tool in ("unshare", "setpriv", "mount") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"no {missing[0]} here")
    needed = list(dict.fromkeys(os.path.realpath(path) for path in (ROOT, sys.prefix, sys.base_prefix)))
    closed = sorted({cover for path in needed if (cover := _closed(path))})
    with tempfile.TemporaryDirectory() as folder:
        script = []
        held = [path for path in needed if _closed(path)]
        for number, path in enumerate(held):
            Path(folder, str(number)).mkdir()
            script.append(f"mount --bind {shlex.quote(path)} {shlex.quote(f'{folder}/{number}')}")
        script += [f"mount -t tmpfs -o mode=755 tmpfs {shlex.quote(cover)}" for cover in closed]
        for number, path in enumerate(held):
            script.append(f"mkdir -p {shlex.quote(path)}")
            script.append(f"mount --bind {shlex.quote(f'{folder}/{number}')} {shlex.quote(path)}")
        user = f"--reuid {STRANGER} --regid {STRANGER} --clear-groups --inh-caps=-all --bounding-set=-all"
        script.append(f'exec setpriv {user} "$@"')
        words = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", "\n".join(script), "sh"]
        probe = [*words, sys.executable, "-c", "import tests.sandbox.arena"]
        tried = subprocess.run(probe, cwd=ROOT, capture_output=True, text=True, check=False)
        if tried.returncode:
            pytest.skip(f"no other user can be had here: {tried.stderr.strip().splitlines()[-1:]}")
        yield words


def _closed(path: str) -> str | None:
    """The outermost folder on the way to `path` that others may not enter."""
    for folder in reversed(Path(path).parents):
        if not folder.stat().st_mode & 0o001:
            return str(folder)
    return None
