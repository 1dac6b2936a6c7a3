"""What a sandbox is made of: the recipe (what a step can see and use) and the runtime (how many processes serve it)."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

DEFAULT_PRELOAD = (
    "math",
    "cmath",
    "fractions",
    "decimal",
    "itertools",
    "functools",
    "collections",
    "re",
    "statistics",
    "string",
    "random",
    "numpy",
    "sympy",
)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Limits(_Model):
    """What one step may use."""

    cpu_s: float = Field(5.0, gt=0, le=86_400, description="CPU seconds of one step")
    wall_s: float | None = Field(None, gt=0, description="seconds on the clock of one step; 3 * cpu_s + 1 when absent")
    mem_bytes: int = Field(512 << 20, ge=16 << 20, description="address space beyond the root state, bytes")
    out_chars: int = Field(4096, ge=16, le=20_000, description="characters kept of stdout and of the value")
    hard_out: int = Field(1_000_000, ge=1000, description="bytes after which printing ends the step")
    max_code: int = Field(100_000, ge=100, le=100_000, description="bytes of one step's code")

    @property
    def wall(self) -> float:
        """The limit on the clock, in seconds."""
        return self.wall_s if self.wall_s is not None else 3 * self.cpu_s + 1


class SandboxConfig(_Model):
    """How steps run. `recipe()` is the half that can change results."""

    isolation: Literal["unsafe", "rlimits", "seccomp", "strict"] = Field(
        "seccomp", description="layers that must hold, or the sandbox refuses to start; strict = every layer"
    )
    preload: tuple[str, ...] = Field(
        DEFAULT_PRELOAD, description="modules imported and warmed before the first step; () for a bare interpreter"
    )
    limits: Limits = Limits()
    python: Path | None = Field(
        None, description="interpreter of the steps, with its packages; this one when absent. 3.12 or newer: faster"
    )
    workers: int | None = Field(None, ge=1, description="brokers; one per eight cores when absent")
    concurrency: int | None = Field(None, ge=1, description="steps running at once in a broker; its cores when absent")
    live_states: int | None = Field(None, ge=1, description="states kept as processes in all; from memory when absent")
    keep: Literal["auto", "never"] = Field("auto", description="never = every step replays its whole prefix")

    def recipe(self) -> dict[str, Any]:
        """The settings that can change what a step returns, as plain JSON values."""
        return {
            "isolation": self.isolation,
            "preload": list(self.preload),
            "limits": self.limits.model_dump(mode="json") | {"wall_s": self.limits.wall},
        }
