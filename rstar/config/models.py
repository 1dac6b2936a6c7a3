"""The base model: one from random weights, or one from the hub."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from rstar.config.base import Config


class TokenizerConfig(Config):
    """The tokenizer of a from-scratch model: whole words seen in training text, single bytes for all others."""

    numbers: Literal["digits", "whole"] = "digits"
    """Numbers digit by digit, so that any can be copied; or one token each for those in the training text."""
    min_count: int = Field(1, ge=1)
    """Words seen less often are spelt in bytes."""


class TinyModelConfig(Config):
    """A small Llama-style model from random weights: what a laptop trains from scratch."""

    kind: Literal["tiny"] = "tiny"
    hidden: int = Field(64, ge=8)
    layers: int = Field(3, ge=1)
    heads: int = Field(4, ge=1)
    ffn: int = Field(192, ge=8)
    context: int = Field(512, ge=32)
    """Positions: prompt and solution together, in tokens."""
    rope_theta: float = 1e6
    tokenizer: TokenizerConfig = TokenizerConfig()
    dtype: Literal["float32", "float64"] = "float64"
    """Of search and evaluation. In float64 a sample does not depend on what else was in its batch, so a resumed run
    equals an undisturbed one; training is always float32."""

    @model_validator(mode="after")
    def _has_even_heads(self) -> "TinyModelConfig":
        if self.hidden % (2 * self.heads):
            raise ValueError(f"hidden = {self.hidden} must be an even multiple of heads = {self.heads}")
        return self


class HubModelConfig(Config):
    """A causal language model from the hub or a folder; the markers are added to its vocabulary."""

    kind: Literal["hub"] = "hub"
    path: str
    """Hub name (`Qwen/Qwen2.5-Math-7B`) or a local folder."""
    revision: str | None = None
    dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"


ModelConfig = Annotated[TinyModelConfig | HubModelConfig, Field(discriminator="kind")]
