"""The round as a flow does what the pipeline does without Prefect, and nothing twice."""

import base64
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from prefect import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import Artifact, State, StateType
from prefect.testing.utilities import prefect_test_harness

from flows.round import round_flow
from rstar.errors import ConfigError, RecipeDrift
from rstar.evaluate import report as tables
from rstar.pipeline import inspect
from rstar.pipeline.round import run_round
from rstar.store.manifest import read

SMALL = [
    "configs/tiny.yaml",
    "ppm=null",
    "rounds.1.search.annotation=terminal",
    "rounds.0.policy.steps=4",
    "problems.test=2",
]
TIMED = ("checkpoint/metrics.json", "checkpoint/README.md")
"""They hold seconds and places, so their bytes differ from run to run."""

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def server() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=180):
        yield


def test_a_flow_leaves_the_same_run_as_the_pipeline(
    server: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    config = [*SMALL, f"runtime.runs={tmp_path / 'flow'}"]
    state: State[Any] = round_flow(config, 1, return_state=True)
    assert state.type is StateType.COMPLETED, state.message
    run_round(inspect.config([*SMALL, f"runtime.runs={tmp_path / 'plain'}"]), 1)

    one, other = tmp_path / "flow" / "tiny", tmp_path / "plain" / "tiny"
    assert _identities(one) == _identities(other)
    assert len(_identities(one)) == 8
    assert inspect.check(one) == (8, [], [])

    artifacts = _artifacts(state)
    assert {"round-1-search", "round-1-policy"} <= artifacts.keys()
    assert all(found.data == 100 for found in artifacts.values() if found.type == "progress")
    table, report = str(artifacts["tiny-round-1-table"].data), str(artifacts["tiny-round-1-report"].data)
    assert "coverage of L1" in table
    assert "policy pass@1" in table
    for cells in tables.rows(inspect.summaries(one)):
        assert f"| {' | '.join(cells)} |" in report
    assert "| L1 | 12 |" in report
    assert "verified against the reference" in report
    assert "| round-1/policy |" in report
    pictures = re.findall(r"\(data:image/svg\+xml;base64,([^)]+)\)", report)
    assert len(pictures) == 6
    for picture in pictures:
        assert ElementTree.fromstring(base64.b64decode(picture)).tag.endswith("svg")
    assert str((one / "report.html").resolve()) in report
    assert (one / "report.html").read_text().startswith("<!doctype html>")
    search = read(one / "round-1" / "search")
    assert search is not None
    assert f"round-1/search<br/>{search.fingerprint[:8]}" in report

    # Wrong input and another recipe are reported at once: no second try could mend them.
    started = time.monotonic()
    drift: State[Any] = round_flow([*config, "rounds.0.search.rollouts=5"], 1, return_state=True)
    assert isinstance(drift.data, RecipeDrift) or "RecipeDrift" in str(drift.message)
    wrong: State[Any] = round_flow(["configs/nothing.yaml"], 1, return_state=True)
    assert isinstance(wrong.data, ConfigError) or "ConfigError" in str(wrong.message)
    assert time.monotonic() - started < 30


def _identities(folder: Path) -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """Each stage's fingerprint and the hashes of its files."""
    found = {}
    for path in inspect.stages(folder):
        manifest = read(path)
        assert manifest is not None
        assert manifest.status == "complete"
        parts = [(part.path, part.sha256) for part in manifest.parts if part.path not in TIMED]
        found[str(path.relative_to(folder))] = manifest.fingerprint, parts
    return found


def _artifacts(state: State[Any]) -> dict[str, Artifact]:
    run = state.state_details.flow_run_id
    assert run is not None
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run])),
        )
    return {str(artifact.key): artifact for artifact in found}
