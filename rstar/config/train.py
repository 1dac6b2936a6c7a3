"""How the policy and the value models are trained."""

from typing import Annotated, Literal

from pydantic import Field

from rstar.config.base import Config


class WordsAugmentConfig(Config):
    """Renaming for the WORDS family: names and numbers always, verbs sometimes."""

    kind: Literal["words"] = "words"
    verbs: float = Field(0.1, ge=0, le=1)
    """Share of examples whose verbs are permuted at random. It destroys their meaning on purpose: the policy learns to
    copy verbs it has never seen and to try every shape of step for them."""


class RenumberAugmentConfig(Config):
    """Other numbers in the problem and, consistently, in its steps."""

    kind: Literal["renumber"] = "renumber"
    p: float = Field(0.8, ge=0, le=1)
    """Share of examples that are renumbered."""


AugmentConfig = Annotated[WordsAugmentConfig | RenumberAugmentConfig, Field(discriminator="kind")]


class TrainConfig(Config):
    """What every training run has."""

    batch: int = Field(128, ge=1)
    """Examples (pairs, for preference models) in one optimizer step."""
    micro_batch: int = Field(8, ge=1)
    """Examples in one forward pass on one device; the rest of the batch is accumulated."""
    epochs: float = Field(2, gt=0)
    """Passes over the data; ignored when `steps` is set."""
    steps: int | None = Field(None, ge=1)
    """Optimizer steps, however much data there is."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """`muon`: Muon for the hidden matrices with 5 times the rate, AdamW for all else."""
    lr: float = Field(7e-6, gt=0)
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup: int = Field(0, ge=0)
    """Optimizer steps of linear warm-up."""
    weight_decay: float = Field(0.1, ge=0)
    clip: float = Field(1.0, gt=0)
    """Gradient norm above which gradients are scaled down."""
    max_length: int = Field(4096, ge=16)
    """Tokens of an example; longer ones are left out and counted."""
    gradient_checkpointing: bool = False
    augment: AugmentConfig | None = None
    """Variation of examples, drawn anew each time one is seen."""


class SftConfig(TrainConfig):
    """Fine-tuning of the policy: next-token loss on what the policy wrote, prompt and output blocks masked."""

    packing: bool = False
    """Several examples in one row, kept apart by their positions."""
    start: Literal["base", "previous"] = "base"
    """What is fine-tuned: the base model every round (as in the paper), or the last round's policy."""


class PpmConfig(TrainConfig):
    """The process preference model: Bradley-Terry loss over pairs, score = tanh(logit)."""

    batch: int = Field(512, ge=1)
    epochs: float = Field(1, gt=0)
