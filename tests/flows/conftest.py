"""Settings that Prefect reads when it is imported, and a checkout of the project's own to bring Prefect up in."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.checkout import Checkout

os.environ.update(PREFECT_PLUGINS_ENABLED="false", PREFECT_SERVER_ANALYTICS_ENABLED="false", DO_NOT_TRACK="1")


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    made = Checkout(tmp_path / "checkout")
    yield made
    made.kill_all()
