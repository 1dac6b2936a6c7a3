"""A sandbox that tests can use without being coroutines themselves."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rstar.core.execution import ROOT_STATE, StepResult
from rstar.sandbox import Limits, Sandbox, SandboxConfig
from tests.sandbox.arena import children as children

QUICK = Limits(cpu_s=1.0, wall_s=2.0)


class Box:
    """One sandbox and the loop it lives in."""

    def __init__(self, sandbox: Sandbox, runner: asyncio.Runner):
        self.sandbox = sandbox
        self.runner = runner

    def run(self, code: str, parent: str = ROOT_STATE, **options: Any) -> StepResult:
        return self.runner.run(self.sandbox.run(parent, code, **options))

    def many(self, codes: Sequence[str], parent: str = ROOT_STATE, **options: Any) -> list[StepResult]:
        return self.runner.run(self.sandbox.run_many(parent, codes, **options))

    def release(self, name: str) -> None:
        self.runner.run(self.sandbox.release(name))

    def state(self, *codes: str) -> str:
        """The state after these steps, all of which must be fine."""
        at = ROOT_STATE
        for code in codes:
            result = self.run(code, at)
            assert result.state is not None, result
            at = result.state
        return at

    def broker(self) -> int:
        pid = self.sandbox._links[0].pid
        assert pid is not None
        return pid


@contextmanager
def opened(config: SandboxConfig | None = None, **options: Any) -> Iterator[Box]:
    with asyncio.Runner() as runner:
        sandbox = Sandbox(config or SandboxConfig(preload=(), limits=QUICK), **options)
        runner.run(sandbox.__aenter__())
        try:
            yield Box(sandbox, runner)
        finally:
            runner.run(sandbox.__aexit__(None, None, None))


@pytest.fixture(scope="session")
def bare() -> Iterator[Box]:
    """Nothing preloaded, small limits."""
    with opened() as box:
        yield box


@pytest.fixture(scope="session")
def full() -> Iterator[Box]:
    """The default modules preloaded, small limits."""
    with opened(SandboxConfig(limits=QUICK)) as box:
        yield box


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
