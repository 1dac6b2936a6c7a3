"""What a search does per second: points for curves, and what Prometheus is told."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, fields
from functools import partial
from typing import TYPE_CHECKING, Any

from rstar.core.tree import Tree
from rstar.engine.driver import Lane
from rstar.errors import InputError
from rstar.sandbox import Sandbox, SandboxStats
from rstar.tracking import Track

if TYPE_CHECKING:
    from prometheus_client.core import Metric

Rows = Sequence[tuple[dict[str, str], float]]
"""Labels and value of each sample of a metric."""
NOW = {"known", "live", "queued"}
"""Of the sandbox's figures those that go up and down."""


@dataclass(slots=True, eq=False)
class Meter:
    """One search stage: finished trees, its lanes and its sandbox. Rates are those since the last asking."""

    run: str
    stage: str
    trees: int = 0
    rollouts: int = 0
    lanes: Mapping[str, Lane] = field(default_factory=dict)
    sandbox: Sandbox | None = None
    _before: dict[str, float] = field(default_factory=dict)
    _at: float = field(default_factory=time.monotonic)

    def take(self, tree: Tree) -> None:
        """A finished search."""
        self.trees += 1
        self.rollouts += tree.rollouts

    def point(self) -> dict[str, float]:
        """Rates per second, each lane's queue, the share of the time it was busy, and calls in its batches."""
        now = time.monotonic()
        passed, self._at = max(now - self._at, 1e-9), now
        totals = {"trees": float(self.trees), "rollouts": float(self.rollouts), **_made(self.lanes)}
        for name, lane in self.lanes.items():
            its = lane.stats
            totals |= {f"calls {name}": its.calls, f"batches {name}": its.batches, f"busy {name}": its.busy(now)}
        grown = {name: value - self._before.get(name, 0.0) for name, value in totals.items()}
        self._before = totals
        told = {f"search/{name}_per_s": grown[name] / passed for name in ("trees", "rollouts", *_made(self.lanes))}
        for name, lane in self.lanes.items():
            told[f"queue/{name}"] = lane.stats.waiting
            told[f"use/{name}"] = min(1.0, grown[f"busy {name}"] / passed)
            if grown[f"batches {name}"]:
                told[f"batch/{name}"] = grown[f"calls {name}"] / grown[f"batches {name}"]
        return told

    def collect(self) -> Iterator["Metric"]:
        """What Prometheus reads, at the moment it asks."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        here = {"run": self.run, "stage": self.stage}

        def family(kind: Callable[..., Any], name: str, words: str, rows: Rows) -> Any:
            made = kind(f"rstar_{name}", words, labels=[*here, *(rows[0][0] if rows else ())])
            for labels, value in rows:
                made.add_metric([*here.values(), *labels.values()], value)
            return made

        counter, gauge = partial(family, CounterMetricFamily), partial(family, GaugeMetricFamily)
        yield counter("trees", "Finished searches.", [({}, self.trees)])
        yield counter("rollouts", "Rollouts of finished searches.", [({}, self.rollouts)])
        now = time.monotonic()
        lanes = [({"lane": name}, lane.stats) for name, lane in self.lanes.items()]
        yield counter("lane_calls", "Calls answered.", [(labels, its.calls) for labels, its in lanes])
        yield counter("lane_batches", "Batches answered.", [(labels, its.batches) for labels, its in lanes])
        yield counter("lane_items", "Tokens, steps, scores, verdicts.", [(labels, its.items) for labels, its in lanes])
        yield counter("lane_queue_seconds", "Seconds calls waited.", [(labels, its.queue_s) for labels, its in lanes])
        yield counter("lane_busy_seconds", "Seconds in use.", [(labels, its.busy(now)) for labels, its in lanes])
        yield gauge("lane_waiting", "Calls that wait.", [(labels, its.waiting) for labels, its in lanes])
        yield gauge("lane_running", "Batches under way.", [(labels, its.running) for labels, its in lanes])
        if self.sandbox is not None:
            stats = self.sandbox.stats()
            for one in fields(SandboxStats):
                if one.name != "statuses":
                    kind = gauge if one.name in NOW else counter
                    name = one.name.removesuffix("_s") + "_seconds" if one.name.endswith("_s") else one.name
                    yield kind(f"sandbox_{name}", f"Sandbox: {one.name}.", [({}, getattr(stats, one.name))])
            statuses = [({"status": status.value}, count) for status, count in stats.statuses.items()]
            yield counter("sandbox_steps", "Steps by how they ended.", statuses)


def _made(lanes: Mapping[str, Lane]) -> dict[str, float]:
    """What lanes of one kind have made together."""
    kinds = {"tokens": "generate:", "executions": "execute", "scores": "score:"}
    return {
        name: float(sum(lane.stats.items for key, lane in lanes.items() if key.startswith(start)))
        for name, start in kinds.items()
    }


@asynccontextmanager
async def reported(meter: Meter, track: Track, every_s: float) -> AsyncIterator[None]:
    """Log a point now and then while the block runs, and one at its end."""

    async def report() -> None:
        while True:
            await asyncio.sleep(every_s)
            track.log(meter.point())

    if not track.on:
        yield
        return
    meter.point()
    task = asyncio.create_task(report())
    try:
        yield
    finally:
        task.cancel()
        track.log(meter.point())


@contextmanager
def exported(meter: Meter, host: str, port: int | None) -> Iterator[None]:
    """Answer Prometheus on a port while the block runs; with no port nothing happens. InputError when it is taken."""
    if port is None:
        yield
        return
    from prometheus_client import CollectorRegistry, start_http_server

    registry = CollectorRegistry(auto_describe=False)
    registry.register(meter)
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise InputError(f"runtime.metrics.port: nobody can listen on {host}:{port} ({error.strerror})") from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
