"""Which isolation layers this machine gives, found by starting bare sandboxes and looking from inside a node."""

import asyncio
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from rstar.core.execution import ROOT_STATE
from rstar.errors import SandboxUnavailable
from rstar.sandbox.client import Sandbox
from rstar.sandbox.config import SandboxConfig
from rstar.sandbox.interpreter import interpreter
from rstar.sandbox.link import live_states
from rstar.sandbox.lockdown import LEVELS, REMEDY
from rstar.sandbox.room import memory_limit, process_limit


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: whether it is in force, and a detail or the way to get it."""

    name: str
    active: bool
    detail: str

    def row(self) -> dict[str, object]:
        """As plain JSON values."""
        return asdict(self)


def examine(python: Path | None = None) -> list[Finding]:
    """The machine, the steps' interpreter, the execution tree, each layer, then each level of `sandbox.isolation` that
    layers add up to.

    Not for a running event loop. Takes about a second."""
    return asyncio.run(_examine(python))


def level(isolation: str) -> str:
    """The name under which `examine` reports an isolation level."""
    return f"isolation {isolation}"


async def _examine(python: Path | None) -> list[Finding]:
    gigabytes, cores = memory_limit() / 1e9, len(os.sched_getaffinity(0))
    findings = [Finding("machine", True, f"{cores} cores, {gigabytes:.1f} GB, {process_limit()} processes for us")]
    bare = SandboxConfig(preload=(), isolation="rlimits", workers=1, python=python)
    try:
        findings.append(_interpreter(bare))
        async with Sandbox(bare) as sandbox:
            result = await sandbox.run(ROOT_STATE, "6 * 7")
            detail = f"about {live_states(preloaded=1)} states fit as processes" if result.ok else str(result.error)
            findings.append(Finding("execution tree", result.value == "42", detail))
            for name in REMEDY:
                active, detail = sandbox.layers[name]
                findings.append(Finding(name, active, detail if active else f"{detail}; {REMEDY[name]}"))
    except SandboxUnavailable as failure:
        return [*findings, Finding("execution tree", False, str(failure))]
    reached = [name for name in LEVELS if name != "unsafe"]
    return findings + [await _reached(bare, name) for name in reached]


def _interpreter(config: SandboxConfig) -> Finding:
    found = interpreter(config)
    number = found.version.split()[0]
    slow = tuple(map(int, number.split(".")[:2])) < (3, 12)
    hint = (
        "; with sandbox.python of 3.12 or newer a step costs less" if slow else "; forks share all that was preloaded"
    )
    return Finding("python", True, f"{number} at {found.executable}{hint}")


async def _reached(bare: SandboxConfig, isolation: str) -> Finding:
    try:
        config = SandboxConfig.model_validate(bare.model_dump() | {"isolation": isolation})
        async with Sandbox(config):
            return Finding(level(isolation), True, "its self-test passed in a node")
    except SandboxUnavailable as failure:
        return Finding(level(isolation), False, str(failure))
