"""What a file of training problems is made of: sources, benchmarks it must not overlap, how duplicates are told."""

from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from rstar.config.base import Config
from rstar.config.benchmark import Columns


class SourceConfig(Columns):
    """A source of training problems: files, or a data set of the hub, column by column.

    Without a column for the `id`, problems are named by what they say, so that names stay when rows move.
    """

    hub: str | None = None
    """Hub name, or a folder that `datasets` can load."""
    parts: tuple[str, ...] = ()
    """The hub's names for the parts that are taken, one after the other; empty takes the only one."""
    split: str = "train"
    files: tuple[Path, ...] = ()
    """JSONL (plain or gzip), JSON lists or Parquet, in the place of the hub."""
    problem: tuple[str, ...] | str = "problem"
    """Column with the text, or several that are joined by a blank."""
    answer: str | None = None
    """Column with the reference."""
    solution: str | None = None
    """Column with a worked solution: the reference is what it says in its last box, behind `####`, or as the answer.
    Used where there is no `answer`."""
    parent: str | None = None
    """Column with the text or the id of the problem that this one was made from."""
    where: dict[str, tuple[str, ...]] = {}
    """Rows to take: for a column, the values that count."""
    drop: dict[str, tuple[str, ...]] = {}
    """Rows to leave out: for a column, the values that do."""
    limit: int | None = Field(None, ge=1)
    """Only the first so many rows."""
    licence: str | None = None
    """What its publishers say its licence is; goes into the card."""

    @field_validator("files", mode="before")
    @classmethod
    def _one_or_several(cls, files: Any) -> Any:
        return [files] if isinstance(files, (str, Path)) else files

    @model_validator(mode="after")
    def _has_rows_and_references(self) -> "SourceConfig":
        if bool(self.files) == (self.hub is not None):
            raise ValueError("give either `hub` or `files`")
        if self.answer is None and self.solution is None:
            raise ValueError("there is no column with references: give `answer`, or `solution` to extract them from")
        return self


class DecontaminateConfig(Config):
    """What counts as an overlap with a benchmark. Equal texts always do, and so do equal texts up to LaTeX."""

    words: int = Field(8, ge=2)
    """A run of so many words that both say is an overlap (the common rule: 8)."""
    share: float = Field(0.0, ge=0, le=1)
    """Least share of the benchmark problem's runs that the training problem says too; 0 takes a single one."""


class DedupConfig(Config):
    """What counts as a duplicate. Equal texts up to LaTeX always do."""

    near: float | None = Field(0.8, gt=0, le=1)
    """Jaccard similarity of word 5-grams from which two problems with the same numbers and the same reference are one;
    null looks for equal texts alone."""
    hashes: int = Field(128, ge=16)
    """Hash functions of a MinHash signature."""


class BuildConfig(Config):
    """A training file: `rstar data build`."""

    sources: dict[str, dict[str, Any]] = Field(min_length=1)
    """By name, what differs from the adapter of that name in `configs/sources` (or from the one that `adapter` names):
    a whole source where there is none. Names are the first part of problem ids."""
    benchmarks: tuple[str, ...] = ()
    """What the file must not overlap: benchmarks by name, their YAML files, or JSONL of problems."""
    decontaminate: DecontaminateConfig = DecontaminateConfig()
    dedup: DedupConfig = DedupConfig()
    licence: str | None = None
    """Licence of the whole, for the card."""

    @field_validator("sources", mode="before")
    @classmethod
    def _empty_is_as_it_is(cls, sources: Any) -> Any:
        return {k: v or {} for k, v in sources.items()} if isinstance(sources, dict) else sources
