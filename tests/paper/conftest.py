"""Every table once, of the smallest evolution, for all tests of this package."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rstar.train.job import SftJob, ValueJob
from tests.cli.calling import Done, rstar
from tests.pipeline import tiny

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Desk:
    """A folder with the problems and the runs of the smallest evolution, and the page of its tables."""

    folder: Path

    @property
    def run(self) -> Path:
        return self.folder / "runs" / "tiny-seed-1"

    @property
    def page(self) -> Path:
        return self.folder / "results.md"

    def evolution(self, *overrides: str) -> str:
        """The tests' evolution in the place of configs/tiny.yaml, whose policy never learns to solve anything."""
        sources = [f"problems.{name}={self.folder / name}.jsonl" for name in ("train", "test")]
        sources += [f"bootstrap.demonstrations={self.folder / 'worked.jsonl'}", "runtime.parallel_training=1"]
        return f"evolution={json.dumps([str(self.folder / 'run.yaml'), *sources, *overrides])}"

    def paper(self, table: str, *words: str) -> Done:
        """`rstar paper TABLE configs/paper-tiny.yaml` here."""
        places = [f"runs={self.folder / 'runs'}", f"out={self.page}"]
        evolution = [] if any(word.startswith("evolution=") for word in words) else [self.evolution()]
        return rstar("paper", table, ROOT / "configs" / "paper-tiny.yaml", *evolution, *places, "-q", *words)

    def copied(self, folder: Path) -> "Desk":
        """A copy that a test may change."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Desk(folder)


def trained_here(job: SftJob | ValueJob, *, devices: int = 1, log: Path, **_: Any) -> dict[str, Any]:
    """What the training process does, in this one: to start an interpreter costs ten times such a training."""
    from rstar.train.policy import train_policy
    from rstar.train.value import train_value

    log.parent.mkdir(parents=True, exist_ok=True)
    log.touch()
    train: Any = train_policy if isinstance(job, SftJob) else train_value
    return train(job, lambda step, of, loss: None)


@pytest.fixture(scope="package", autouse=True)
def training_here() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rstar.pipeline.train.run", trained_here)
        yield


@pytest.fixture(scope="package")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """With every table made; nobody writes into it."""
    made = Desk(tmp_path_factory.mktemp("paper"))
    tiny.prepare(made.folder)
    done = made.paper("all", "--json")
    (made.folder / "stdout").write_text(done.stdout)
    assert done.returncode == 0, done.stderr
    return made
