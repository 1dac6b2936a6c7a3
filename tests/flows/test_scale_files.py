"""Files for machines that the tests have not: the compose file and the work-pool templates, as far as they can be held
against what is here."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.settings import Settings
from prefect.workers.process import ProcessJobConfiguration

from flows import scale
from flows.deploy import POOLS

ROOT = Path(__file__).parents[2]
KINDS = ("docker", "kubernetes", "process")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())
    return found


def template(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((POOLS / f"{kind}.json").read_text())
    return found


def placeholders(value: Any) -> set[str]:
    return set(re.findall(r"{{ (\w+) }}", json.dumps(value)))


def test_the_compose_file_says_what_the_loopback_profile_says(compose):
    """Which test_scale.py has seen working."""
    ours = scale.settings("postgresql+asyncpg://rstar:x@postgres:5432/prefect", "redis://redis:6379")
    theirs = compose["services"]["api"]["environment"]
    for name, value in ours.items():
        found = re.sub(r"\$\{POSTGRES_PASSWORD[^}]*\}", "x", theirs[name])
        assert found == value, name


def test_its_services_wait_for_services_that_are_there(compose):
    services = compose["services"]
    assert {"postgres", "redis", "api", "services", "ui", "worker", "policy", "ppm"} <= set(services)
    for service in services.values():
        for name, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[name], name
            else:
                assert services[name]["restart"] == "no", name
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in published)
    volumes = [one.partition(":")[0] for service in services.values() for one in service.get("volumes", [])]
    assert {name for name in volumes if not name.startswith("..")} == set(compose["volumes"])


def test_the_settings_it_gives_are_settings_of_prefect(compose):
    known = set(re.findall(r"PREFECT_[A-Z_]+", json.dumps(Settings.model_json_schema(), default=str)))
    said = {name for one in compose["services"].values() for name in one.get("environment", {})}
    messaging = {"PREFECT_REDIS_MESSAGING_URL"}  # prefect-redis reads it itself
    assert {name for name in said if name.startswith("PREFECT_")} - known <= messaging


@pytest.mark.parametrize("kind", KINDS)
def test_a_template_has_a_variable_for_all_it_leaves_open(kind):
    found = template(kind)
    assert placeholders(found["job_configuration"]) <= set(found["variables"]["properties"])


def test_what_a_job_is_made_of_is_there():
    job = template("kubernetes")["job_configuration"]["job_manifest"]
    pod = job["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert template("docker")["variables"]["properties"]["volumes"]["default"] == ["rstar-runs:/rstar/runs"]


def test_the_workers_own_classes_take_the_templates():
    classes: dict[str, Any] = {"process": ProcessJobConfiguration}
    docker = pytest.importorskip("prefect_docker.worker", reason="prefect-docker is not installed")
    kubernetes = pytest.importorskip("prefect_kubernetes.worker", reason="prefect-kubernetes is not installed")
    classes |= {
        "docker": docker.DockerWorkerJobConfiguration,
        "kubernetes": kubernetes.KubernetesWorkerJobConfiguration,
    }
    for kind, one in classes.items():
        found = template(kind)
        defaults = {name: its["default"] for name, its in found["variables"]["properties"].items() if "default" in its}
        defaults |= {"labels": {}, "annotations": {}}

        def filled(value: Any, given: dict[str, Any] = defaults) -> Any:
            if isinstance(value, dict):
                made = {name: filled(inner) for name, inner in value.items()}
                return {name: inner for name, inner in made.items() if inner is not None}
            if isinstance(value, list):
                return [filled(inner) for inner in value]
            only = re.fullmatch(r"{{ (\w+) }}", value) if isinstance(value, str) else None
            if only is not None:
                return given.get(only[1])
            return re.sub(r"{{ (\w+) }}", "x", value) if isinstance(value, str) else value

        one.model_validate(filled(found["job_configuration"]))
