"""One configuration class a search strategy; `kind` tells them apart."""

import importlib
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from rstar.config.base import Config
from rstar.core.tree import Action

StepScores = Literal["last", "min", "mean", "product"]
"""A solution's score from those of its steps: what the value model says of the whole, or their least, mean or
product."""


class SearchConfigBase(Config):
    """What every strategy has: bounds of a solution, and how its tree answers when the reference is hidden.

    A strategy whose own rule decides (`Tree.chosen`) does not read `answer`.
    """

    max_depth: int = Field(16, ge=1)
    """Steps of code on a path at most; a deeper candidate ends with `max_depth`."""
    max_tokens: int = Field(512, ge=1)
    """Tokens of one step at most; a longer one is unparsable."""
    answer: Literal["best", "vote", "weighted"] = "best"
    """The best-scored trajectory, or a vote of the `top_k` best-scored: one each, or as much as its score."""
    top_k: int = Field(8, ge=1)
    """Trajectories that vote, best-scored first."""
    value: str = "ppm"
    """Role of the value model that scores, where the strategy uses one."""


class SamplingConfig(SearchConfigBase):
    """What every strategy has that samples."""

    temperature: float = Field(1.0, gt=0)
    top_p: float = Field(1.0, gt=0, le=1)


class MctsConfig(SearchConfigBase):
    """Monte Carlo tree search as in rStar-Math."""

    kind: Literal["mcts"] = "mcts"
    rollouts: int = Field(16, ge=1)
    """Root-to-terminal passes; the search stops early when nothing is left to explore."""
    enough: int | None = Field(None, ge=1, exclude_if=lambda enough: enough is None)
    """Right answers after which it stops too, for searches that only need a solution or two; null never stops. Nothing
    is right while the reference is hidden."""
    candidates: int = Field(8, ge=1)
    """Steps sampled at each expansion; identical ones merge."""
    c: float = Field(2.0, ge=0)
    """Exploration constant of UCT."""
    fpu: Literal["infinity", "parent", "zero"] = "infinity"
    """What an unvisited child is worth to UCT: more than any other, its parent's Q-value, or nothing."""
    temperature: float = Field(1.0, gt=0)
    top_p: float = Field(1.0, gt=0, le=1)
    annotation: Literal["terminal", "ppm"] = "terminal"
    """Where Q-values start: at zero (terminal-guided), or at the PPM's score (PPM-augmented)."""
    steps: StepScores = "last"
    """What an answer is worth while the reference is hidden: its last step's score, or the least, mean or product of
    its steps'."""
    wave: int = Field(1, ge=1)
    """Rollouts side by side in one tree, kept apart by virtual visits; more of them wait less and choose worse."""
    trees: int = Field(1, ge=1)
    """Trees grown apart, each with its own seeds and all rollouts, and joined under one root."""


class GreedyConfig(SearchConfigBase):
    """One solution at temperature 0: what pass@1 of a policy means here."""

    kind: Literal["greedy"] = "greedy"


class BestOfNConfig(SamplingConfig):
    """N sampled solutions; the value model's score decides."""

    kind: Literal["best_of_n"] = "best_of_n"
    n: int = Field(16, ge=1)
    """Solutions."""
    steps: StepScores = "last"
    """A solution's score from those of its steps: what the model says of the whole, or their least, mean or product."""


class SelfConsistencyConfig(SamplingConfig):
    """N sampled solutions, which vote."""

    kind: Literal["self_consistency"] = "self_consistency"
    n: int = Field(16, ge=1)
    """Solutions."""
    answer: Literal["vote", "weighted"] = "vote"
    """One vote each, or as much as the value model's score (which nobody asks for otherwise)."""
    top_k: int = Field(1_000_000, ge=1)
    """Solutions that vote: all, unless fewer are asked for."""


class BeamConfig(SamplingConfig):
    """Beam search over steps."""

    kind: Literal["beam"] = "beam"
    width: int = Field(4, ge=1)
    """Candidates kept of each level; one that answers holds its place for good."""
    branching: int = Field(4, ge=1)
    """Candidates sampled for each of them: width x branching a level, the first included."""


class LookaheadConfig(SamplingConfig):
    """Beam search over steps that values a candidate by where it leads."""

    kind: Literal["lookahead"] = "lookahead"
    width: int = Field(4, ge=1)
    """Candidates kept of each level; one that answers holds its place for good."""
    branching: int = Field(4, ge=1)
    """Candidates sampled for each of them: width x branching a level, the first included."""
    steps: int = Field(1, ge=1)
    """Greedy steps behind a candidate; the value model scores where they end."""


class TotConfig(SamplingConfig):
    """Tree of thoughts: steps judged by the policy itself, searched level by level or in depth."""

    kind: Literal["tot"] = "tot"
    order: Literal["bfs", "dfs"] = "bfs"
    """Keep the best of each level, or follow the best and turn back where nothing is left that is good enough."""
    width: int = Field(4, ge=1)
    """bfs: candidates kept of each level."""
    branching: int = Field(4, ge=1)
    """Candidates sampled for a step; bfs samples width x branching a level."""
    threshold: float = Field(-0.5, ge=-1, le=1)
    """dfs: candidates worth less are given up."""
    expansions: int = Field(64, ge=1)
    """dfs: steps whose candidates are sampled, at most."""
    judge: Literal["policy", "value"] = "policy"
    """Who values a step: the policy, asked for a word (sure 1, likely 0, impossible -1), or the value model. A model
    that only knows solutions needs the value model."""
    evaluations: int = Field(3, ge=1)
    """Words the policy is asked for; their mean counts."""
    judge_temperature: float = Field(0.7, gt=0)


class RestMctsConfig(SamplingConfig):
    """ReST-MCTS*: tree search by the value of partial solutions, with simulations and a self-critic."""

    kind: Literal["rest_mcts"] = "rest_mcts"
    iterations: int = Field(16, ge=1)
    """Times a step is selected and grown."""
    candidates: int = Field(4, ge=1)
    """Steps sampled at each expansion; identical ones merge."""
    c: float = Field(0.5, ge=0)
    """Exploration constant of UCT."""
    simulation: int = Field(2, ge=0)
    """Greedy steps behind the best newborn."""
    alpha: float = Field(0.5, ge=0, le=1)
    """Weight of a newborn's own value against the best one of its simulation."""
    threshold: float = Field(0.9, ge=0, le=1)
    """An answer worth this much, of 1, ends the search."""
    process: Literal["value", "reward"] = "value"
    """What the value model gives: the value of a partial solution, or a reward for its last step, from which values
    are made by the paper's update."""
    length: int = Field(6, ge=1)
    """Steps that a solution usually has, from which `process: reward` estimates how many are left."""
    critic: bool = False
    """Ask the policy before a step is grown whether anything is left to do."""
    value: str = "rest_mcts"
    """Role of the value model."""


class QstarConfig(SamplingConfig):
    """Q*: best-first search over steps by f = g + lam h."""

    kind: Literal["qstar"] = "qstar"
    expansions: int = Field(64, ge=1)
    """States whose candidates are sampled, at most."""
    candidates: int = Field(6, ge=1)
    """K: steps sampled for the h of a state; they are its expansion."""
    lam: float = Field(1.0, ge=0)
    """Weight of h, the paper's lambda."""
    g: Literal["prm", "rule", "logprob", "none"] = "rule"
    """Process rewards R_P: a PRM's scores; 1 for a step that ran (the same for all that go on, unless they are summed);
    a step's log-probability; or none at all, which leaves h alone."""
    g_role: str = "prm"
    """Role of the PRM, with `g: prm`."""
    aggregator: Literal["min", "max", "sum", "last"] = "min"
    """Agg: g of a state from the process rewards of its steps."""
    value: str = "qvm"
    """Role of the Q-value model that gives h."""
    temperature: float = Field(0.9, gt=0)


class MutualConfig(SamplingConfig):
    """Mutual reasoning: five actions and self-consistency, then a discriminator that completes the solutions."""

    kind: Literal["mutual"] = "mutual"
    rollouts: int = Field(32, ge=1)
    """Root-to-terminal passes; the search stops early when nothing is left to explore."""
    depth: int = Field(5, ge=1)
    """Actions on a path at most (the paper: 5, and 8 for MATH); `max_depth` bounds what `remaining_steps` writes."""
    actions: tuple[Action, ...] = tuple(Action)
    """Which of the five actions may be taken."""
    steps: int = Field(5, ge=1)
    """Next steps sampled by `one_step`; identical ones merge."""
    subquestions: int = Field(5, ge=1)
    """Steps sampled by `subquestion`; identical ones merge."""
    c: float = Field(2.0, ge=0)
    """Exploration constant of UCT."""
    temperature: float = Field(0.8, gt=0)
    top_p: float = Field(0.95, gt=0, le=1)
    discriminator: str = "policy"
    """Role of the model that completes the solutions: `discriminator` where another one is loaded, or the policy."""
    discriminator_temperature: float = Field(1.0, ge=0)
    discriminated: int = Field(32, ge=0)
    """Solutions it completes, the best of reward x confidence first; 0 leaves it out."""
    cut_from: float = Field(0.2, ge=0, le=1)
    cut_to: float = Field(0.8, ge=0, le=1)
    """It is shown a random share of a solution's steps, between these two."""

    @model_validator(mode="after")
    def _can_go_on(self) -> "MutualConfig":
        if not {Action.ONE_STEP, Action.REMAINING_STEPS, Action.SUBQUESTION} & set(self.actions):
            raise ValueError("actions: one of one_step, remaining_steps and subquestion must be among them")
        if self.cut_from > self.cut_to:
            raise ValueError(f"cut_from: {self.cut_from} is more than cut_to, {self.cut_to}")
        return self


class CustomConfig(SearchConfigBase):
    """A strategy of your own, found by its name: a function (problem, prompts, config, seeds) -> Search[Tree]."""

    kind: Literal["custom"] = "custom"
    function: str
    """`package.module:function`."""
    options: dict[str, Any] = {}
    """Whatever it reads from its config."""

    @field_validator("function")
    @classmethod
    def _can_be_imported(cls, name: str) -> str:
        imported(name)
        return name


def imported(name: str) -> Callable[..., Any]:
    """The function that `package.module:function` names. Raises ValueError with the reason where there is none."""
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise ValueError(f"{name!r} is not written package.module:function")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise ValueError(f"cannot import {module} ({error})") from error
    except AttributeError as error:
        raise ValueError(f"{module} has no {attribute}") from error
    if not callable(found):
        raise ValueError(f"{name} is not a function")
    return found  # type: ignore[no-any-return]


AnySearch = (
    MctsConfig
    | GreedyConfig
    | BestOfNConfig
    | SelfConsistencyConfig
    | BeamConfig
    | LookaheadConfig
    | TotConfig
    | RestMctsConfig
    | QstarConfig
    | MutualConfig
    | CustomConfig
)
DEFAULT = "mcts"
SearchConfig = Annotated[AnySearch, Field(discriminator="kind")]
mcts_unless_said = BeforeValidator(lambda data: {"kind": DEFAULT, **data} if isinstance(data, dict) else data)
"""Settings without a `kind` are those of MCTS."""
CONFIGS: dict[str, type[AnySearch]] = {
    "mcts": MctsConfig,
    "qstar": QstarConfig,
    "mutual": MutualConfig,
    "beam": BeamConfig,
    "lookahead": LookaheadConfig,
    "tot": TotConfig,
    "rest_mcts": RestMctsConfig,
    "best_of_n": BestOfNConfig,
    "self_consistency": SelfConsistencyConfig,
    "greedy": GreedyConfig,
    "custom": CustomConfig,
}
"""`search.kind` -> its config class; `rstar.search.STRATEGIES` has the function."""
