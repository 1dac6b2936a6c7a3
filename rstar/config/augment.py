"""New questions out of given ones: `rstar augment`."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from rstar.config.base import Config
from rstar.config.engine import EngineConfig
from rstar.config.run import GradingConfig, GrammarConfig
from rstar.sandbox.config import SandboxConfig

Method = Literal["rephrase", "self_verification", "fobar", "answers", "numbers", "conditions", "new"]


class CheckConfig(Config):
    """How a question shows that it has an answer: the policy solves it several times."""

    solutions: int = Field(10, ge=1)
    """Solutions of each question."""
    agree: int = Field(3, ge=1)
    """How many of them must agree with each other, or with the reference where there is one."""
    min_score: float = Field(-1.0, ge=-1, le=1)
    """Solutions that the value model scores lower are not counted; needs `value`."""
    temperature: float = Field(1.0, gt=0)
    max_depth: int = Field(16, ge=1)
    """Steps of a solution at most."""
    max_tokens: int = Field(512, ge=1)
    """Tokens of a step at most."""

    @model_validator(mode="after")
    def _can_agree(self) -> Self:
        if self.agree > self.solutions:
            raise ValueError(f"agree: {self.agree} of {self.solutions} solutions can never agree")
        return self


class QuestionsConfig(Config):
    """Augmentation of questions (MetaMath, MuggleMath), and new ones from seeds (rStar-Math)."""

    problems: Path
    """JSONL of problems with answers."""
    limit: int | None = Field(None, ge=1)
    """Only the first so many."""
    methods: tuple[Method, ...] = ("rephrase", "self_verification", "fobar", "answers")
    """MetaMath's four; `numbers` and `conditions` are MuggleMath's, `new` makes problems from several seeds."""
    each: int = Field(1, ge=1)
    """Questions a method makes of each problem."""
    seeds: int = Field(3, ge=1)
    """Problems that are shown for a `new` one."""
    policy: Path
    """Folder of a checkpoint, or hub name: it writes questions and solves them."""
    dtype: Literal["float32", "float64", "bfloat16", "float16"] = "bfloat16"
    examples: Path | None = None
    """JSONL of demonstrations: solutions are asked for by an instruction with these; without it in the fine-tuned
    format."""
    value: Path | None = None
    """Folder of a value model's checkpoint, which scores solutions."""
    check: CheckConfig = CheckConfig()
    temperature: float = Field(0.7, gt=0)
    """Of questions."""
    max_tokens: int = Field(512, ge=1)
    """Tokens of a question at most."""
    seed: int = Field(1, ge=0)
    task: Literal["math"] = "math"
    grammar: GrammarConfig = GrammarConfig()
    grading: GradingConfig = GradingConfig()
    sandbox: SandboxConfig = SandboxConfig()
    engine: EngineConfig = EngineConfig()
    max_live: int = Field(256, ge=1)
    """Questions under way at once."""
    max_failure_rate: float = Field(0.05, ge=0, le=1)
    """Share of questions whose making may fail before the stage stops."""
