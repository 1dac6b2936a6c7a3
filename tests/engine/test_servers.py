"""Servers as processes: what they are started with, and that they come, die, come again, and stop."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from rstar.config.engine import EngineConfig, LaunchConfig, VllmConfig
from rstar.config.load import load
from rstar.config.run import RunConfig
from rstar.engine import servers
from rstar.engine.endpoints import Pool, Served
from rstar.engine.servers import command, environment, launched
from rstar.errors import ConfigError, EngineDown, RolloutError
from rstar.pipeline.engines import check_servers

ROOT = Path(__file__).parents[2]
MODEL = Served("policy-0123", Path("runs/x/checkpoint"))


def test_a_command_line_says_all_that_a_search_depends_on():
    how = LaunchConfig(
        tensor_parallel=2, arguments={"max-num-seqs": 8, "enforce-eager": True, "async-scheduling": False}
    )
    words = command(how, MODEL, "bfloat16", 8001, scores=False)
    said = " ".join(words)
    for part in (
        "--model runs/x/checkpoint",
        "--served-model-name policy-0123",
        "--host 127.0.0.1 --port 8001",
        "--dtype bfloat16",
        "--generation-config vllm",
        "--tensor-parallel-size 2",
        "--max-num-seqs 8",
    ):
        assert part in said
    assert said.endswith("--enforce-eager --no-async-scheduling")
    assert "--runner" not in said
    assert "--runner pooling" in " ".join(command(how, MODEL, "float32", 1, scores=True))


def test_gpus_are_dealt_out_to_the_replicas():
    how = LaunchConfig(replicas=2, tensor_parallel=2, gpus=(4, 5, 6, 7), environment={"CORE": "{replica}", "N": 1})
    first, second = environment(how, 0), environment(how, 1)
    assert (first["CUDA_VISIBLE_DEVICES"], second["CUDA_VISIBLE_DEVICES"]) == ("4,5", "6,7")
    assert (first["CORE"], second["CORE"], second["N"]) == ("0", "1", "1")
    assert first["VLLM_NO_USAGE_STATS"] == "1"
    assert "CUDA_VISIBLE_DEVICES" not in environment(LaunchConfig(), 0)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("{kind: vllm}", "name either `endpoints` that are running, or `launch` to start servers"),
        ("{kind: vllm, endpoints: ['http://a:1'], launch: {}}", "name either"),
        ("{kind: vllm, endpoints: ['gpu-1:8000']}", "'gpu-1:8000' is not an address"),
        ("{kind: vllm, endpoints: ['http://a:1', 'http://a:1/']}", "an address stands there twice"),
        ("{kind: vllm, endpoints: ['http://a:70000']}", "'http://a:70000' is not an address"),
        ("{kind: vllm, endpoints: ['http://a:1/v1']}", "name the server without /v1"),
        ("{kind: vllm, endpoints: ['http://me:secret@a:1']}", "an address names a user or a password"),
        ("{kind: vllm, launch: {arguments: {port: 1}}}", "`port` is what rstar says itself"),
        ("{kind: vllm, launch: {arguments: {tensor_parallel_size: 2}}}", "is launch.tensor_parallel"),
        ("{kind: vllm, launch: {replicas: 2, gpus: [0, 0]}}", "one stands there twice"),
        ("{kind: vllm, launch: {replicas: 2, gpus: [0]}}", "1 are named, and replicas x tensor_parallel are 2"),
        ("{kind: vllm, launch: {}}", "knows no float64; say model.dtype=float32"),
        ("{kind: sglang}", "engine.policy"),
    ],
)
def test_wrong_settings_are_refused(settings, said):
    with pytest.raises(ConfigError, match=re.escape(said)):
        load(RunConfig, [ROOT / "configs" / "tiny.yaml", f"engine.policy={settings}"])


def test_every_role_has_an_engine():
    engine = EngineConfig(ppm=VllmConfig(endpoints=("http://a:1/",)), others={"pqm": VllmConfig(launch=LaunchConfig())})
    assert [engine.of(role).kind for role in ("policy", "ppm", "pqm", "discriminator")] == [
        *("transformers", "vllm", "vllm", "transformers")
    ]
    assert engine.ppm.endpoints == ("http://a:1",)
    with pytest.raises(ValueError, match="has a section of its own"):
        EngineConfig(others={"policy": VllmConfig(launch=LaunchConfig())})


def test_the_compose_file_starts_servers_as_runs_do():
    services = yaml.safe_load((ROOT / "docker" / "engines.yaml").read_text(encoding="utf-8"))["services"]
    over = yaml.safe_load((ROOT / "docker" / "engines-gpu.yaml").read_text(encoding="utf-8"))["services"]
    assert set(over) == {"policy", "ppm"} == set(services) - {"worker"}
    for role in over:
        ours = [word for word in command(LaunchConfig(), MODEL, "float32", 1, role == "ppm") if word.startswith("--")]
        for flag in set(ours) - {"--host", "--port", "--disable-uvicorn-access-log", "--generation-config"}:
            assert f"{flag} " in services[role]["command"], flag
    for path in re.findall(r"docker/[\w.-]+", " ".join((ROOT / "docs" / "engines.md").read_text().split())):
        assert (ROOT / path.rstrip(".")).exists(), path


@pytest.fixture
def python(tmp_path) -> Path:
    """An interpreter that has the stand-in in the place of vLLM's server; what vLLM does is tested with vLLM."""
    path = tmp_path / "python"
    path.write_text(f'#!/bin/sh\nshift 2\nexec {sys.executable} {Path(__file__).with_name("stand_in.py")} "$@"\n')
    path.chmod(0o755)
    return path


@asynccontextmanager
async def running(python: Path, logs: Path, **changes: Any) -> AsyncIterator[tuple[Pool, Callable[[str], Any]]]:
    """A pool over launched stand-ins, and a function that asks it for a problem: it gives the answerer's pid."""
    launch = LaunchConfig(python=python, **changes)
    how = VllmConfig(launch=launch, health_s=0.5, patience_s=20.0)
    async with (
        launched(launch, MODEL, "float32", False, logs) as endpoints,
        Pool(MODEL, endpoints, how).open(all_up=True) as pool,
    ):
        yield pool, lambda key: pool.ask("/x", {}, key, lambda told: told["pid"])


def test_replicas_start_are_killed_start_again_and_stop_in_order(python, tmp_path):
    async def test():
        async with running(python, tmp_path / "logs", replicas=2) as (pool, ask):
            first = {await ask("a"), await ask("b")}
            assert len(first) == 2
            for round in range(3):
                os.kill(await ask("a"), signal.SIGKILL)
                later = await asyncio.gather(*(ask(f"{round}-{i}") for i in range(8)))
                assert len(set(later)) <= 2
            hung = await ask("a")
            os.kill(hung, signal.SIGSTOP)
            assert await ask("a") != hung
            while not all(one.up for one in pool.endpoints):
                await asyncio.sleep(0.1)

    asyncio.run(asyncio.wait_for(test(), 60))
    logs = [path.read_text() for path in sorted((tmp_path / "logs").glob("policy-0123-*.log"))]
    assert len(logs) == 2
    assert all(log.rstrip().endswith("stopped in order") for log in logs)
    assert sum(log.count("\n$ ") for log in logs) >= 5


def test_a_request_that_ends_its_server_fails_alone(python, tmp_path, monkeypatch):
    monkeypatch.setattr(servers, "_PAUSE_S", 0.1)

    async def test():
        async with running(python, tmp_path, replicas=2) as (pool, _):
            asked = [{"slow": 0.2, **({"ends": 1} if i == 7 else {})} for i in range(24)]
            told = await asyncio.gather(
                *(pool.ask("/x", body, str(i), lambda told: told["pid"]) for i, body in enumerate(asked)),
                return_exceptions=True,
            )
            assert [i for i, one in enumerate(told) if not isinstance(one, int)] == [7]
            assert isinstance(told[7], RolloutError)

    asyncio.run(asyncio.wait_for(test(), 120))


def test_one_that_comes_up_once_and_never_again_is_given_up(python, tmp_path, monkeypatch):
    monkeypatch.setattr(servers, "_PAUSE_S", 0.1)
    once = tmp_path / "once"
    once.write_text(
        f'#!/bin/sh\n[ -e {once}.was ] && echo no memory is left && exit 3\n: > {once}.was\n{python} "$@"\n'
    )
    once.chmod(0o755)

    async def test():
        async with running(once, tmp_path, start_s=5.0) as (_, ask):
            os.kill(await ask("a"), signal.SIGKILL)
            with pytest.raises(
                EngineDown, match=r"(?s)does not start \(it ended with exit code 3\).*no memory is left"
            ):
                await ask("a")

    asyncio.run(asyncio.wait_for(test(), 60))


def test_one_that_does_not_start_is_told_by_the_end_of_its_log(python, tmp_path):
    async def test():
        async with running(python, tmp_path, arguments={"no-such-argument": True}):
            pass

    with pytest.raises(EngineDown, match=r"(?s)does not start \(it ended with exit code 1\).*unrecognized arguments"):
        asyncio.run(test())


def test_one_that_is_never_healthy_is_given_up(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexec sleep 60\n")
    python.chmod(0o755)

    async def test():
        async with running(python, tmp_path, start_s=0.5):
            pass

    with pytest.raises(EngineDown, match=r"not healthy within 0\.5 s"):
        asyncio.run(test())


def test_one_whose_log_cannot_be_written_is_told(python, tmp_path):
    async def test():
        async with running(python, tmp_path):
            pass

    (tmp_path / f"{MODEL.name}-0.log").mkdir()
    with pytest.raises(EngineDown, match=rf"cannot be started: .*{MODEL.name}-0\.log: Is a directory"):
        asyncio.run(asyncio.wait_for(test(), 60))


def test_without_an_interpreter_one_line_says_how_to_make_one(tmp_path):
    missing = VllmConfig(launch=LaunchConfig(python=tmp_path / "nowhere"))
    check_servers(EngineConfig(policy=missing), ["ppm"])
    with pytest.raises(ConfigError, match=r"engine\.policy\.launch\.python: .*make setup-vllm"):
        check_servers(EngineConfig(policy=missing), ["ppm", "policy"])
    with pytest.raises(ConfigError, match=r"engine\.others\.pqm\.launch\.python"):
        check_servers(EngineConfig(others={"pqm": missing}), ["pqm"])
