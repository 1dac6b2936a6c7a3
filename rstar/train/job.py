"""One training job as a file: everything a training process needs to know, and nothing it has to guess."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from rstar.config.base import Config
from rstar.config.train import SftConfig, ValueConfig
from rstar.errors import InputError
from rstar.tracking import Tracking


class _Job(Config):
    rows: Path
    """Parquet file with the training data."""
    start: Path
    """Checkpoint folder that is trained on."""
    out: Path
    """Checkpoint folder to write; it must not exist. Work goes on in `OUT.tmp` beside it."""
    seed: int = 0
    threads: int = Field(1, ge=1)
    """CPU threads of torch."""
    device: str = "auto"
    """`cpu`, `cuda`, `cuda:1`, or `auto`."""
    accelerate: Path | None = None
    """Configuration file of `accelerate` (FSDP2, DeepSpeed) when more than one device trains."""
    save_steps: int | None = Field(None, ge=1)
    """Optimizer steps between intermediate checkpoints, from which an interrupted run continues; none by default."""
    tracking: Tracking = Tracking()
    lineage: dict[str, str] = Field({})
    """Where model and data come from, for the model card: name -> text."""

    @property
    def work(self) -> Path:
        """The folder in which the job works; it is gone when the job is done."""
        return self.out.with_name(self.out.name + ".tmp")

    def check(self) -> None:
        """Raises InputError if what the job needs is not there, or its checkpoint is."""
        if not self.rows.is_file():
            raise InputError(f"cannot read the training data {self.rows}: no such file")
        if not (self.start / "config.json").is_file():
            raise InputError(f"cannot start from {self.start}: there is no config.json, so it is no checkpoint folder")
        if self.out.exists():
            raise InputError(f"{self.out} exists already; remove it to train again")


class SftJob(_Job):
    """Fine-tune a policy on rows with the columns `problem_id`, `prompt`, `solution`."""

    kind: Literal["sft"] = "sft"
    config: SftConfig
    outputs: bool = False
    """The loss is on the executor's output blocks too, not only on what the policy wrote."""

    @property
    def makes(self) -> str:
        """What kind of model it makes."""
        return "sft"


class ValueJob(_Job):
    """Train a value model: on pairs (`prompt`, `chosen`, `rejected`, `weight`) for a PPM or ORM, on labelled steps
    (`prompt`, `prefix`, `label`, `weight`) for all others. Other columns are ignored."""

    kind: Literal["value"] = "value"
    config: ValueConfig

    @property
    def makes(self) -> str:
        """What kind of model it makes."""
        return self.config.kind


Job = Annotated[SftJob | ValueJob, Field(discriminator="kind")]
_JOB: TypeAdapter[SftJob | ValueJob] = TypeAdapter(Job)


def read_job(path: Path) -> SftJob | ValueJob:
    """The job in a JSON file; raises InputError that names the file and the fields."""
    try:
        return _JOB.validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read the job file {path}: {error.strerror}") from error
    except ValidationError as error:
        raise InputError(f"{path} is not a training job: {error}") from error
