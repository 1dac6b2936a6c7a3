"""A benchmark: where its problems come from, and which column is what."""

from typing import Literal

from pydantic import Field

from rstar.config.base import Config


class Columns(Config):
    """Which column of a table is what, for held-out problems and for sources of training problems alike."""

    revision: str = "main"
    """Commit; `main` moves. Problems are known by what they say, whatever stands here."""
    id: str | None = None
    """Column with the name of a problem."""
    problem: tuple[str, ...] | str
    """Column with the text, or several that are joined by a blank."""
    level: str | None = None
    """Column with the level, if there is one."""


class BenchmarkConfig(Columns):
    """A set of held-out problems from the hub (or a local folder that `datasets` can load), column by column.

    Without a column for the `id` they are numbered from 0.
    """

    hub: str
    """Hub name or folder."""
    config: str | None = None
    """The hub's name for a part of it."""
    split: str = "test"
    task: Literal["math", "code", "yesno"] = "math"
    """What its problems ask for."""
    answer: str
    """Column with the reference: text, a number, yes or no as a truth value, or a list (of answers, or of tests)."""
    setup: str | None = None
    """Column with code that runs before a program's tests, if there is one."""
    answer_after: str | None = Field(None, min_length=1)
    """The answer is what stands behind the last of these marks (`####` in GSM8K)."""
    drop_unanswered: bool = False
    """Leave out rows without an answer, instead of refusing them."""
