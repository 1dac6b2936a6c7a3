"""The finished tiny evolution, to look at and to copy."""

from pathlib import Path

import pytest

from tests.pipeline import tiny


@pytest.fixture(scope="session")
def finished() -> Path:
    """The folder of a finished evolution's config and runs; not to be written into."""
    return tiny.evolved()


@pytest.fixture(scope="session")
def run(finished) -> Path:
    """The finished run itself."""
    return finished / "runs" / "tiny"


@pytest.fixture
def copy(tmp_path) -> Path:
    """A copy of the folder that the test may change."""
    return tiny.copied(tmp_path / "copy")
