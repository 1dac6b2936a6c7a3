"""The command lines and variables that servers are started with, and the settings that say so."""

import re
from pathlib import Path

import pytest
import yaml

from rstar.config.engine import EngineConfig, LaunchConfig, VllmConfig
from rstar.config.load import load
from rstar.config.run import RunConfig
from rstar.engine.endpoints import Served
from rstar.engine.servers import command, environment
from rstar.errors import ConfigError

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
        ("{kind: vllm, endpoints: ['http://a:1', 'http://a:1']}", "an address stands there twice"),
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
