"""Hostile steps, layer by layer."""

import ctypes
import ctypes.util
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rstar.core.execution import Status
from rstar.errors import SandboxUnavailable
from rstar.sandbox import Limits, SandboxConfig, seccomp
from tests.sandbox.conftest import Box, alive, children, opened

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT.parent / "shared" / "data" / "hostile_dev.jsonl"
SHORT = {"timeout": Status.TIMEOUT_WALL, "cpu": Status.TIMEOUT_CPU, "output": Status.OUTPUT_LIMIT}
LIMITS = Limits(cpu_s=0.5, wall_s=1.0)


class World:
    """What hostile steps reach for: a folder with a secret, and a port that hears everything."""

    def __init__(self, folder: Path):
        self.folder = folder
        (folder / "w" / "tree").mkdir(parents=True)
        (folder / "secret.txt").write_text("the canary sings")
        (folder / "w" / "keep.txt").write_text("keep")
        (folder / "w" / "tree" / "leaf.txt").write_text("leaf")
        for path in (folder, *folder.rglob("*")):  # nothing but the sandbox protects it
            path.chmod(0o777)
        self.before = self.listing()
        self.heard: list[bytes] = []
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.port = self.tcp.getsockname()[1]
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()
        threading.Thread(target=self._receive, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                return
            self.heard.append(b"tcp")
            connection.close()

    def _receive(self) -> None:
        while True:
            try:
                self.heard.append(self.udp.recv(100))
            except OSError:
                return

    def listing(self) -> dict[str, str]:
        files = {str(path): path.read_text() for path in self.folder.rglob("*") if path.is_file()}
        return files | dict.fromkeys(os.listdir("/dev/shm"), "")

    def close(self) -> None:
        self.tcp.close()
        self.udp.close()

    def fill(self, code: str) -> str:
        return code.replace("{C}", str(self.folder)).replace("{P}", str(self.port))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("canary")
    for parent in (folder.parent, folder.parent.parent):
        parent.chmod(0o755)
    made = World(folder)
    yield made
    made.close()


@pytest.fixture(scope="module")
def arena() -> Iterator[Box]:
    config = SandboxConfig(preload=("math", "numpy", "sympy"), limits=LIMITS, concurrency=4)
    with opened(config) as box:
        yield box


def corpus() -> list[dict[str, Any]]:
    if not CORPUS.exists():
        return []
    return [json.loads(line) for line in CORPUS.read_text().splitlines()]


def expected(row: dict[str, Any]) -> set[Status]:
    return {SHORT.get(word) or Status(word) for word in row["expected"]}


@pytest.mark.skipif(not CORPUS.exists(), reason=f"no corpus of hostile steps at {CORPUS}")
def test_hostile_corpus(arena: Box, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every snippet on a node of its own, all at once; then the world, the tree and the processes are as before."""
    rows = corpus()
    parents = [arena.state(f"marker = {row['id']!r}", "value = 42") for row in rows]
    bystander = arena.state("import sympy\ny = sympy.Symbol('y')")
    nodes = children(arena.broker())

    async def attack() -> list[Any]:
        import asyncio

        jobs = [
            arena.sandbox.run(at, world.fill(row["steps"][0]), keep="never")
            for at, row in zip(parents, rows, strict=True)
        ]
        return await asyncio.gather(*jobs)

    results = arena.runner.run(attack())
    wrong = [
        (row["id"], result.status, result.error)
        for row, result in zip(rows, results, strict=True)
        if result.status not in expected(row)
    ]
    assert wrong == []
    for result in results:
        assert "canary sings" not in result.stdout
        assert "root:" not in result.stdout
    for at, row in zip(parents, rows, strict=True):
        assert arena.run("(marker, value)", at, keep="never").value == f"({row['id']!r}, 42)"
    assert arena.run("sympy.factor(y**2 - 1)", bystander).value == "(y - 1)*(y + 1)"
    assert world.listing() == world.before
    assert world.heard == []
    assert {pid for pid in children(arena.broker()) if alive(pid)} >= nodes
    assert arena.sandbox.stats().restarts == 0


MORE = [
    ("read the canary", "print(open('{C}/secret.txt').read())", {Status.DENIED}),
    ("read by numpy", "import numpy\nprint(numpy.fromfile('{C}/secret.txt', dtype='u1'))", {Status.DENIED}),
    ("unlink", "import os\nos.remove('{C}/w/keep.txt')", {Status.DENIED}),
    ("mkdir", "import os\nos.mkdir('{C}/w/new')", {Status.DENIED}),
    ("symlink", "import os\nos.symlink('/etc', '{C}/w/link')", {Status.DENIED}),
    ("chmod", "import os\nos.chmod('{C}/w/keep.txt', 0)", {Status.DENIED}),
    ("truncate", "import os\nos.truncate('{C}/w/keep.txt', 0)", {Status.DENIED}),
    ("open for writing by flags", "import os\nos.open('{C}/w/keep.txt', os.O_RDWR)", {Status.DENIED}),
    ("tcp", "import socket\nsocket.create_connection(('127.0.0.1', {P}))", {Status.DENIED}),
    ("socketpair", "import socket\nsocket.socketpair()", {Status.DENIED}),
    ("vfork", "import subprocess\nsubprocess.Popen(['sh'])", {Status.DENIED}),
    ("multiprocessing", "import multiprocessing\nmultiprocessing.Pool(2)", {Status.DENIED, Status.EXCEPTION}),
    ("raw fork", "import ctypes\nassert ctypes.CDLL(None).syscall(57) == -1", {Status.OK}),
    ("raw clone", "import ctypes\nassert ctypes.CDLL(None).syscall(56, 0x01008011, 0, 0, 0, 0, 1) == -1", {Status.OK}),
    ("raw clone3", "import ctypes\nassert ctypes.CDLL(None).syscall(435, 0, 0) == -1", {Status.OK}),
    ("io_uring", "import ctypes\nassert ctypes.CDLL(None).syscall(425, 8, 0) == -1", {Status.OK}),
    ("bpf", "import ctypes\nassert ctypes.CDLL(None).syscall(321, 0, 0, 0) == -1", {Status.OK}),
    ("setuid", "import os\nos.setuid(0)", {Status.DENIED}),
    ("unshare", "import ctypes\nassert ctypes.CDLL(None).unshare(0x10000000) == -1", {Status.OK}),
    ("alarm", "import signal\nsignal.setitimer(signal.ITIMER_REAL, 0.01)", {Status.DENIED}),
    ("stop itself", "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", {Status.DENIED}),
    (
        "ignore signals",
        "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile 1: pass",
        {Status.TIMEOUT_CPU},
    ),
    ("no death signal", "import ctypes\nassert ctypes.CDLL(None).prctl(1, 0, 0, 0, 0) == -1", {Status.OK}),
    ("no core dumps back", "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (1, 1))", {Status.DENIED}),
    ("descriptors", "import os\nfds = [os.dup(0) for _ in range(9999)]", {Status.EXCEPTION}),
    (
        "shared memory",
        "from multiprocessing import shared_memory as s\ns.SharedMemory(create=True, size=9)",
        {Status.DENIED},
    ),
    ("finaliser", "class A:\n    def __del__(self):\n        while 1: pass\na = A()\ndel a", {Status.TIMEOUT_CPU}),
    ("patched repr", "import builtins\nbuiltins.repr = lambda x: 1/0\n'x'", {Status.OK}),
    ("deleted modules", "import sys\nsys.modules.clear()\n1", {Status.OK}),
    ("no stdout", "import sys\nsys.stdout = None\nprint(1)", {Status.OK}),
    ("deep C recursion", "x = []\nfor _ in range(200000): x = [x]\nrepr(x)", {Status.RECURSION}),
    ("regular expression", "import re\nre.match(r'(a+)+$', 'a' * 40 + 'b')", {Status.TIMEOUT_CPU}),
]


@pytest.mark.parametrize(("code", "statuses"), [row[1:] for row in MORE], ids=[row[0] for row in MORE])
def test_more_hostility(arena: Box, world: World, code: str, statuses: set[Status]) -> None:
    if "syscall(" in code and platform.machine() != "x86_64":
        pytest.skip("the numbers are those of x86_64")
    result = arena.run(world.fill(code), keep="never")
    assert result.status in statuses, result
    assert world.listing() == world.before
    assert world.heard == []
    assert arena.run("6 * 7").value == "42"


def test_nothing_hostile_survives_in_a_sibling_or_the_parent(arena: Box) -> None:
    at = arena.state("import builtins, sys, warnings, math\nimport mpmath, sympy, numpy")
    for poison in (
        "builtins.len = lambda value: 0",
        "sympy.Integer.__add__ = None",
        "mpmath.mp.dps = 3",
        "sys.setrecursionlimit(60)",
        "warnings.simplefilter('error')",
        "numpy.seterr(all='raise')",
        "globals().clear()",
        "math.sqrt = None\nsys.modules.clear()",
    ):
        arena.run(poison, at)
    probe = "len('abc'), sympy.Integer(2) + 1, mpmath.mp.dps, sys.getrecursionlimit(), math.sqrt(4)"
    assert arena.run(probe, at).value == "(3, 3, 15, 1000, 2.0)"


def test_kept_nodes_stay_confined(bare: Box) -> None:
    at = bare.state("import os", "a = 1", "b = 2")
    for code in ("os.fork()", "open('/etc/passwd')", "os.kill(os.getppid(), 9)"):
        assert bare.run(code, at).status is Status.DENIED


def test_without_landlock_every_open_is_refused() -> None:
    with opened(SandboxConfig(preload=("math", "fractions"), limits=LIMITS), without=("landlock",)) as box:
        assert not box.sandbox.layers["landlock"][0]
        assert box.run("open('/etc/passwd')").status is Status.DENIED
        assert box.run("import os\nos.listdir('/')").status is Status.DENIED
        assert box.run("import math, fractions\nmath.gcd(4, 6)").value == "2"


def test_without_seccomp_what_landlock_and_uid_promise_holds(world: World) -> None:
    config = SandboxConfig(preload=(), isolation="rlimits", limits=LIMITS)
    with opened(config, without=("seccomp",)) as box:
        assert not box.sandbox.layers["seccomp"][0]
        if not box.sandbox.layers["landlock"][0]:
            pytest.skip("no Landlock in this kernel")
        for code in ("open('{C}/secret.txt')", "open('{C}/w/keep.txt', 'w')", "import os\nos.remove('{C}/w/keep.txt')"):
            assert box.run(world.fill(code)).status is Status.DENIED
        assert world.listing() == world.before


@pytest.mark.parametrize("layer", ["landlock", "seccomp", "uid"])
def test_strict_refuses_to_start_short_of_a_layer(layer: str) -> None:
    if layer == "uid" and os.getuid() != 0:
        pytest.skip("only root has a uid to drop")
    config = SandboxConfig(preload=(), isolation="strict")
    with pytest.raises(SandboxUnavailable, match=layer), opened(config, without=(layer,)):
        pass


def test_seccomp_refuses_to_start_without_seccomp() -> None:
    with pytest.raises(SandboxUnavailable, match="seccomp"), opened(without=("seccomp",)):
        pass


def test_a_module_that_cannot_be_imported_is_named() -> None:
    with pytest.raises(SandboxUnavailable, match="no_such_module"), opened(SandboxConfig(preload=("no_such_module",))):
        pass


def test_unsafe_runs_anything_and_says_so() -> None:
    with opened(SandboxConfig(preload=(), isolation="unsafe", limits=LIMITS)) as box:
        assert not any(active for active, _ in box.sandbox.layers.values())
        assert box.run("open('/etc/passwd').readline() != ''").value == "True"
        assert box.run("while True: pass").status is Status.TIMEOUT_CPU
        assert box.sandbox.config.recipe()["isolation"] == "unsafe"


def test_recipe_holds_what_changes_results_and_nothing_else() -> None:
    base = SandboxConfig()
    for runtime in ({"workers": 3}, {"concurrency": 9}, {"live_states": 5}, {"keep": "never"}):
        assert base.model_copy(update=runtime).fingerprint() == base.fingerprint()
    for recipe in ({"preload": ()}, {"isolation": "strict"}, {"limits": Limits(cpu_s=1)}):
        assert base.model_copy(update=recipe).fingerprint() != base.fingerprint()


def test_call_numbers_agree_with_libseccomp() -> None:
    name = ctypes.util.find_library("seccomp")
    if name is None:
        pytest.skip("no libseccomp to compare with")
    resolve = ctypes.CDLL(name).seccomp_syscall_resolve_name_arch
    resolve.argtypes = [ctypes.c_uint32, ctypes.c_char_p]
    rows = seccomp.PLAIN | {
        "openat": seccomp.OPENAT,
        "open": seccomp.OPEN,
        "ioctl": seccomp.IOCTL,
        "fcntl": seccomp.FCNTL,
        "prctl": seccomp.PRCTL,
        "prlimit64": seccomp.PRLIMIT,
        "clone": seccomp.CLONE,
        "clone3": seccomp.CLONE3,
    }
    for column, architecture in enumerate(seccomp.ARCHITECTURES.values()):
        for call, numbers in rows.items():
            number = resolve(architecture, call.encode())
            assert numbers[column] == (number if number >= 0 else None), (call, hex(architecture))


@pytest.mark.skipif(os.getuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv")
def test_works_for_an_ordinary_user(tmp_path: Path) -> None:
    """Where Python lies in root's home, one capability lets that user reach it; the sandbox itself needs none."""
    script = tmp_path / "client.py"
    script.write_text(
        "import asyncio, sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from rstar.sandbox import Sandbox, SandboxConfig\n"
        "async def main():\n"
        "    async with Sandbox(SandboxConfig(preload=(), isolation='strict')) as sandbox:\n"
        "        codes = ['import os\\nos.getuid()', \"open('/etc/passwd')\", 'import os\\nos.fork()']\n"
        "        results = await sandbox.run_many('root', codes)\n"
        "        print([(str(result.status), result.value) for result in results])\n"
        "asyncio.run(main())\n"
    )
    script.chmod(0o644)
    reach = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
    user = ["setpriv", "--reuid", "1234", "--regid", "1234", "--clear-groups", *reach]
    done = subprocess.run([*user, sys.executable, str(script)], capture_output=True, text=True, cwd="/", check=False)
    assert done.stdout.strip() == "[('ok', '1234'), ('denied', None), ('denied', None)]", done.stderr
