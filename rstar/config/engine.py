"""Where generation and scoring run: in this process, or on vLLM servers."""

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from rstar.config.base import Config


class InProcessConfig(Config):
    """The model answers in this process, on transformers."""

    kind: Literal["transformers"] = "transformers"


OWN_ARGUMENTS = {
    **dict.fromkeys(("model", "served-model-name", "host", "port", "runner"), "what rstar says itself"),
    "dtype": "model.dtype",
    "tensor-parallel-size": "launch.tensor_parallel",
    "api-key": "the environment's VLLM_API_KEY, which servers and rstar both read",
}
"""Arguments that a server gets from elsewhere: name -> from where."""


class LaunchConfig(Config):
    """vLLM servers that are started for a stage and stopped behind it, so that training gets the memory."""

    python: Path = Path(".venv-vllm/bin/python")
    """The interpreter of an environment with vLLM (`make setup-vllm`, or any other)."""
    replicas: int = Field(1, ge=1)
    """Servers of the same model; a problem stays on one of them."""
    tensor_parallel: int = Field(1, ge=1)
    """GPUs a server spreads the model over."""
    gpus: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """GPUs to use, dealt out to the replicas in this order, `tensor_parallel` each; empty leaves the choice to vLLM,
    which takes the same ones for each replica."""
    arguments: dict[str, bool | int | float | str] = {}
    """Further arguments of the server: `{max-num-seqs: 256, enforce-eager: true}`; false gives `--no-…`."""
    environment: dict[str, int | str] = {}
    """Environment variables of the servers; {replica} stands for the replica's number."""
    start_s: float = Field(900.0, gt=0)
    """Seconds a server may take until it is healthy; one that fails to start again for as long is given up."""

    @field_validator("arguments")
    @classmethod
    def _are_further_ones(cls, arguments: dict[str, bool | int | float | str]) -> dict[str, bool | int | float | str]:
        for name in arguments:
            elsewhere = OWN_ARGUMENTS.get(name.replace("_", "-"))
            if elsewhere is not None:
                raise ValueError(f"`{name}` is {elsewhere}")
        return arguments

    @model_validator(mode="after")
    def _has_gpus_for_all(self) -> "LaunchConfig":
        wanted = self.replicas * self.tensor_parallel
        if len(set(self.gpus)) < len(self.gpus):
            raise ValueError("gpus: one stands there twice")
        if self.gpus and len(self.gpus) != wanted:
            raise ValueError(f"gpus: {len(self.gpus)} are named, and replicas x tensor_parallel are {wanted}")
        return self


class VllmConfig(Config):
    """The model answers on vLLM servers: running ones (`endpoints`), or ones that a stage starts (`launch`)."""

    kind: Literal["vllm"] = "vllm"
    endpoints: tuple[str, ...] = ()
    """Addresses such as `http://gpu-1:8000`. Each must serve the model under its name and fingerprint (`rstar serve`
    prints the command)."""
    launch: LaunchConfig | None = None
    concurrency: int = Field(256, ge=1)
    """Calls in flight at once, over all servers."""
    timeout_s: float = Field(600.0, gt=0)
    """Seconds a single request may take before it is asked again, elsewhere where there is another server."""
    attempts: int = Field(6, ge=1)
    """How often a call is asked before its problem fails; the first two times that it is lost with its server do not
    count."""
    patience_s: float = Field(300.0, gt=0)
    """Seconds to wait for a running server when none is left, before the stage stops; launched ones have `start_s`."""
    health_s: float = Field(5.0, gt=0)
    """Seconds between two looks at a server's health; one that does not answer three of them in a row is left alone
    (a launched one is started anew)."""
    hedge_s: float | None = Field(None, gt=0)
    """Ask a second server too when the first has not answered after so many seconds, and take what comes first."""

    @field_validator("endpoints")
    @classmethod
    def _are_addresses(cls, endpoints: tuple[str, ...]) -> tuple[str, ...]:
        found = tuple(one.rstrip("/") for one in endpoints)
        for one in found:
            try:
                parts = urlsplit(one)
                good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
            except ValueError:  # no number, or too large a one, in the place of the port
                good = False
            if not good:
                raise ValueError(f"{one!r} is not an address (http://HOST:PORT)")
            if "@" in parts.netloc:
                raise ValueError("an address names a user or a password; keys belong into VLLM_API_KEY")
            if parts.path.endswith("/v1"):
                raise ValueError(f"{one!r}: name the server without /v1")
        if len(set(found)) < len(found):
            raise ValueError("an address stands there twice")
        return found

    @model_validator(mode="after")
    def _is_attached_or_managed(self) -> "VllmConfig":
        if bool(self.endpoints) == (self.launch is not None):
            raise ValueError("name either `endpoints` that are running, or `launch` to start servers")
        return self


Backend = Annotated[InProcessConfig | VllmConfig, Field(discriminator="kind")]


class EngineConfig(Config):
    """Where models answer. Runtime: nothing here changes what a round is."""

    device: str = "auto"
    """`cpu`, `cuda`, `cuda:1`, or `auto`: of training, and of models in this process."""
    max_batch: int = Field(64, ge=1)
    """Calls the policy lane takes at once, in this process."""
    score_batch: int = Field(64, ge=1)
    """Calls the value lane takes at once, in this process."""
    threads: int = Field(1, ge=1)
    """CPU threads of torch; tiny models are fastest with one."""
    policy: Backend = InProcessConfig()
    """Who answers for the policy."""
    ppm: Backend = InProcessConfig()
    """Who answers for the PPM."""
    others: dict[str, Backend] = {}
    """The same for other roles: further value models, a discriminator, the `explorer`."""

    def of(self, role: str) -> InProcessConfig | VllmConfig:
        """Who answers for a role; in this process where nothing is said."""
        return self.backends.get(role) or InProcessConfig()

    @property
    def backends(self) -> dict[str, InProcessConfig | VllmConfig]:
        """Who answers, for every role that something is said of."""
        return {"policy": self.policy, "ppm": self.ppm, **self.others}

    @field_validator("others")
    @classmethod
    def _are_others(cls, others: dict[str, Backend]) -> dict[str, Backend]:
        for role in ("policy", "ppm"):
            if role in others:
                raise ValueError(f"`{role}` has a section of its own")
        return others
