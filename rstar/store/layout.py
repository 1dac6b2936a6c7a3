"""Every path of a run, in one place."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RoundPaths:
    """The folders of one round; each is a stage with a manifest of its own."""

    folder: Path

    @property
    def spec(self) -> Path:
        return self.folder / "spec.json"

    @property
    def search(self) -> Path:
        return self.folder / "search"

    @property
    def select(self) -> Path:
        return self.folder / "select"

    @property
    def policy(self) -> Path:
        return self.folder / "policy"

    @property
    def ppm(self) -> Path:
        return self.folder / "ppm"

    def value(self, role: str) -> Path:
        """The value model that plays `role`."""
        return self.ppm if role == "ppm" else self.folder / "values" / role

    @property
    def control(self) -> Path:
        return self.folder / "control"

    @property
    def eval_policy(self) -> Path:
        return self.folder / "eval" / "policy"

    @property
    def eval_control(self) -> Path:
        return self.folder / "eval" / "control"

    @property
    def eval_search(self) -> Path:
        return self.folder / "eval" / "search"

    @property
    def report(self) -> Path:
        return self.folder / "eval" / "report"

    @property
    def gate(self) -> Path:
        return self.folder / "gate"


@dataclass(frozen=True, slots=True)
class RunPaths:
    """The folder of a whole evolution."""

    folder: Path

    @property
    def run(self) -> Path:
        return self.folder / "run.json"

    @property
    def problems(self) -> Path:
        return self.folder / "problems"

    @property
    def base(self) -> Path:
        return self.folder / "base"

    @property
    def pretrained(self) -> Path:
        return self.folder / "pretrained"

    @property
    def servers(self) -> Path:
        """Logs of the servers that stages started."""
        return self.folder / "servers"

    @property
    def report(self) -> Path:
        return self.folder / "report.md"

    def round(self, number: int) -> RoundPaths:
        """The paths of round `number`, counted from 1."""
        return RoundPaths(self.folder / f"round-{number}")


CHECKPOINT = "checkpoint"
TREES = "trees"
FAILURES = "failures.jsonl"
SHARDS = "shards"
SFT = "sft.parquet"
PLAYS = "plays.parquet"
PAIRS = "pairs.parquet"
LABELS = "labels.parquet"
TRUST = "trust.json"
SUSPECTS = "suspects.jsonl"
ANSWERS = "answers.jsonl"
REPORT = "report.json"
GATE = "gate.json"
