"""The page of the finished tiny evolution, made once."""

from pathlib import Path

import pytest

from rstar.report import page
from tests.pipeline import tiny
from tests.pipeline.conftest import finished, run

__all__ = ["finished", "run"]


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    """The file of the page."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    page.write(tiny.evolved() / "runs" / "tiny", path)
    return path
