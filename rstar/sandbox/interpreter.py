"""Which Python runs the steps: this one, or another of the machine with packages of its own."""

import hashlib
import json
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from rstar.errors import SandboxUnavailable
from rstar.sandbox.warm import SCRIPTS

if TYPE_CHECKING:  # this file is also read by interpreters that lack our packages
    from rstar.sandbox.config import SandboxConfig

SEMANTICS = 1
"""Raised when a change of the node's code changes what steps print or return."""

OLDEST = (3, 11)

LOOK_S = 60.0
"""Seconds an interpreter may take to say what it is."""


@dataclass(frozen=True)
class Interpreter:
    """A Python that nodes can be made of."""

    executable: str
    version: str
    """Its `sys.version`."""
    paths: tuple[str, ...]
    """Folders of its standard library and installed packages: all that a step may import from, or read."""
    packages: tuple[tuple[str, str], ...]
    """Distribution and version of the modules that were asked for; those of the standard library have none."""


def interpreter(config: "SandboxConfig") -> Interpreter:
    """The Python that the steps run on. Raises SandboxUnavailable when `config.python` is none that will do."""
    if config.python is None:
        return _this(config.preload)
    return _other(config.python.expanduser().absolute(), config.preload)


def fingerprint(config: "SandboxConfig") -> str:
    """sha256 over the recipe, the interpreter, and the preloaded packages' versions and warm-up; part of every state
    id. Raises SandboxUnavailable as `interpreter` does."""
    python = interpreter(config)
    warmth = {module: SCRIPTS[module] for module in config.preload if module in SCRIPTS}
    identity = [SEMANTICS, config.recipe(), python.version, sys.platform, dict(python.packages), warmth]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


@lru_cache
def _this(modules: tuple[str, ...]) -> Interpreter:
    paths = sysconfig.get_paths()
    compiled = sysconfig.get_config_var("DESTSHARED") or f"{paths['stdlib']}/lib-dynload"
    found = (paths["stdlib"], compiled, paths["purelib"], paths["platlib"])
    packages = []
    for module in modules:
        try:
            packages.append((module, version(module)))
        except PackageNotFoundError:  # the standard library, which is the interpreter's version
            continue
    existing = tuple(path for path in dict.fromkeys(found) if Path(path).is_dir())
    return Interpreter(sys.executable, sys.version, existing, tuple(packages))


LOOK = """
import json, sys
sys.path.insert(0, sys.argv[1])
old = sys.version_info[:2] < tuple(json.loads(sys.argv[2]))
if not old:
    from rstar.sandbox.interpreter import _this
    found = _this(tuple(json.loads(sys.argv[3])))
print(json.dumps(None if old else [found.executable, found.version, found.paths, found.packages]))
"""


@lru_cache
def _other(python: Path, modules: tuple[str, ...]) -> Interpreter:
    here = str(Path(__file__).resolve().parents[2])
    command = [str(python), "-I", "-c", LOOK, here, json.dumps(OLDEST), json.dumps(modules)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LOOK_S)
        found = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as failure:
        said = str(getattr(failure, "stderr", "") or failure).strip().splitlines()[-1]
        raise SandboxUnavailable(f"sandbox.python: {python} cannot be used: {said}") from None
    if found is None:
        raise SandboxUnavailable(f"sandbox.python: {python} is older than Python {'.'.join(map(str, OLDEST))}")
    executable, version_, paths, packages = found
    return Interpreter(executable, version_, tuple(paths), tuple((name, its) for name, its in packages))
