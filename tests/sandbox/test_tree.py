"""States: caching, eviction, replay, groups; and what happens when processes die."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rstar.core.execution import ROOT_STATE, Status, StepResult
from rstar.sandbox import Limits, Sandbox, SandboxConfig
from tests.sandbox.conftest import QUICK, Box, alive, children, opened


def test_the_same_step_runs_once(bare: Box) -> None:
    at = bare.state("calls = 0")
    before = bare.sandbox.stats().executions
    first, second, other = bare.many(["calls + 1", "calls + 1", "calls + 2"], at)
    assert bare.sandbox.stats().executions == before + 2
    assert (first.cached, second.cached, other.cached) == (False, True, False)
    assert first.value == second.value
    assert bare.run("calls + 1", at).cached
    assert first.state == bare.sandbox.state_id(at, "calls + 1")


def test_concurrent_requests_share_one_execution(bare: Box) -> None:
    async def both() -> list[StepResult]:
        return await asyncio.gather(*(bare.sandbox.run(ROOT_STATE, "'only once'") for _ in range(5)))

    before = bare.sandbox.stats().executions
    results = bare.runner.run(both())
    assert bare.sandbox.stats().executions == before + 1
    assert sum(result.cached for result in results) == 4


def test_a_cancelled_caller_does_not_spoil_the_step_for_others(bare: Box) -> None:
    code = "import time\ntime.sleep(0.3)\n'late'"

    async def run() -> StepResult:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(bare.sandbox.run(ROOT_STATE, code), 0.05)
        return await bare.sandbox.run(ROOT_STATE, code)

    result = bare.runner.run(run())
    assert (result.value, result.cached) == ("'late'", True)


def test_leaving_while_steps_run_ends_them() -> None:
    async def main() -> None:
        async with Sandbox(SandboxConfig(preload=(), limits=QUICK)) as sandbox:
            running = asyncio.ensure_future(sandbox.run(ROOT_STATE, "import time\ntime.sleep(1.5)"))
            await asyncio.sleep(0.2)
        with pytest.raises(asyncio.CancelledError):
            await running

    began = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - began < 1.4


def test_unknown_and_failed_parents_are_refused(bare: Box) -> None:
    with pytest.raises(KeyError, match="unknown"):
        bare.run("1", "no such state")
    bare.run("1/0")
    with pytest.raises(KeyError, match="exception"):
        bare.run("1", bare.sandbox.state_id(ROOT_STATE, "1/0"))


def test_keep_never_for_one_step_still_gives_a_valid_state(bare: Box) -> None:
    result = bare.run("kept = 3", keep="never")
    assert result.state is not None
    again = bare.run("kept + 1", result.state)
    assert (again.value, again.replayed) == ("4", 1)


def test_evicted_states_are_rebuilt() -> None:
    with opened(SandboxConfig(preload=(), limits=QUICK, live_states=3)) as box:
        roots = [box.state(f"a = {i}", f"b = a + {i}", f"c = a + b + {i}") for i in range(8)]
        values = [box.run("a, b, c", at).value for at in roots]
        assert values == [str((i, 2 * i, 4 * i)) for i in range(8)]
        stats = box.sandbox.stats()
        assert stats.evictions > 0
        assert stats.replays > 0
        assert stats.live <= 4
        wide = box.many([f"a + {i}" for i in range(20)], roots[0])
        assert [result.value for result in wide] == [str(i) for i in range(20)]


def test_groups_are_forgotten_on_release() -> None:
    with opened() as box:
        for name in ("p", "q"):
            first = box.run("a = 1", group=name)
            assert first.state is not None
            box.many(["b = 2", "b = 3", "1/0", f"'{name}'"], first.state, group=name)
        assert box.sandbox.stats().known == 6
        box.release("p")
        assert box.sandbox.stats().known == 5
        assert box.run("a + 1", first.state).value == "2"
        box.release("q")
        assert box.sandbox.stats().known == 1
        with pytest.raises(KeyError):
            box.run("a", first.state)
        box.run("0")
        wait_until(lambda: len(children(box.broker())) <= 3)


def test_a_release_takes_nothing_from_a_group_that_still_waits() -> None:
    """Two problems ask for the same first step; one gets its answer and is done while the other waits for a sibling."""
    slow = "import time\ntime.sleep(0.3)"

    async def scene(sandbox: Sandbox) -> StepResult:
        async def brief() -> None:
            await sandbox.run(ROOT_STATE, "a = 1", group="p")
            await sandbox.release("p")

        _, results = await asyncio.gather(brief(), sandbox.run_many(ROOT_STATE, [slow, "a = 1"], group="q"))
        state = results[1].state
        assert state is not None
        return await sandbox.run(state, "a + 1", group="q")

    with opened(SandboxConfig(preload=(), limits=QUICK, concurrency=2)) as box:
        assert box.runner.run(scene(box.sandbox)).value == "2"
        box.release("q")
        assert box.sandbox.stats().known == 0


def test_results_outside_groups_are_bounded() -> None:
    with opened(remember=5) as box:
        at = box.state("a = 1")
        last = [box.run(f"a + {i}", at).state for i in range(10)][-1]
        assert box.sandbox.stats().known == 5
        assert last is not None
        assert box.run("a", last).value == "1"


@pytest.fixture
def never() -> Box:
    with opened(SandboxConfig(preload=(), limits=QUICK, keep="never")) as box:
        yield box


def test_never_replays_the_whole_prefix(never: Box) -> None:
    at = never.state("a = 1", "b = 2", "c = 3")
    result = never.run("a + b + c", at)
    assert (result.value, result.replayed) == ("6", 3)
    assert never.sandbox.stats().live == 0


def test_load_is_not_the_steps_fault() -> None:
    """Many busy steps share the processors; each needs less than its limits, and none is blamed for the queue."""
    cores = len(os.sched_getaffinity(0))
    config = SandboxConfig(preload=(), limits=Limits(cpu_s=0.4, wall_s=0.5), concurrency=6 * cores)
    code = "import time\nbegan = time.thread_time()\nwhile time.thread_time() - began < 0.2: pass\n"
    with opened(config) as box:
        results = box.many([code + f"n = {i}" for i in range(6 * cores)])
        assert {result.status for result in results} == {Status.OK}
        assert max(result.wall_s for result in results) > 0.5


def test_a_killed_broker_takes_its_nodes_and_is_replaced() -> None:
    with opened() as box:
        at = box.state("a = 20", "b = 22")
        nodes = children(box.broker())
        assert len(nodes) == 3
        os.kill(box.broker(), signal.SIGKILL)
        wait_until(lambda: not any(alive(pid) for pid in nodes))
        assert box.run("a + b", at).value == "42"
        assert box.sandbox.stats().restarts == 1


def test_a_broker_killed_while_steps_run_costs_a_retry_and_no_verdict() -> None:
    with opened() as box:

        async def run() -> list[StepResult]:
            codes = [f"import time\ntime.sleep(0.3)\n{i}" for i in range(4)]
            running = asyncio.ensure_future(box.sandbox.run_many(ROOT_STATE, codes))
            await asyncio.sleep(0.15)
            os.kill(box.broker(), signal.SIGKILL)
            return await running

        results = box.runner.run(run())
        assert [result.value for result in results] == ["0", "1", "2", "3"]
        assert box.sandbox.stats().retries == 4


def test_a_killed_node_is_rebuilt() -> None:
    with opened() as box:
        at = box.state("a = 41")
        zygote = min(children(box.broker()))
        for pid in children(box.broker()) - {zygote}:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
        assert box.run("a + 1", at).value == "42"
        os.kill(zygote, signal.SIGKILL)
        time.sleep(0.05)
        assert box.run("a + 2", at).value == "43"


def test_nothing_is_left_after_the_sandbox() -> None:
    descriptors = len(os.listdir("/proc/self/fd"))
    with opened() as box:
        box.state("a = 1", "b = 2")
        box.run("while True: pass")
        broker = box.broker()
        nodes = children(broker)
    assert not alive(broker)
    assert not any(alive(pid) for pid in nodes)
    assert len(os.listdir("/proc/self/fd")) == descriptors


ENDLESS = "await sandbox.run_many(state, ['while True: pass', 'import time; time.sleep(99)'])"
UNREAD = (
    "codes = 'import time; time.sleep(0.3)', 'while True: pass'\n"
    "        tasks = [asyncio.create_task(sandbox.run(state, code)) for code in codes]\n"
    "        await asyncio.sleep(0.1)\n"
    "        time.sleep(99)"
)


@pytest.mark.parametrize(("asks", "after_s"), [(ENDLESS, 0.0), (UNREAD, 1.0)], ids=["waiting", "replies unread"])
def test_a_killed_client_leaves_no_process(tmp_path: Path, asks: str, after_s: float) -> None:
    script = tmp_path / "client.py"
    script.write_text(
        "import asyncio, time\n"
        "from rstar.sandbox import Sandbox, SandboxConfig\n"
        "async def main():\n"
        "    async with Sandbox(SandboxConfig(preload=())) as sandbox:\n"
        "        state = (await sandbox.run('root', 'a = 1')).state\n"
        "        print(sandbox._links[0].pid, flush=True)\n"
        f"        {asks}\n"
        "asyncio.run(main())\n"
    )
    root = str(Path(__file__).resolve().parents[2])
    client = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": root},
    )
    assert client.stdout is not None
    assert client.stderr is not None
    broker = int(client.stdout.readline())
    wait_until(lambda: len(children(broker)) >= 4)
    time.sleep(after_s)
    nodes = children(broker)
    client.kill()
    client.wait()
    client.stdout.close()
    wait_until(lambda: not alive(broker) and not any(alive(pid) for pid in nodes))
    with client.stderr as said:
        assert said.read() == b""


def test_the_client_is_light() -> None:
    heavy = "[name for name in ('sympy', 'numpy', 'torch') if name in sys.modules]"
    code = f"import sys, rstar.sandbox; rstar.sandbox.Sandbox\nprint({heavy})"
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == "[]"


def test_several_brokers_serve_one_sandbox() -> None:
    async def main() -> list[str | None]:
        async with Sandbox(SandboxConfig(preload=(), limits=QUICK, workers=2)) as sandbox:

            async def path(name: str) -> str | None:
                first = await sandbox.run(ROOT_STATE, f"a = {name!r}", group=name)
                assert first.state is not None
                return (await sandbox.run(first.state, "a * 2", group=name)).value

            return await asyncio.gather(*(path(f"p{i}") for i in range(12)))

    assert asyncio.run(main()) == [repr(f"p{i}" * 2) for i in range(12)]


def wait_until(condition, seconds: float = 5.0) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
