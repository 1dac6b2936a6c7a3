"""`sandbox.python`: steps on another interpreter than ours, and objects that are not counted."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rstar.core.execution import ROOT_STATE, Status
from rstar.errors import SandboxUnavailable
from rstar.sandbox import SandboxConfig
from rstar.sandbox.interpreter import fingerprint, interpreter
from tests.sandbox.conftest import QUICK, opened

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def newer() -> Path:
    """A Python that knows immortal objects and is not the one that runs the tests."""
    pyenv = sorted(Path.home().glob(".pyenv/versions/3.1[2-9]*/bin/python"), reverse=True)
    named = [Path(path) for path in map(shutil.which, ("python3.14", "python3.13", "python3.12")) if path]
    for path in (ROOT / ".venv-sandbox" / "bin" / "python", *named, *pyenv):
        works = path.exists() and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0
        if works and path.resolve() != Path(sys.executable).resolve():
            return path
    pytest.skip("no second Python of 3.12 or newer here")


def test_steps_run_on_the_interpreter_that_is_named(newer: Path) -> None:
    config = SandboxConfig(preload=(), limits=QUICK, python=newer)
    with opened(config) as box:
        at = box.state("import sys, os\na = [1]")
        assert box.run("sys.version", at).value == repr(interpreter(config).version)
        assert interpreter(config).version != sys.version
        assert box.run("open('/etc/passwd')", at).status is Status.DENIED
        assert box.run("os.fork()", at).status is Status.DENIED
        assert [box.run("a.append(2)\na", at).value for _ in range(2)] == ["[1, 2]", "[1, 2]"]
        assert box.run("import pydantic").status is Status.EXCEPTION, "our packages are not its packages"


def test_what_was_preloaded_is_not_counted(newer: Path) -> None:
    """Holding a library's object a thousand times does not write to it; a step's own objects live and die as ever."""
    look = "import sys\nsys.getrefcount(statistics.mean), sys.getrefcount(statistics.mean.__code__)"
    with opened(SandboxConfig(preload=("statistics",), limits=QUICK, python=newer)) as box:
        at = box.state("import statistics")
        before = box.run(look, at).value
        held = box.state("import statistics", "held = [statistics.mean, statistics.mean.__code__] * 1000")
        assert box.run(look, held).value == before
        gone = "import weakref\nclass Own: pass\nown = Own()\nlink = weakref.ref(own)\ndel own\nlink() is None"
        assert box.run(gone, at).value == "True"
        assert box.run("statistics.mean([1, 2, 3])", held).value == "2"


def test_states_of_two_interpreters_have_different_names(newer: Path) -> None:
    ours = SandboxConfig(preload=())
    assert fingerprint(ours) != fingerprint(SandboxConfig(preload=(), python=newer))
    assert ours.recipe() == SandboxConfig(preload=(), python=newer).recipe(), "where a Python lies is no recipe"


@pytest.mark.parametrize(
    ("made", "said"), [(None, "cannot be used"), ("#!/bin/sh\necho null", "older than Python 3.11")]
)
def test_what_is_no_python_is_named(tmp_path: Path, made: str | None, said: str) -> None:
    path = tmp_path / "python"
    if made:
        path.write_text(made)
        path.chmod(0o755)
    with pytest.raises(SandboxUnavailable, match=f"sandbox.python: .*{said}"), opened(SandboxConfig(python=path)):
        pass


def test_an_interpreter_without_a_preloaded_package_is_refused(newer: Path) -> None:
    config = SandboxConfig(preload=("no_such_module",), python=newer)
    with pytest.raises(SandboxUnavailable, match="no_such_module"), opened(config) as box:
        box.run("1", ROOT_STATE)
