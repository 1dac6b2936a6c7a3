"""Servers that a run starts: they come, die, hang, come again, and are gone when the run is, however it ends."""

import asyncio
import json
import random
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from rstar.engine.driver import Driver
from rstar.engine.endpoints import Pool
from rstar.engine.served import ServedPolicy, policy_lane
from rstar.engine.servers import launched
from rstar.errors import EngineDown
from rstar.pipeline import inspect
from rstar.search.calls import Search, generate
from tests.pipeline import tiny
from tests.vllm.conftest import ARGUMENTS, ENVIRONMENT, PYTHON, SERVABLE, launch, served, vllm
from tests.vllm.test_served import call

LAUNCH = {"python": str(PYTHON), "arguments": ARGUMENTS, "environment": ENVIRONMENT}
ENGINE = {"kind": "vllm", "health_s": 5, "launch": LAUNCH}


def servers_of(process: psutil.Process) -> list[psutil.Process]:
    """The vLLM servers that a process started, without what those started in turn."""
    found = []
    for one in process.children(recursive=True):
        try:
            if "vllm.entrypoints.openai.api_server" in one.cmdline() and "keeper.py" not in " ".join(one.cmdline()[:4]):
                found.append(one)
        except psutil.Error:
            continue
    return [one for one in found if one.parent() is None or one.parent() not in found]


def gone(processes: list[psutil.Process], within_s: float = 30.0) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=within_s)
    return all(one.status() == psutil.STATUS_ZOMBIE for one in alive if one.is_running())


def test_a_server_that_does_not_start_stops_the_stage_and_shows_its_log(cfg, tmp_path):
    async def test():
        how = vllm(launch=launch(arguments={"no-such-argument": 1}))
        model = served(cfg, "policy")
        async with (
            launched(how.launch, model, "float32", False, tmp_path) as endpoints,
            Pool(model, endpoints, how).open(all_up=True),
        ):
            pass

    with pytest.raises(EngineDown, match=r"(?s)a server does not start .*the end of .*no-such-argument"):
        asyncio.run(test())
    assert not servers_of(psutil.Process())


def asks_for_a_while(i: int) -> Search[int]:
    for k in range(30):
        yield from generate(call(i, seed=100 * i + k, n=2))
    return i


def test_two_replicas_of_which_one_is_killed_and_the_other_hangs(cfg, tmp_path):
    """Every search ends well, and once; both servers come again."""

    async def test():
        how = vllm(launch=launch(replicas=2), health_s=2.0)
        model = served(cfg, "policy")
        async with (
            launched(how.launch, model, "float32", False, tmp_path) as endpoints,
            Pool(model, endpoints, how).open(all_up=True) as pool,
        ):
            first = servers_of(psutil.Process())
            assert len(first) == 2
            ended = []
            driver = Driver({"generate:policy": policy_lane(ServedPolicy(pool))}, max_live=8)
            async for outcome in driver.run((f"p{i}", asks_for_a_while(i)) for i in range(60)):
                assert outcome.error is None
                ended.append(outcome.result)
                if len(ended) == 10:
                    first[0].kill()
                if len(ended) == 30:
                    first[1].suspend()
            assert sorted(ended) == list(range(60))
            assert pool.retried > 0
            while not all(one.up for one in endpoints):
                await asyncio.sleep(0.5)
            second = servers_of(psutil.Process())
            assert not {one.pid for one in first} & {one.pid for one in second}
        assert gone(second)

    asyncio.run(asyncio.wait_for(test(), 600))
    assert (tmp_path / f"{served(cfg, 'policy').name}-0.log").read_text().count("\n$ ") == 2


def started(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    with (folder / "stderr").open("wb") as said:
        return subprocess.Popen(tiny.command(*words), cwd=folder, stdout=subprocess.DEVNULL, stderr=said)


def engines(folder: Path, **roles: Any) -> str:
    path = folder / "engine.yaml"
    path.write_text(yaml.safe_dump({"engine": {"device": "cpu", **roles}}))
    return path.name


def test_an_evolution_on_servers_and_nothing_is_left_when_it_is_killed(tmp_path):
    """Two rounds through real servers for policy and PPM, by the command; killed once on the way."""
    tiny.prepare(tmp_path)
    words = ("evolve", "run.yaml", engines(tmp_path, policy=ENGINE, ppm=ENGINE), *SERVABLE)
    run = tmp_path / "runs" / "tiny"
    running = started(tmp_path, *words)
    try:
        while not (found := servers_of(psutil.Process(running.pid))):
            assert running.poll() is None, (tmp_path / "stderr").read_text()
            time.sleep(0.5)
        time.sleep(3.0)
        running.kill()
        running.wait()
        assert gone(found)
    finally:
        running.kill()
    done = subprocess.run(tiny.command(*words), cwd=tmp_path, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stderr
    stages, unfinished, wrong = inspect.check(run)
    assert (stages, unfinished, wrong) == (len(tiny.STAGES), [], [])
    assert (
        sorted(path.name.rpartition("-")[0][:3] for path in (run / "servers").glob("*.log"))
        == ["pol"] * 3 + ["ppm"] * 2
    )
    last = inspect.summaries(run)[-1]
    assert last["coverage"]["solved"] > 0
    assert last["policy"]["accuracy"]["right"] > 0
    assert not servers_of(psutil.Process())


def healthy(process: psutil.Process) -> list[psutil.Process]:
    """The servers of a process that answer."""
    return [one for one in servers_of(process) if any(c.status == psutil.CONN_LISTEN for c in one.net_connections())]


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_twenty_servers_killed_during_a_run_with_two_replicas(cfg):
    assert killed(cfg.runtime.runs.parent, times=20) == 20


def killed(folder: Path, times: int) -> int:
    """Evaluate round 1's models of the run in a folder on 150 problems, `kill -9` its servers on the way: all is
    searched, every tree is there once, `rstar check` agrees. How many were killed."""
    more = [tiny.problem(f"m{i}", 10 + i % 25, 2 + i % 7, 1 + i % 4) for i in range(150)]
    tiny.write(folder / "more.jsonl", more)
    policy = {**ENGINE, "attempts": 30, "patience_s": 900, "launch": {**LAUNCH, "replicas": 2}}
    how = ("--round", "1", "--problems", "more.jsonl", "--search", "mcts", "--set", "rollouts=4")
    words = ("evaluate", "runs/tiny", engines(folder, policy=policy), "runtime.max_live=4", *how)
    running = started(folder, *words)
    rng, pids = random.Random(4), list[int]()
    try:
        while running.poll() is None and not list((folder / "runs" / "tiny" / "evaluations").rglob("*.jsonl*")):
            time.sleep(0.5)  # until both are up and searches run: one that does not start at first ends the run
        while len(pids) < times:
            if len(pids) % 4 == 0:  # three of four are killed while they start, which takes a while
                while running.poll() is None and not healthy(psutil.Process(running.pid)):
                    time.sleep(0.5)
            time.sleep(rng.uniform(1, 5))
            assert running.poll() is None, f"ended after {len(pids)} kills: {(folder / 'stderr').read_text()}"
            with suppress(psutil.Error, IndexError):
                well = healthy(psutil.Process(running.pid))
                one = rng.choice(servers_of(psutil.Process(running.pid)))
                one.kill()
                pids.append(one.pid)
                state = "which was healthy" if one in well else "which was starting"
                print(f"{time.strftime('%T')} killed server {len(pids)}, {state}", flush=True)
        assert running.wait(800) == 0, (folder / "stderr").read_text()
    finally:
        running.kill()
        running.wait()
    run = folder / "runs" / "tiny"
    _, unfinished, wrong = inspect.check(run)
    assert wrong == []
    assert not [stage for stage in unfinished if stage.startswith("evaluations")]
    [stage] = (run / "evaluations").iterdir()
    ids = [json.loads(line)["problem"]["id"] for rows in tiny.tree_lines(stage).values() for line in rows]
    assert sorted(ids) == sorted(row["id"] for row in more)
    assert not (stage / "failures.jsonl").exists()
    return len(set(pids))
