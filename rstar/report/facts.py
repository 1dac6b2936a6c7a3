"""What a run's page says: gathered from its manifests, and from its trees in one stream."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rstar.config.load import validate
from rstar.config.run import RunConfig
from rstar.core.tree import ROOT, Terminal, Tree
from rstar.data.jsonl import objects
from rstar.errors import Damaged
from rstar.evaluate.answer import choose
from rstar.pipeline import inspect
from rstar.pipeline.prepare import sound
from rstar.pipeline.progress import Progress, silent
from rstar.pipeline.search import grammar_of
from rstar.report.trees import Marks, Sample, taken
from rstar.select.trajectories import Difficulty, difficulty
from rstar.store.answers import read_answers
from rstar.store.layout import TREES, RoundPaths, RunPaths
from rstar.store.manifest import NAME, Manifest, read
from rstar.store.trees import read_grouped
from rstar.text.grammar import Grammar

Marker = Callable[[Sequence[Tree]], list[Marks]]
"""What became of one problem's trees."""
BINS = 20
"""Bins of a histogram over [-1, 1]."""
AGREE = 4
"""Equal wrong answers, most of a problem's, that make its reference suspect where no answer agrees with it."""
SUSPECTS = 50
"""Suspects that are listed; the others are counted."""
KINDS = {
    "search": ("search",),
    "select": ("select",),
    "train the policy": ("policy",),
    "train value models": ("ppm", "values"),
    "train the control": ("control",),
    "evaluate": ("eval",),
}
"""What a round's time goes to -> the first part of its stages' paths."""


@dataclass(slots=True)
class Histogram:
    """Values in [-1, 1] of nodes that lead to a verified answer, and of those that lead only to wrong ends."""

    right: list[int] = field(default_factory=lambda: [0] * BINS)
    wrong: list[int] = field(default_factory=lambda: [0] * BINS)

    def add(self, value: float, leads_right: bool) -> None:
        """Count one value; 1 belongs to the last bin."""
        side = self.right if leads_right else self.wrong
        side[min(BINS - 1, max(0, int((value + 1) / 2 * BINS)))] += 1

    @property
    def total(self) -> int:
        return sum(self.right) + sum(self.wrong)


@dataclass(frozen=True, slots=True)
class Suspect:
    """A problem whose reference may be wrong: its id, the reference, and what `votes` of its `ends` answers say."""

    id: str
    reference: str
    answer: str
    votes: int
    ends: int


@dataclass(slots=True)
class Looked:
    """What the trees of one stage show. Bounded, however many there are."""

    q: Histogram = field(default_factory=Histogram)
    score: Histogram = field(default_factory=Histogram)
    difficulty: dict[str, Counter[str]] = field(default_factory=dict)
    """Level -> how many problems are easy, medium, hard."""
    suspects: list[Suspect] = field(default_factory=list)
    suspected: int = 0

    def take(self, trees: Sequence[Tree], grammar: Grammar) -> None:
        """One problem with all its trees."""
        how = difficulty(trees)
        self.difficulty.setdefault(trees[0].problem.level or "all", Counter())[how.value] += 1
        for tree in trees:
            right = _leads_right(tree)
            for node, leads_right in zip(tree.nodes[1:], right[1:], strict=True):
                if node.visits:
                    self.q.add(node.q, leads_right)
                if node.score is not None:
                    self.score.add(node.score, leads_right)
        if how is Difficulty.HARD and (suspect := _suspect(trees, grammar)):
            self.suspected += 1
            if len(self.suspects) < SUSPECTS:
                self.suspects.append(suspect)


@dataclass(frozen=True, slots=True)
class Round:
    """A finished round: its summary (`eval/report/report.json`), what its trees show, and where its time went."""

    number: int
    summary: dict[str, Any]
    searched: Looked
    held_out: Looked | None
    seconds: dict[str, float]
    """KINDS -> seconds on the clock; of trainings side by side the sum."""


@dataclass(frozen=True, slots=True)
class Forest:
    """The explorer's trees of one stage: problems as JSON, of how many."""

    stage: str
    title: str
    problems: list[bytes]
    of: int


@dataclass(frozen=True, slots=True)
class Run:
    """All that the page of a run says."""

    folder: Path
    settings: dict[str, Any]
    """As run.json has them."""
    cfg: RunConfig
    rounds: list[Round]
    stages: list[dict[str, Any]]
    forests: list[Forest]


def gather(folder: Path, problems: int, room: int, progress: Progress = silent) -> Run:
    """Read a run: at most `problems` of each stage for the explorer, `room` bytes of trees in all.

    Raises InputError when no round is finished, Damaged when a file cannot be read.
    """
    settings = inspect.stored_config(folder)
    recipe = {name: its for name, its in settings.items() if name != "runtime"}  # where it ran is nobody's concern here
    cfg = validate(RunConfig, recipe, str(RunPaths(folder).run))
    summaries = inspect.summaries(folder)
    sound(RunPaths(folder).problems)
    left = sum(1 + (summary["search"] is not None) for summary in summaries)
    rounds: list[Round] = []
    forests: list[Forest] = []
    for summary in summaries:
        number = int(summary["round"])
        training, held_out = Sample(problems), Sample(problems)
        rounds.append(_round(folder, cfg, summary, training, held_out, progress))
        for stage, words, sample in (("search", "training", training), ("eval/search", "held-out", held_out)):
            if sample.seen:
                drawn = sample.drawn(room // left)  # what one stage leaves is there for the next
                room, left = room - sum(map(len, drawn)), left - 1
                title = f"Round {number}: {words} problems"
                forests.append(Forest(f"round-{number}/{stage}", title, drawn, sample.seen))
    return Run(folder, settings, cfg, rounds, [_stage(folder, path) for path in inspect.stages(folder)], forests)


def _round(
    folder: Path, cfg: RunConfig, summary: dict[str, Any], training: Sample, held_out: Sample, progress: Progress
) -> Round:
    """One finished round; its trees are read once, and offered to the samples on the way."""
    number = int(summary["round"])
    paths = RunPaths(folder).round(number)
    problems = RunPaths(folder).problems
    grammar = grammar_of(cfg)

    def look(stage: Path, asked: Path, sample: Sample, marks: Marker, total: int) -> Looked:
        looked = Looked()
        groups = read_grouped(stage / TREES, [row["id"] for _, row in objects(asked)])
        for done, trees in enumerate(groups, start=1):
            looked.take(trees, grammar)
            sample.offer(trees, marks)
            progress(f"trees of {stage.relative_to(folder)}", done, total)
        return looked

    for stage in (paths.search, *([paths.eval_search] if summary["search"] is not None else [])):
        sound(stage)
    how = cfg.rounds[number - 1].select
    asked = problems / ("bootstrap.jsonl" if number == 1 else "train.jsonl")
    total = summary["coverage"]["problems"]
    searched = look(paths.search, asked, training, lambda trees: taken(trees, how), total)
    guided = None
    if summary["search"] is not None:
        total = summary["search"]["accuracy"]["n"]
        guided = look(paths.eval_search, problems / "test.jsonl", held_out, _answers(paths.eval_search, cfg), total)
    return Round(number, summary, searched, guided, _seconds(paths, folder))


def _leads_right(tree: Tree) -> list[bool]:
    """For each node: does something at or below it end right?"""
    right = [node.correct for node in tree.nodes]
    for at in range(len(tree.nodes) - 1, ROOT, -1):  # children stand behind their parents
        right[tree.nodes[at].parent] |= right[at]
    return right


def _suspect(trees: Sequence[Tree], grammar: Grammar) -> Suspect | None:
    votes: Counter[str] = Counter()
    for node in (tree.nodes[leaf] for tree in trees for leaf in tree.leaves()):
        if node.terminal is Terminal.ANSWERED and node.wrong and node.answer is not None:
            votes[grammar.key(node.answer)] += node.count
    if not votes:
        return None
    (answer, most), ends = votes.most_common(1)[0], votes.total()
    problem = trees[0].problem
    return Suspect(problem.id, problem.answer or "", answer, most, ends) if most >= AGREE and 2 * most > ends else None


def _answers(stage: Path, cfg: RunConfig) -> Marker:
    """Marks of the answers that a strategy gave, by what the stage has written down."""
    said = {row["id"]: row["answer"] for row in read_answers(stage)}
    how = cfg.evaluate.search

    def marks(trees: Sequence[Tree]) -> list[Marks]:
        found: list[Marks] = []
        for tree in trees:
            leaf = None if how is None else choose(tree, how)
            answer = said.get(tree.problem.id)
            if leaf is None or tree.nodes[leaf].answer != answer:  # votes among answers that are equal, not the same
                leaf = next((i for i in tree.leaves() if answer and tree.nodes[i].answer == answer), None)
            found.append({} if leaf is None else {**dict.fromkeys(tree.path(leaf), "a"), leaf: "aA"})
        return found

    return marks


def _seconds(paths: RoundPaths, folder: Path) -> dict[str, float]:
    spent: defaultdict[str, float] = defaultdict(float)
    for path in inspect.stages(folder):
        if paths.folder in path.parents:
            first = path.relative_to(paths.folder).parts[0]
            kind = next((kind for kind, firsts in KINDS.items() if first in firsts), None)
            if kind is not None:
                spent[kind] += _manifest(path).seconds or 0.0
    return {kind: round(spent[kind], 1) for kind in KINDS if spent[kind]}


def _stage(folder: Path, path: Path) -> dict[str, Any]:
    """A stage's row of the budget: seconds, and the tokens and executions that its metrics count."""
    found = _manifest(path)
    cost = found.metrics.get("cost") or {}
    return {
        "stage": str(path.relative_to(folder)),
        "status": found.status,
        "seconds": found.seconds,
        "cpu_s": found.clock.get("cpu_s"),
        "gpu_s": found.clock.get("gpu_s"),
        "generated": cost.get("generated"),
        "prefilled": cost.get("prefilled"),
        "value_tokens": cost.get("value_tokens"),
        "executions": cost.get("executions"),
        "trained": found.metrics.get("tokens"),
        "fingerprint": found.fingerprint,
    }


def _manifest(path: Path) -> Manifest:
    found = read(path)
    if found is None:
        raise Damaged(f"{path / NAME}: missing; `rstar check RUN --repair` has the stage made again")
    return found
