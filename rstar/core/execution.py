"""What the sandbox says about one step: a typed status, never a text to be searched for "error"."""

from dataclasses import dataclass
from enum import StrEnum

StateId = str
"""Names an interpreter state: sha256 over the parent's id, the step's code and the environment."""

ROOT_STATE: StateId = "root"
"""The state before the first step: the preloaded modules and nothing else."""


class Status(StrEnum):
    """How a step ended. Everything but `infra` is a property of the code."""

    OK = "ok"
    SYNTAX = "syntax"
    EXCEPTION = "exception"
    TIMEOUT_WALL = "timeout_wall"
    TIMEOUT_CPU = "timeout_cpu"
    MEMORY = "memory"
    RECURSION = "recursion"
    OUTPUT_LIMIT = "output_limit"
    EXIT = "exit"
    STDIN = "stdin"
    DENIED = "denied"
    CRASHED = "crashed"
    TAMPERED = "tampered"
    NONDETERMINISTIC = "nondeterministic"
    INFRA = "infra"


TIMEOUTS = frozenset({Status.TIMEOUT_WALL, Status.TIMEOUT_CPU})


@dataclass(frozen=True, slots=True)
class StepResult:
    """The outcome of running one step on top of its parent's interpreter state.

    `stdout` and `value` (repr of the last expression, None when there is none) are bounded and middle-truncated when
    `truncated` says so. `state` names the interpreter after the step; None unless `status` is ok. `error` is one line,
    `Type: message (line n)`. Times in seconds. `replayed` counts prefix steps that ran again for this one; `cached`
    says that nothing ran, because the same step under the same parent already had.
    """

    status: Status
    state: StateId | None = None
    stdout: str = ""
    value: str | None = None
    error: str | None = None
    truncated: bool = False
    cpu_s: float = 0.0
    wall_s: float = 0.0
    replayed: int = 0
    cached: bool = False

    @property
    def ok(self) -> bool:
        return self.status is Status.OK
