"""How a stage says how far it is, without knowing who listens."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""(stage, done, total): called often; whoever shows it thins it out."""


def silent(stage: str, done: int, total: int) -> None:
    """Nobody listens."""
