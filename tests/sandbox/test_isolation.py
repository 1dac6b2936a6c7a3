"""The layers of isolation: what each one holds, what is missing without it, and that nothing degrades in silence."""

import ctypes
import ctypes.util
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from rstar.core.execution import Status
from rstar.errors import SandboxUnavailable
from rstar.sandbox import Limits, SandboxConfig, seccomp
from rstar.sandbox.interpreter import fingerprint
from tests.sandbox.conftest import Box, children, opened

ROOT = Path(__file__).resolve().parents[2]
LIMITS = Limits(cpu_s=0.5, wall_s=1.0)


def test_nothing_hostile_survives_in_a_sibling_or_the_parent(full: Box) -> None:
    at = full.state("import builtins, sys, warnings, math\nimport mpmath, sympy, numpy")
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
        full.run(poison, at)
    probe = "len('abc'), sympy.Integer(2) + 1, mpmath.mp.dps, sys.getrecursionlimit(), math.sqrt(4)"
    assert full.run(probe, at).value == "(3, 3, 15, 1000, 2.0)"


def test_the_kernel_ends_steps_before_anything_else_when_memory_is_out(bare: Box) -> None:
    bare.state("x = 1")
    scores = set()
    for pid in children(bare.broker()):
        with suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            scores.add(Path(f"/proc/{pid}/oom_score_adj").read_text().strip())
    assert scores == {"1000"}
    assert Path(f"/proc/{bare.broker()}/oom_score_adj").read_text() == Path("/proc/self/oom_score_adj").read_text()


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
        assert fingerprint(base.model_copy(update=runtime)) == fingerprint(base)
    for recipe in ({"preload": ()}, {"isolation": "strict"}, {"limits": Limits(cpu_s=1)}):
        assert fingerprint(base.model_copy(update=recipe)) != fingerprint(base)


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
