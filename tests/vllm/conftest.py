"""A tiny policy and a tiny PPM, trained by the pipeline itself, and real vLLM servers for them."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

os.environ |= {"DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}

from rstar.config.engine import LaunchConfig, VllmConfig
from rstar.config.run import RunConfig
from rstar.engine.endpoints import Endpoint, Served
from rstar.engine.servers import launched
from rstar.pipeline import engines
from rstar.pipeline.round import run_round
from rstar.store.layout import CHECKPOINT
from tests.pipeline import tiny

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-vllm" / "bin" / "python"
ARGUMENTS = {
    "max-num-seqs": 32,
    "kv-cache-memory-bytes": 1 << 25,
    "block-size": 32,
    "enforce-eager": True,
    "enable-chunked-prefill": False,
}
ENVIRONMENT = {
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": 1,
    "VLLM_ENABLE_V1_MULTIPROCESSING": 0,
    "HF_HUB_OFFLINE": 1,
}
SERVABLE = ("model.dtype=float32", "model.heads=1", "ppm.steps=40", "ppm.lr=1e-2")
"""Heads of 32: vLLM has no narrower ones on a CPU. And a PPM that has opinions."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.vllm)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(900))
            if not PYTHON.exists():
                item.add_marker(pytest.mark.skip(reason="there is no .venv-vllm (make setup-vllm)"))


def launch(**changes: Any) -> LaunchConfig:
    fields = {"python": PYTHON, "arguments": ARGUMENTS, "environment": ENVIRONMENT, "start_s": 400.0}
    return LaunchConfig(**fields | changes)


def vllm(**changes: Any) -> VllmConfig:
    return VllmConfig(**{"health_s": 5.0, "timeout_s": 120.0} | changes)


@pytest.fixture(scope="session")
def cfg(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    """A tiny evolution whose first round is finished."""
    folder = tmp_path_factory.mktemp("tiny")
    tiny.prepare(folder)
    cfg = tiny.config(folder, *SERVABLE)
    run_round(cfg, 1)
    return cfg


def stage(cfg: RunConfig, name: str) -> Path:
    return cfg.runtime.runs / cfg.name / "round-1" / name


def served(cfg: RunConfig, role: str) -> Served:
    return engines.served(role, stage(cfg, role) / CHECKPOINT)


@dataclass(frozen=True)
class Running:
    """One server each for the policy and the PPM."""

    cfg: RunConfig
    policy: str
    ppm: str


@pytest.fixture(scope="module")
def servers(cfg: RunConfig) -> Iterator[Running]:
    """Started by the code that stages start them with; tests attach to them."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        async def start() -> list[str]:
            found: list[Endpoint] = []
            for role in ("policy", "ppm"):
                logs = cfg.runtime.runs / "logs"
                found += await stack.enter_async_context(
                    launched(launch(), served(cfg, role), "float32", role == "ppm", logs)
                )
            return await healthy(found)

        try:
            urls = runner.run(start())
            yield Running(cfg, *urls)
        finally:
            runner.run(stack.aclose())


async def healthy(endpoints: list[Endpoint]) -> list[str]:
    """Wait for servers that nobody watches yet; their addresses."""
    import httpx

    async with httpx.AsyncClient(trust_env=False) as client:
        for one in endpoints:
            while not one.known:
                assert one.refused is None, one.refused
                await asyncio.sleep(0.5)
                try:
                    one.known = bool(one.url) and (await client.get(f"{one.url}/health")).status_code == 200
                except httpx.TransportError:
                    continue
    return [one.url for one in endpoints]
