"""How the policy and the value models are trained."""

from typing import Annotated, Literal

from pydantic import Field

from rstar.config.base import Config
from rstar.config.engine import EngineConfig
from rstar.config.models import ModelConfig, TinyModelConfig


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


class CountdownAugmentConfig(Config):
    """Another order of the numbers that a COUNTDOWN state shows, which keeps what it means."""

    kind: Literal["countdown"] = "countdown"
    p: float = Field(0.7, ge=0, le=1)
    """Share of examples whose states are shuffled."""


class RenameAugmentConfig(Config):
    """Other words in the place of a problem's rare ones (names, things), the same wherever they stand in it.

    What a problem is about seldom matters to how it is solved. Words that the solution names stay. For models from
    scratch: the words that are drawn come from the examples and the model's own vocabulary.
    """

    kind: Literal["rename"] = "rename"
    p: float = Field(0.5, ge=0, le=1)
    """Share of the rare words that are replaced."""
    rare: float = Field(0.02, gt=0, le=1)
    """Share of the examples' problems in which a word stands at most to be called rare."""


AugmentConfig = Annotated[
    WordsAugmentConfig | RenumberAugmentConfig | CountdownAugmentConfig | RenameAugmentConfig,
    Field(discriminator="kind"),
]


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


class ValueModelConfig(TrainConfig):
    """What the training of every value model has. A score is in [-1, 1] whatever the model was taught."""

    batch: int = Field(512, ge=1)
    epochs: float = Field(1, gt=0)


class PairsConfig(ValueModelConfig):
    """What models have that learn from pairs: Bradley-Terry loss, score = tanh(logit)."""

    tanh_in_loss: bool = True
    """The loss compares scores, as they are served; without it logits, as in the public code: tanh is for use alone."""


class PpmConfig(PairsConfig):
    """The process preference model: Bradley-Terry loss over pairs of steps and of whole solutions."""

    kind: Literal["ppm"] = "ppm"


class OrmConfig(PairsConfig):
    """Outcome reward model: Bradley-Terry loss over whole trajectories of one problem, right ones over wrong ones."""

    kind: Literal["orm"] = "orm"
    pairs: int = Field(2, ge=1)
    """Right and wrong trajectories a problem at most: up to pairs x pairs preferences."""


FROM_PAIRS = ("ppm", "orm")
"""Kinds of PairsConfig: an example has two texts."""


class RowsConfig(ValueModelConfig):
    """What models have that learn a label for each step of a tree."""

    most: int | None = Field(None, ge=1)
    """Labelled steps a problem at most, drawn evenly; null takes all."""


class PqmConfig(RowsConfig):
    """Process Q-value model: squared error to the Q-values of the search."""

    kind: Literal["pqm"] = "pqm"


class HardConfig(RowsConfig):
    """Math-Shepherd's hard estimate: cross-entropy to whether any continuation of the step is right."""

    kind: Literal["hard"] = "hard"


class SoftConfig(RowsConfig):
    """Math-Shepherd's soft estimate: cross-entropy to the share of the step's continuations that are right."""

    kind: Literal["soft"] = "soft"


class PrmConfig(RowsConfig):
    """Process reward model: each step is bad, neutral or good, in a head of three classes."""

    kind: Literal["prm"] = "prm"
    good: float = Field(0.5, gt=0, le=1)
    """A step is good if at least this share of its continuations is right, bad if none is, else neutral."""
    neutral: Literal["good", "bad"] = "bad"
    """What a neutral step counts as in the score, 2 P(good) - 1."""


class RestMctsConfig(RowsConfig):
    """ReST-MCTS*'s value: squared error to how much of the way to a right answer the steps so far have covered."""

    kind: Literal["rest_mcts"] = "rest_mcts"


class QvmConfig(RowsConfig):
    """Q*'s Q-value model: squared error to the best reward that a step can still reach."""

    kind: Literal["qvm"] = "qvm"
    labels: Literal["pool", "fitted"] = "pool"
    """`pool`: the best end below the step in its tree. `fitted`: fitted Q-iteration, which trains `iterations` models,
    each on labels from the one before."""
    gamma: float = Field(1.0, gt=0, le=1)
    """Discount of a step in fitted Q-iteration."""
    iterations: int = Field(4, ge=1)
    """Rounds of fitted Q-iteration; an end counts for steps that are fewer steps than that above it."""


AnyValueModel = PpmConfig | PqmConfig | OrmConfig | PrmConfig | QvmConfig | HardConfig | SoftConfig | RestMctsConfig
ValueConfig = Annotated[AnyValueModel, Field(discriminator="kind")]


class FileTrainConfig(Config):
    """A model trained from one file alone: `rstar train`."""

    seed: int = Field(1, ge=0, le=4_000_000)
    model: ModelConfig = TinyModelConfig()
    """What is trained on, where no checkpoint is given to start from."""
    policy: SftConfig = SftConfig()
    """How a policy is trained, from a file of `query` and `response`."""
    ppm: PpmConfig = PpmConfig()
    """How a PPM is trained, from a file of `prompt`, `pos` and `neg`."""
    engine: EngineConfig = EngineConfig()
    devices: int = Field(1, ge=1)
    """Devices; more than one goes through `accelerate launch`."""
