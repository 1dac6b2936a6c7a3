"""A comparison: strategies at several budgets, on the same problems with the same models."""

from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from rstar.config.base import Config


class CompareRow(Config):
    """One strategy, at one budget or several."""

    search: dict[str, Any]
    """Its `kind`, and what differs from the run's own search settings."""
    budgets: dict[str, tuple[Any, ...]] = {}
    """Settings of the search and their values, budget by budget: `{n: [4, 8, 16]}`."""
    name: str | None = None
    """What tables call it; its kind, if nothing is said."""

    @field_validator("search")
    @classmethod
    def _has_a_kind(cls, search: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(search.get("kind"), str):
            raise ValueError("`kind` is missing")
        return search

    @field_validator("budgets")
    @classmethod
    def _are_as_long_as_each_other(cls, budgets: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
        if budgets and (len({len(values) for values in budgets.values()}) > 1 or () in budgets.values()):
            raise ValueError("every setting needs a value for each budget, and at least one")
        return budgets

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The settings of each budget."""
        if not self.budgets:
            return [{}]
        return [dict(zip(self.budgets, values, strict=True)) for values in zip(*self.budgets.values(), strict=True)]


class CompareConfig(Config):
    """A comparison of strategies at several budgets."""

    title: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Names the comparison and its folder, `comparisons/TITLE` of the run."""
    run: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """The run whose models are compared."""
    runs: Path = Path("runs")
    """Folder of all runs."""
    round: int | None = Field(None, ge=1)
    """Which round's models; the last one's."""
    problems: str | None = None
    """A problem file or a benchmark; the run's held-out problems."""
    levels: tuple[str, ...] | None = None
    """Only problems of these levels."""
    per_level: int | None = Field(None, ge=1)
    """Only the first so many problems of each level."""
    limit: int | None = Field(None, ge=1)
    """Only the first so many problems."""
    rows: tuple[CompareRow, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _has_rows_of_different_names(self) -> "CompareConfig":
        names = [row.name or row.search["kind"] for row in self.rows]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"rows: two are called {twice!r}; give one of them a `name`")
        return self
