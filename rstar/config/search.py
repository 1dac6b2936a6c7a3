"""One configuration class a search strategy; `kind` tells them apart."""

from typing import Annotated, Literal

from pydantic import Field

from rstar.config.base import Config


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


class MctsConfig(SearchConfigBase):
    """Monte Carlo tree search as in rStar-Math."""

    kind: Literal["mcts"] = "mcts"
    rollouts: int = Field(16, ge=1)
    """Root-to-terminal passes; the search stops early when nothing is left to explore."""
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


class GreedyConfig(SearchConfigBase):
    """One solution at temperature 0: what pass@1 of a policy means here."""

    kind: Literal["greedy"] = "greedy"


AnySearch = MctsConfig | GreedyConfig
SearchConfig = Annotated[AnySearch, Field(discriminator="kind")]
CONFIGS: dict[str, type[AnySearch]] = {"mcts": MctsConfig, "greedy": GreedyConfig}
"""`search.kind` -> its config class; `rstar.search.STRATEGIES` has the function."""
