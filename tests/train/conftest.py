"""A base model of a few thousand parameters, some rows and pairs, and jobs that train on them in seconds."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

os.environ |= {"DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}

from rstar.config.models import TinyModelConfig
from rstar.config.train import PpmConfig, SftConfig
from rstar.text.grammar import Grammar, Kind, Segment, written
from rstar.train.job import SftJob, ValueJob

TINY = TinyModelConfig(hidden=16, layers=2, heads=2, ffn=24, context=96)
GRAMMAR = Grammar(observe=True)


def row(start: int, more: int) -> dict[str, Any]:
    """A problem whose solution has two steps, two output blocks and an answer."""
    steps = written([f"# Ann has {start}\nx = {start}\nprint(x)", f"# then {more}\nprint(x + {more})"])
    first = steps[0] + GRAMMAR.observation(Kind.STEP, str(start))
    second = steps[1] + GRAMMAR.observation(Kind.LAST_STEP, str(start + more))
    answer = Segment(Kind.ANSWER, f"\\boxed{{{start + more}}}").render()
    return {
        "problem_id": f"p{start}",
        "prompt": GRAMMAR.prompt(f"Ann has {start}. She gets {more}. How many?"),
        "solution": first + second + answer,
    }


def pair(start: int, more: int, weight: float) -> dict[str, Any]:
    good = row(start, more)
    bad = good["solution"].replace(f"x + {more}", f"x - {more}")
    shared = {"problem_id": good["problem_id"], "group": "0", "kind": "answer", "prompt": good["prompt"]}
    return shared | {"chosen": good["solution"], "rejected": bad, "margin": 2.0, "weight": weight}


ROWS = [row(10 + 3 * i, 4 + i) for i in range(12)]
PAIRS = [pair(10 + 3 * i, 4 + i, (1.0, 0.5, 0.25)[i % 3]) for i in range(12)]


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint folder of an untrained model."""
    from rstar.train.base import make_base

    folder = tmp_path_factory.mktemp("base") / "checkpoint"
    make_base(TINY, [row["prompt"] + row["solution"] for row in ROWS], 1, folder)
    return folder


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `rows.parquet` and `pairs.parquet`."""
    folder = tmp_path_factory.mktemp("files")
    pq.write_table(pa.Table.from_pylist(ROWS), folder / "rows.parquet")
    pq.write_table(pa.Table.from_pylist(PAIRS), folder / "pairs.parquet")
    return folder


@pytest.fixture
def sft(base: Path, files: Path, tmp_path: Path) -> Callable[..., SftJob]:
    """Makes SFT jobs: fields of the configuration by name, `out` by its last part."""

    def make(out: str = "policy", save_steps: int | None = None, **config: Any) -> SftJob:
        cfg = SftConfig(**{"batch": 4, "micro_batch": 4, "steps": 4, "lr": 1e-2, "optimizer": "muon"} | config)
        files_ = {"rows": files / "rows.parquet", "start": base, "out": tmp_path / out}
        return SftJob(config=cfg, seed=7, device="cpu", save_steps=save_steps, **files_)

    return make


@pytest.fixture
def ppm(base: Path, files: Path, tmp_path: Path) -> Callable[..., ValueJob]:
    """Makes PPM jobs, as `sft` makes SFT jobs."""

    def make(out: str = "ppm", **config: Any) -> ValueJob:
        cfg = PpmConfig(**{"batch": 4, "micro_batch": 4, "steps": 4, "lr": 1e-2, "optimizer": "muon"} | config)
        return ValueJob(config=cfg, seed=7, device="cpu", rows=files / "pairs.parquet", start=base, out=tmp_path / out)

    return make


def silent(step: int, of: int, loss: float | None) -> None:
    """A report of progress that nobody wants."""
