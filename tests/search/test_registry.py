"""No strategy without its tests: cases (which batching and replay run over), a golden tree, and properties."""

from pathlib import Path

import pytest

from rstar.config.search import CONFIGS
from rstar.search import STRATEGIES
from tests.search import generated
from tests.search.cases import CASES, GOLDEN


def lacking(kind: str) -> list[str]:
    """What has to be written before `kind` may be registered."""
    own = Path(__file__).with_name(f"test_{kind}.py")
    there = {
        "a case in tests/search/cases.py, CASES": any(case.config.kind == kind for case in CASES.values()),
        "a golden tree in tests/search/cases.py, GOLDEN": any(case.config.kind == kind for case in GOLDEN.values()),
        f"properties: configs in tests/search/generated.py, or Hypothesis in {own.name}": kind in generated.CONFIGS
        or (own.exists() and "@given" in own.read_text(encoding="utf-8")),
        "a config class in rstar/config/search.py, CONFIGS": kind in CONFIGS,
    }
    return [name for name, found in there.items() if not found]


@pytest.mark.parametrize("kind", STRATEGIES)
def test_every_strategy_has_its_tests(kind: str):
    assert not lacking(kind), f"{kind} has not: {lacking(kind)}"


def test_a_strategy_without_tests_would_be_found():
    assert len(lacking("new")) == 4


def test_every_config_has_its_function():
    assert set(STRATEGIES) == set(CONFIGS)
    assert all(CONFIGS[kind].model_fields["kind"].default == kind for kind in CONFIGS)
