"""Which isolation layers this machine gives, found by starting a bare sandbox and looking from inside a node."""

import asyncio

from rstar.core.execution import ROOT_STATE
from rstar.errors import SandboxUnavailable
from rstar.sandbox.client import Sandbox
from rstar.sandbox.config import SandboxConfig
from rstar.sandbox.link import live_states

ORDER = ("rlimits", "no_new_privs", "seccomp", "landlock", "uid")
LEVELS = ("rlimits", "seccomp", "strict")


def layers() -> list[tuple[str, bool, str]]:
    """Name, active, detail: the execution tree, each layer, then which levels of `sandbox.isolation` can be had.

    Not for a running event loop. Takes well under a second.
    """
    return asyncio.run(_look())


async def _look() -> list[tuple[str, bool, str]]:
    rows: list[tuple[str, bool, str]] = []
    try:
        async with Sandbox(SandboxConfig(preload=(), isolation="rlimits", workers=1)) as sandbox:
            result = await sandbox.run(ROOT_STATE, "6 * 7")
            cap = live_states(preloaded=1)
            detail = f"about {cap} states fit as processes" if result.ok else str(result.error)
            rows.append(("execution tree", result.value == "42", detail))
            rows += [(name, *sandbox.layers[name]) for name in ORDER]
    except SandboxUnavailable as failure:
        return [("execution tree", False, str(failure))]
    for level in LEVELS:
        rows.append((f"isolation: {level}", *await _reached(level)))
    return rows


async def _reached(level: str) -> tuple[bool, str]:
    try:
        config = SandboxConfig.model_validate({"preload": (), "isolation": level, "workers": 1})
        async with Sandbox(config):
            return True, "its self-test passed in a node"
    except SandboxUnavailable as failure:
        return False, str(failure)
