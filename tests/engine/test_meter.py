"""What a meter says of lanes, and what Prometheus reads on a port: the real client library, over HTTP."""

import asyncio
import time
import urllib.request
from collections.abc import Sequence

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rstar.core.problem import Problem
from rstar.core.tree import Tree
from rstar.engine.driver import Driver, Lane, Ticket
from rstar.engine.meter import Meter, exported, reported
from rstar.errors import InputError
from rstar.sandbox import Sandbox, SandboxConfig
from rstar.search.calls import Completion, Generate, Verify
from rstar.tracking import Track
from tests.flows.checkout import free_port


async def writes(tickets: Sequence[Ticket]) -> list:
    await asyncio.sleep(0)
    return [[Completion("a b c", 3), Completion("d", 1)] for _ in tickets]


def asks(times: int):
    for seed in range(times):
        yield Generate("p", 2, seed=seed, stop=(), max_tokens=4, temperature=1.0, top_p=1.0)
    return Tree(Problem("p", "?"), rollouts=times)


def searched(meter: Meter, count: int = 3) -> None:
    """`count` searches of two calls each through one lane."""

    async def run() -> None:
        meter.lanes = {"generate:policy": Lane(writes, max_batch=2)}
        async for outcome in Driver(meter.lanes).run((f"p{i}", asks(2)) for i in range(count)):
            meter.take(outcome.result)

    asyncio.run(run())


def test_lanes_count_what_they_make_and_what_waits():
    meter = Meter("demo", "round-1/search")
    searched(meter)
    stats = meter.lanes["generate:policy"].stats
    assert (stats.calls, stats.items, stats.waiting, stats.running) == (6, 24, 0, 0)
    assert stats.busy(time.monotonic()) == stats.busy_s
    stats.running, stats.since = 1, time.monotonic() - 5
    assert 5 <= stats.busy(time.monotonic()) - stats.busy_s < 30


def test_a_point_has_rates_since_the_last_one():
    meter = Meter("demo", "round-1/search")
    meter.point()
    searched(meter)
    point = meter.point()
    assert point["search/tokens_per_s"] == pytest.approx(4 * point["search/rollouts_per_s"])
    assert point["search/rollouts_per_s"] == pytest.approx(2 * point["search/trees_per_s"])
    assert point["search/executions_per_s"] == 0
    assert (point["queue/generate:policy"], point["batch/generate:policy"]) == (0, 2)
    assert 0 <= point["use/generate:policy"] <= 1
    again = meter.point()
    assert again["search/tokens_per_s"] == 0
    assert "batch/generate:policy" not in again


class Kept(Track):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__(run=self)
        self.points: list[dict[str, float]] = []

    def log(self, values: dict[str, float], step: int | None = None) -> None:
        self.points.append(values)


def test_points_are_logged_while_the_block_runs_and_once_at_its_end():
    track, meter = Kept(), Meter("demo", "round-1/search")

    async def run() -> None:
        async with reported(meter, track, 0.01):
            while len(track.points) < 3:
                await asyncio.sleep(0.01)
            meter.rollouts += 1

    asyncio.run(run())
    assert len(track.points) >= 4
    assert track.points[-1]["search/rollouts_per_s"] > 0


def scraped(port: int) -> dict[str, list]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as reply:
        families = text_string_to_metric_families(reply.read().decode())
        return {sample.name: [*family.samples] for family in families for sample in family.samples}


def test_prometheus_reads_lanes_and_sandbox_on_a_port_while_a_search_runs():
    meter, port = Meter("demo", "round-1/search"), free_port()

    async def run() -> dict[str, list]:
        async with Sandbox(SandboxConfig(isolation="rlimits", preload=())) as sandbox:
            meter.sandbox = sandbox
            await sandbox.run_many("root", ["x = 1", "y ="], group="p")
            return await asyncio.to_thread(scraped, port)

    searched(meter)
    with exported(meter, "127.0.0.1", port):
        found = asyncio.run(run())
        with (
            pytest.raises(InputError, match=rf"runtime.metrics.port: nobody can listen on 127.0.0.1:{port}"),
            exported(meter, "127.0.0.1", port),
        ):
            pass
    here = {"run": "demo", "stage": "round-1/search"}
    (items,) = found["rstar_lane_items_total"]
    assert (items.labels, items.value) == ({**here, "lane": "generate:policy"}, 24)
    assert [one.value for one in found["rstar_rollouts_total"]] == [6]
    assert [one.value for one in found["rstar_lane_waiting"]] == [0]
    assert [one.value for one in found["rstar_sandbox_known"]] == [2]
    ended = {one.labels["status"]: one.value for one in found["rstar_sandbox_steps_total"]}
    assert ended == {"ok": 1, "syntax": 1}
    with pytest.raises(OSError, match="refused"):
        scraped(port)


def test_without_a_port_nobody_listens():
    with exported(Meter("demo", "search"), "127.0.0.1", None):
        pass


def test_a_verdict_is_an_item_too():
    meter = Meter("demo", "s")

    async def grades(tickets: Sequence[Ticket]) -> list:
        return [["fine"] * len(ticket.call.answers) for ticket in tickets]

    def search():
        yield Verify("1", ("a", "b", "c"))
        return Tree(Problem("p", "?"))

    async def run() -> None:
        meter.lanes = {"verify": Lane(grades)}
        async for _ in Driver(meter.lanes).run([("p", search())]):
            pass

    asyncio.run(run())
    assert meter.lanes["verify"].stats.items == 3
