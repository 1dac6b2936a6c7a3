"""An evaluation's answers on disk: one row a problem, as `rstar.pipeline.evaluate` wrote them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from rstar.store.layout import ANSWERS


def read_answers(stage: Path) -> Iterator[dict[str, Any]]:
    """The rows of a finished evaluation, in its order; a problem whose search failed has none."""
    return map(orjson.loads, (stage / ANSWERS).read_bytes().splitlines())
