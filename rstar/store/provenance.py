"""Where and with what something was made. Recorded for people; never part of a fingerprint."""

import platform
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("rstar", "torch", "transformers", "trl", "sympy", "math-verify", "prefect", "vllm")


def provenance() -> dict[str, Any]:
    """Time, command line, code version and library versions."""
    return {"started": datetime.now(UTC).isoformat(timespec="seconds"), "argv": sys.argv[1:], **_fixed()}


@cache
def _fixed() -> dict[str, Any]:
    return {
        "git": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain")),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    """What git says about the folder this package lies in; None where there is no git or no checkout."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
