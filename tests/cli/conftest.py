"""The finished tiny evolution that the commands look at."""

from tests.pipeline.conftest import copy, finished, run

__all__ = ["copy", "finished", "run"]
