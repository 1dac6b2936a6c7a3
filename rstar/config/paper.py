"""The paper's tables in miniature: which evolution, which seeds, and what each table may cost."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from rstar.config.base import Config

Fpu = Literal["zero", "parent", "infinity"]
Positive = Annotated[int, Field(ge=1)]
RowName = Annotated[str, Field(pattern=r"^[^|<>`\n]+$", max_length=80)]
"""What a row of a Markdown table may be called."""


class SftDataConfig(Config):
    """Table `sft-data`: the base model fine-tuned on data of four kinds."""

    round: int | None = Field(None, ge=2)
    """The round whose training problems are solved anew, by the policy that searched them; the last one."""
    samples: int = Field(16, ge=1)
    """Random solutions a training problem, from which random and rejection sampling take theirs."""
    policy: dict[str, Any] = {}
    """Changes to round 1's fine-tuning settings, with which all of them are trained."""


class RewardModelsConfig(Config):
    """Table `reward-models`: value models of each round from the second on, judged by what they choose."""

    rounds: tuple[Positive, ...] = ()
    """Which rounds; all from the second on."""
    k: int = Field(8, ge=1)
    """Solutions a problem that are chosen among."""
    per_level: int | None = Field(None, ge=1)
    """Held-out problems a level; all."""
    models: dict[RowName, dict[str, Any]] = {"pqm": {"kind": "pqm"}, "orm": {"kind": "orm"}}
    """Value models beside the PPM: `kind`, and changes to the PPM's training settings. What learns from single steps
    takes twice the batch, so that all read as many texts."""


class ScalingConfig(Config):
    """Table `scaling`: accuracy against the number of trajectories."""

    round: int | None = Field(None, ge=1)
    """Whose models; the last round's."""
    most: int = Field(64, ge=1)
    """Trajectories at most; the table has the powers of two up to it."""
    mcts: tuple[Positive, ...] = (1, 4, 8, 16, 64)
    """Rollouts of the searches that are compared with samples."""
    per_level: int | None = Field(None, ge=1)
    """Held-out problems a level; all."""


class SearchesConfig(Config):
    """Table `searches`: MCTS against simpler ways to spend as many policy tokens."""

    rounds: tuple[Positive, ...] = ()
    """Whose models; those of all rounds from the second on."""
    ppm: int | None = Field(None, ge=1)
    """A round whose PPM judges for the policy of each of the rounds as well, as a verifier better than the policy."""
    per_level: int | None = Field(None, ge=1)
    """Held-out problems a level; all."""
    rows: dict[RowName, dict[str, Any]] = {
        "majority of 8": {"kind": "self_consistency", "n": 8},
        "best of 8": {"kind": "best_of_n", "n": 8},
        "best of 8, product": {"kind": "best_of_n", "n": 8, "steps": "product"},
        "MCTS": {"kind": "mcts", "rollouts": 4, "candidates": 4},
    }
    """Strategies beside greedy decoding, `MCTS` among them: changes to the evolution's `evaluate.search`."""


class AblationsConfig(Config):
    """Table `ablations`: one setting of one round changed at a time."""

    round: int = Field(2, ge=2)
    """The round that is made again, from its search or from a later stage on."""
    fpu: tuple[Fpu, ...] = ("zero", "parent", "infinity")
    """What an unvisited child is worth to UCT."""
    rollouts: tuple[Positive, ...] = (8, 48)
    """Rollouts of the search."""
    by: tuple[Literal["q", "random"], ...] = ("random",)
    """Which correct trajectories are learned from."""
    start: tuple[Literal["base", "previous"], ...] = ("base", "previous")
    """What is fine-tuned."""
    answer_pairs: tuple[bool, ...] = (False,)
    """Whether the PPM also learns from pairs of whole solutions."""
    tanh_in_loss: tuple[bool, ...] = (False,)
    """Whether the PPM's loss sees the score it serves, or the logit under it."""


class PaperConfig(Config):
    """The paper's tables in miniature: `rstar paper TABLE`."""

    evolution: tuple[str, ...] = Field(min_length=1)
    """Config files and overrides of the evolution, as `rstar evolve` takes them. Its runs are called NAME-seed-SEED."""
    seeds: tuple[Annotated[int, Field(ge=0, le=4_000_000)], ...] = Field((1, 2, 3), min_length=1)
    """One run for each."""
    test_seed: int | None = Field(None, ge=0)
    """Ask held-out problems that are drawn from this seed, in the place of those by which settings were chosen; what
    the runs know is left out, and the page has sections of their own for them. For the embedded families."""
    rounds: int | None = Field(None, ge=1)
    """Only so many rounds of the evolution, for tables of early rounds; all."""
    runs: Path = Path("runs")
    """Folder of all runs."""
    evolve: bool = True
    """Make what the runs still lack; without it their stored configs count, and a missing round is an error."""
    out: Path = Path("docs/results.md")
    """The page that each table has a section of; plots lie beside it."""
    per_level: int | None = Field(None, ge=1)
    """Held-out problems a level in the tables `ppm` and `system2`; all."""
    search: dict[str, Any] = {}
    """Changes to the evolution's `evaluate.search`, by which these tables search."""
    ppm_policy: int = Field(1, ge=1)
    """Table `ppm`: the round whose policy is kept."""
    sft_data: SftDataConfig = SftDataConfig()
    reward_models: RewardModelsConfig = RewardModelsConfig()
    scaling: ScalingConfig = ScalingConfig()
    searches: SearchesConfig = SearchesConfig()
    ablations: AblationsConfig = AblationsConfig()

    @field_validator("seeds")
    @classmethod
    def _are_distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed stands there twice")
        return seeds
