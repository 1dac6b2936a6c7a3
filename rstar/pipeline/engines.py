"""Who answers for a model: a lane over it in this process, or over the vLLM servers that serve it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rstar.config.engine import EngineConfig, VllmConfig
from rstar.engine.driver import Lane
from rstar.engine.endpoints import Endpoint, Pool, Served
from rstar.engine.lanes import teacher_lane
from rstar.engine.ledger import Ledger
from rstar.engine.servers import check_python, launched
from rstar.pipeline.prepare import identity
from rstar.search.calls import Completion, Generate
from rstar.store.layout import CHECKPOINT

Generator = Path | Callable[[Generate], list[Completion]]


@dataclass(frozen=True, slots=True)
class Models:
    """Who answers, by role: generators (a checkpoint's folder, or a scripted teacher) and value models."""

    generators: Mapping[str, Generator]
    values: Mapping[str, Path] = field(default_factory=dict)
    dtype: str = "float32"


def check_servers(engine: EngineConfig, roles: Iterable[str]) -> None:
    """Raises ConfigError where servers are to be started for a role and cannot be, before anything is done."""
    for role in roles:
        how = engine.of(role)
        if isinstance(how, VllmConfig) and how.launch is not None:
            check_python(how.launch, place_of(role))


def place_of(role: str) -> str:
    """Where the config says who answers for a role."""
    return f"engine.{role}" if role in ("policy", "ppm") else f"engine.others.{role}"


@asynccontextmanager
async def model_lanes(
    engine: EngineConfig, models: Models, logs: Path, ledger: Ledger | None
) -> AsyncIterator[dict[str, Lane]]:
    """A lane for each role that a model or a teacher fills. Servers that are started for them end with the block.

    Raises EngineDown where a server does not start, or serves another model.
    """
    lanes = {f"generate:{role}": teacher_lane(who) for role, who in models.generators.items() if callable(who)}
    paths = {f"generate:{role}": who for role, who in models.generators.items() if isinstance(who, Path)}
    paths |= {f"score:{role}": who for role, who in models.values.items()}
    async with AsyncExitStack() as stack:
        on_servers = {name: how for name in paths if isinstance(how := engine.of(_role(name)), VllmConfig)}
        opening = [
            asyncio.create_task(_on_servers(stack, engine.device, logs, name, paths[name], how, models.dtype, ledger))
            for name, how in on_servers.items()
        ]
        try:
            lanes |= dict(zip(on_servers, await asyncio.gather(*opening), strict=True))
        except BaseException:
            for task in opening:
                task.cancel()
            await asyncio.gather(*opening, return_exceptions=True)
            raise
        own = {name: path for name, path in paths.items() if name not in on_servers}
        lanes |= {name: _in_process(engine, name, path, models.dtype, ledger) for name, path in own.items()}
        yield lanes


def _role(lane: str) -> str:
    return lane.partition(":")[2]


def _in_process(engine: EngineConfig, lane: str, path: Path, dtype: str, ledger: Ledger | None) -> Lane:
    from rstar.engine import hf  # torch is imported only where a model answers

    options: dict[str, Any] = {"device": engine.device, "dtype": dtype, "threads": engine.threads}
    if lane.startswith("generate:"):
        return hf.policy_lane(hf.HfPolicy(path, **options), engine.max_batch, ledger)
    return hf.value_lane(hf.HfValue(path, **options), engine.score_batch, ledger)


async def _on_servers(
    stack: AsyncExitStack,
    device: str,
    logs: Path,
    lane: str,
    path: Path,
    how: VllmConfig,
    dtype: str,
    ledger: Ledger | None,
) -> Lane:
    from rstar.engine import served as lanes  # transformers is imported only where there is a model

    scores = lane.startswith("score:")
    model = served(_role(lane), path)
    device = "cpu" if device == "cpu" else "cuda"
    if how.launch is None:
        endpoints = [Endpoint(url) for url in how.endpoints]
    else:
        endpoints = list(await stack.enter_async_context(launched(how.launch, model, dtype, scores, logs)))
    pool = await stack.enter_async_context(Pool(model, endpoints, how).open(all_up=how.launch is not None))
    if scores:
        return lanes.value_lane(lanes.ServedValue(pool), ledger, device)
    return lanes.policy_lane(lanes.ServedPolicy(pool), ledger, device)


def served(role: str, path: Path) -> Served:
    """A checkpoint as servers must have it, named by its role and what it is known by; a hub model keeps its name."""
    if not path.is_dir():
        return Served(str(path), path)
    stage = path.parent if path.name == CHECKPOINT else path
    return Served(f"{role}-{identity(stage)[:16]}", path)
