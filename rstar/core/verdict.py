"""What the grader says about one answer."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """Three-valued: what cannot be decided is never counted as right, nor as wrong in training."""

    EQUIVALENT = "equivalent"
    DIFFERENT = "different"
    UNVERIFIABLE = "unverifiable"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with the rule that gave it (`fraction`, `interval`, `guard:length`, ...) and the time it took in ms."""

    verdict: Verdict
    rule: str
    ms: float = 0.0
