"""One evolution: its problems, models, rounds and what they share."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from rstar.config.base import Config
from rstar.config.engine import EngineConfig, VllmConfig
from rstar.config.models import ModelConfig, TinyModelConfig
from rstar.config.search import MctsConfig, SearchConfig, mcts_unless_said
from rstar.config.train import PpmConfig, SftConfig, ValueConfig
from rstar.sandbox.config import SandboxConfig


class WordsProblemsConfig(Config):
    """The embedded WORDS family: synthetic problems with invented verbs, drawn from a seed."""

    kind: Literal["words"] = "words"
    train: dict[str, int] = {"L1": 15, "L2": 15, "L3": 150, "L4": 80, "L5": 60, "L6": 50}
    """Training problems a level."""
    test: int = Field(100, ge=1)
    """Held-out problems a level."""
    seed: int = 1
    test_seed: int = 888001


class CountdownProblemsConfig(Config):
    """The embedded COUNTDOWN family: given numbers are combined into a target. Needs `task: countdown`."""

    kind: Literal["countdown"] = "countdown"
    train: dict[str, int] = {"L3": 300, "L4": 300, "L5": 300}
    """Training problems a level; the level says how many numbers are given."""
    test: int = Field(100, ge=1)
    """Held-out problems a level."""
    seed: int = 1
    test_seed: int = 888001


class FileProblemsConfig(Config):
    """Problems from JSONL files with `id`, `problem`, `answer` (and `level`, if there is one)."""

    kind: Literal["files"] = "files"
    train: Path
    test: Path
    limit: int | None = Field(None, ge=1)
    """Only the first so many training problems."""
    test_limit: int | None = Field(None, ge=1)
    """Only the first so many held-out problems."""
    numbers: Literal["plain", "named"] = "plain"
    """`named`: the policy reads `n0`, `n1` ... in the place of numbers and its code says them, in demonstrations too.
    (Not with `task: code`, whose programs stand alone.)"""


ProblemsConfig = Annotated[
    WordsProblemsConfig | CountdownProblemsConfig | FileProblemsConfig, Field(discriminator="kind")
]


class TeacherConfig(Config):
    """The scripted teacher of an embedded family: WORDS' knows eight of the 32 verbs, COUNTDOWN's solves by trying out;
    both err now and then."""

    kind: Literal["teacher"] = "teacher"
    problems: dict[str, int] = {"L1": 300, "L2": 300}
    """Bootstrap problems a level."""
    noise: float = Field(0.15, ge=0, le=1)
    """Share of the events (COUNTDOWN: moves) it gets wrong."""
    turned: float = Field(0.0, ge=0, le=1)
    """Share of its sums and products with the terms in another order: then a problem has several right solutions."""


class DemonstrationsConfig(Config):
    """Worked steps from a JSONL file with `id`, `problem`, `answer`, `steps`, replayed with noise."""

    kind: Literal["demonstrations"] = "demonstrations"
    demonstrations: Path
    share: float = Field(1.0, gt=0, le=1)
    """Which share of the file's rows to use, drawn with the run's seed."""
    noise: float = Field(0.15, ge=0, le=1)
    """Share of the replayed steps that are spoilt, which gives the preference model its first wrong siblings."""


class ModelBootstrapConfig(Config):
    """A general language model, shown worked examples of the format: the part DeepSeek-Coder plays in the paper."""

    kind: Literal["model"] = "model"
    path: str
    """Hub name or folder of the model that searches in round 1."""
    dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"
    examples: Path
    """JSONL of demonstrations for the prompt."""
    count: int = Field(2, ge=0)
    """How many of them are shown."""


BootstrapConfig = Annotated[TeacherConfig | DemonstrationsConfig | ModelBootstrapConfig, Field(discriminator="kind")]


class CountdownBaseConfig(Config):
    """Training before round 1 on random legal play, in the place of a pretrained model: what moves are and what they
    lead to, and nothing about how a target is reached."""

    kind: Literal["countdown"] = "countdown"
    rows: int = Field(12_000, ge=1)
    """Plays, of 2 to 5 numbers."""
    targets: float = Field(0.6, ge=0, le=1)
    """Share of plays that show a target, one they do not end with; the others show none."""
    outputs: bool = True
    """The loss is on what the executor wrote too, so that the model learns what moves lead to."""
    train: SftConfig = SftConfig()


class TextsBaseConfig(Config):
    """Training before round 1 on the texts of the training problems, in the place of a pretrained model: the words in
    which problems are told, and nothing about how they are solved."""

    kind: Literal["texts"] = "texts"
    train: SftConfig = SftConfig()


BaseConfig = Annotated[CountdownBaseConfig | TextsBaseConfig, Field(discriminator="kind")]


class ExploreConfig(Config):
    """Candidates of a training search that another generator writes, from round 2 on: coverage then never starts below
    what that one finds alone."""

    share: float = Field(0.33, gt=0, le=1)
    """Share of each expansion's candidates."""
    by: Literal["base", "play", "demonstrations"] = "base"
    """The model that rounds start from, the COUNTDOWN family's random legal play, or steps out of the bootstrap's
    demonstrations with a problem's own numbers in them."""
    after: int = Field(0, ge=0)
    """Passes over the problems that go without: with 1, only those of `retry` explore. What the policy solves alone it
    solves in its own way, and seldom by chance."""

    def recipe(self) -> dict[str, Any]:
        """As JSON; `after` came later and is left out at its default, so that older stages stay valid."""
        return self.model_dump(mode="json", exclude=None if self.after else {"after"})


class GrammarConfig(Config):
    """How solutions are written."""

    observe: bool = False
    """Show the policy what each step printed."""
    answer: Literal["boxed", "printed"] = "boxed"
    """The answer is the text in the box, or the last line the code printed."""


class SelectConfig(Config):
    """What becomes of finished trees."""

    top: int = Field(2, ge=1)
    """Verified trajectories a problem in the SFT data."""
    by: Literal["q", "random"] = "q"
    """Which of them: those of the highest mean Q-value, or any."""
    pairs: int = Field(2, ge=1)
    """Chosen and rejected steps a node at most: up to pairs x pairs preferences."""
    answer_pairs: bool = True
    """Also prefer the best correct whole trajectories over the worst wrong ones."""
    min_margin: float = Field(0.0, ge=0)
    """Least Q-value difference of a pair."""
    min_edit_distance: int = Field(0, ge=0)
    """Least edit distance between the texts of a pair."""
    pool: Literal["round", "newest"] = "round"
    """Rows and pairs of this round alone, or for each problem the newest there are, the bootstrap's included."""
    replay: int = Field(0, ge=0)
    """Rows of the base stage's kind beside them, drawn anew each round and showing no target."""
    synthetic: float = Field(0.5, ge=0, le=1)
    """Share of right ones among the decided answers below which a problem that was made from another (one with a
    `parent`) gives no rows and no pairs: its reference is not to be trusted."""
    suspects: int = Field(4, ge=2)
    """Trajectories that must agree against a reference for it to be listed as a suspect."""

    def recipe(self) -> dict[str, Any]:
        """As JSON; settings that came later are left out at their defaults, so that older stages stay valid."""
        later = {"by": "q", "replay": 0, "synthetic": 0.5, "suspects": 4}
        return self.model_dump(mode="json", exclude={name for name, old in later.items() if getattr(self, name) == old})


class GradingConfig(Config):
    """How answers are compared."""

    mode: Literal["strict", "compat"] = "strict"
    timeout_s: float = Field(2.0, gt=0)
    shown_tests: int = Field(1, ge=0)
    """Tests of a code problem that its text shows, the first ones; the others are for grading alone."""


def _role(name: str) -> str:
    if name in ("ppm", "policy"):
        raise ValueError(f"`{name}` has a section of its own; give the model another role")
    return name


Role = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$"), AfterValidator(_role)]
"""What a value model is called where it is asked for; also its folder's name."""


class RoundConfig(Config):
    """One round: who searches is fixed by its number; this is how."""

    search: MctsConfig = MctsConfig()
    retry: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Rollouts of further passes over the problems that are still unsolved."""
    search_problems: int | None = Field(None, ge=1)
    """Training problems a level that are searched from round 2 on: each round takes the next ones, and the first again
    after the last; all of them, unless said."""
    explore: ExploreConfig | None = None
    select: SelectConfig = SelectConfig()
    policy: SftConfig = SftConfig()
    ppm: PpmConfig | None = PpmConfig()
    values: dict[Role, ValueConfig] = {}
    """Further value models, by the role they play in searches (`search.value`)."""

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles of all value models that the round trains."""
        return (("ppm",) if self.ppm is not None else ()) + tuple(self.values)


class EvaluateConfig(Config):
    """What is measured after each round on the held-out problems."""

    search: Annotated[SearchConfig | None, mcts_unless_said] = MctsConfig(rollouts=8, annotation="ppm")
    """Search with the reference hidden, by any strategy (`mcts` unless its `kind` says otherwise); null leaves it
    out."""
    search_problems: int | None = Field(None, ge=1)
    """Held-out problems a level that are searched (all of them get the greedy pass)."""
    max_depth: int = Field(16, ge=1)
    max_tokens: int = Field(512, ge=1)
    generators: dict[str, Path] = {}
    """Other language models by the role they play, such as `discriminator`: the folder of a stage (as
    `runs/demo/round-1/policy`) or of a checkpoint, or a hub name."""

    @field_validator("generators")
    @classmethod
    def _another_role(cls, generators: dict[str, Path]) -> dict[str, Path]:
        if "policy" in generators:
            raise ValueError("`policy` is the run's own")
        return generators


class GateConfig(Config):
    """The promotion gate: from round 2 on a round's models are compared on the held-out problems with those they came
    from, greedy and searched, problem by problem."""

    on_regression: Literal["warn", "stop", "rollback"] = "warn"
    """What follows when they solve fewer: a warning; the evolution stops; or the next round goes on with the models of
    the last round that did not regress."""
    p: float = Field(0.05, gt=0, le=1)
    """The largest p-value of McNemar's exact test at which a loss counts; with 1 any does."""


class TasksConfig(Config):
    """Where the problems of a search are worked on when a round runs under Prefect: in the stage's own process, or in
    shards on a Ray cluster. The trees are the same."""

    kind: Literal["local", "ray"] = "local"
    address: str | None = None
    """A running cluster (`auto`, `ray://host:10001`); without one Ray is started on this machine for each search."""
    shard: int = Field(32, ge=1)
    """Problems a task."""
    cpus: float = Field(1, gt=0)
    """CPUs that Ray sets aside for a task."""
    gpus: float = Field(0, ge=0)
    """GPUs that Ray sets aside for a task; a share puts several tasks on one."""


class TrackingConfig(Config):
    """Curves and sample trajectories in a dashboard, one run a stage, grouped by the evolution's name."""

    kind: Literal["none", "wandb", "trackio"] = "none"
    """Weights & Biases (into the run's folder unless somebody is logged in), or trackio's local dashboard."""
    project: str = "rstar"
    every_s: float = Field(5.0, gt=0)
    """Seconds between two points of a search's curves."""
    trajectories: int = Field(20, ge=0)
    """Problems of each search whose best trajectory stands in a table."""


class MetricsConfig(Config):
    """Where searches tell Prometheus of their lanes and their sandbox while they run."""

    port: int | None = Field(None, ge=1, le=65535)
    """Nowhere without one."""
    host: str = "127.0.0.1"


class RuntimeConfig(Config):
    """Where and how it runs; nothing here changes a result."""

    runs: Path = Path("runs")
    """Folder of all runs."""
    max_live: int = Field(256, ge=1)
    """Searches under way at once."""
    devices: int = Field(1, ge=1)
    """Devices a training run uses; more than one goes through `accelerate launch`."""
    parallel_training: int = Field(2, ge=1)
    """Training processes at once, where stages do not depend on each other."""
    max_failure_rate: float = Field(0.05, ge=0, le=1)
    """Share of problems whose search may fail before a stage stops."""
    tasks: TasksConfig = TasksConfig()
    tracking: TrackingConfig = TrackingConfig()
    metrics: MetricsConfig = MetricsConfig()


SHARED = ("search", "retry", "search_problems", "explore", "select", "policy", "ppm", "values")
"""Sections that stand once for all rounds, and that a round may change in part."""


class RunConfig(Config):
    """A whole evolution. `search`, `retry`, `search_problems`, `explore`, `select`, `policy`, `ppm` and `values` hold
    for every round; an entry of `rounds` changes what it names."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Names the run and its folder."""
    seed: int = Field(1, ge=0, le=4_000_000)
    """Of searches, training and drawn problems. (Training seeds are made from it and must fit into 32 bits.)"""
    problems: ProblemsConfig = WordsProblemsConfig()
    bootstrap: BootstrapConfig = TeacherConfig()
    task: Literal["math", "code", "yesno", "countdown"] = "math"
    """What solutions answer with: a value, the program that their steps are (checked by tests), yes or no, or moves
    (which are replayed)."""
    grammar: GrammarConfig = GrammarConfig()
    model: ModelConfig = TinyModelConfig()
    base: BaseConfig | None = None
    """Train the model before round 1 on made text; rounds and control then start from that."""
    search: dict[str, Any] = {}
    retry: tuple[int, ...] = ()
    search_problems: int | None = None
    explore: dict[str, Any] | None = None
    select: dict[str, Any] = {}
    policy: dict[str, Any] = {}
    ppm: dict[str, Any] | None = {}
    values: dict[str, Any] = {}
    rounds: tuple[RoundConfig, ...] = Field(min_length=1)
    evaluate: EvaluateConfig = EvaluateConfig()
    control: bool = False
    """Train a twin on the bootstrap data alone, with the same number of steps, and show it beside every round."""
    gate: GateConfig = GateConfig()
    grading: GradingConfig = GradingConfig()
    sandbox: SandboxConfig = SandboxConfig()
    engine: EngineConfig = EngineConfig()
    runtime: RuntimeConfig = RuntimeConfig()

    @model_validator(mode="before")
    @classmethod
    def _share(cls, data: Any) -> Any:
        """Lay each round's changes over what stands for all rounds."""
        if not isinstance(data, dict) or not isinstance(data.get("rounds"), (list, tuple)):
            return data
        shared = {key: data[key] for key in SHARED if key in data}
        return {**data, "rounds": [merge(shared, one or {}) for one in data["rounds"]]}

    @model_serializer(mode="wrap")
    def _says_null(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """As usual, and a round's null where all rounds have a value: left out, it would be read as that value."""
        data: dict[str, Any] = dump(self)
        for one in data.get("rounds", ()):
            for key in SHARED:
                shared, own = data.get(key), one.get(key)
                if (
                    isinstance(shared, dict)
                    and isinstance(own, dict)
                    and own.get("kind") == shared.get("kind", own.get("kind"))
                ):
                    own |= dict.fromkeys(shared.keys() - own.keys())
        return data

    @model_validator(mode="after")
    def _has_what_it_replays(self) -> "RunConfig":
        for number, one in enumerate(self.rounds):
            if one.select.replay and not isinstance(self.base, CountdownBaseConfig):
                raise ValueError(f"rounds.{number}.select.replay: there is no `base` of plays to replay")
            if one.explore and one.explore.by == "play" and not isinstance(self.problems, CountdownProblemsConfig):
                raise ValueError(f"rounds.{number}.explore.by: `play` knows problems of kind `countdown` only")
            if number > 0 and one.explore and one.explore.after > len(one.retry):  # round 1 does not explore
                raise ValueError(f"rounds.{number}.explore.after: there is no pass {one.explore.after} in `retry`")
            borrows = one.explore is not None and one.explore.by == "demonstrations"
            if borrows and not isinstance(self.bootstrap, DemonstrationsConfig):
                raise ValueError(f"rounds.{number}.explore.by: the bootstrap has no `demonstrations` to borrow from")
        return self

    @model_validator(mode="after")
    def _has_numbers_that_servers_know(self) -> "RunConfig":
        for role, how in self.engine.backends.items():
            if isinstance(how, VllmConfig) and self.model.dtype == "float64":
                raise ValueError(f"engine: vLLM, which is to serve `{role}`, knows no float64; say model.dtype=float32")
        return self

    @model_validator(mode="after")
    def _has_a_ppm_to_search_by(self) -> "RunConfig":
        for number, one in enumerate(self.rounds):
            role = one.search.value
            if one.search.annotation == "ppm" and (number == 0 or role not in self.rounds[number - 1].roles):
                name = "PPM" if role == "ppm" else f"value model `{role}`"
                raise ValueError(
                    f"rounds.{number}.search.annotation: there is no {name} before round {number + 1}; use `terminal`"
                )
        return self


def merge(under: Any, over: Any) -> Any:
    """`over` laid on `under`: mappings merge key by key, everything else is replaced. A mapping of another `kind`
    replaces the whole."""
    if not (isinstance(under, dict) and isinstance(over, dict)):
        return over
    if "kind" in over and over["kind"] != under.get("kind", over["kind"]):
        return over
    return {**under, **{key: merge(under[key], value) if key in under else value for key, value in over.items()}}
