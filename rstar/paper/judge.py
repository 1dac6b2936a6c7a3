"""Asking one value model about held-out trees and sampled solutions: its scores on disk, and what they choose."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from rstar.answers.vote import Equal, classes
from rstar.config.search import MctsConfig, StepScores
from rstar.core.problem import Problem
from rstar.core.tree import ROOT, Terminal, Tree
from rstar.evaluate.metrics import Ending, Rate, pair_accuracy
from rstar.paper.runs import Run, evaluated
from rstar.pipeline.evaluate import equality_of
from rstar.pipeline.prepare import required
from rstar.pipeline.search import grammar_of
from rstar.pipeline.use import search_from
from rstar.search.reward import solution_score
from rstar.select.annotate import terminal_guided
from rstar.select.pairs import answer_groups, step_groups
from rstar.store.fingerprint import fingerprint
from rstar.store.layout import CHECKPOINT, TREES
from rstar.store.manifest import stage, write_atomic
from rstar.store.trees import read_trees
from rstar.text.grammar import Grammar

SCORES = "scores.jsonl"
AT_ONCE = 16
"""Problems whose prefixes are scored together."""
HOW: tuple[StepScores, ...] = ("last", "min", "product")
"""What a solution's score is made of."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What a model said of one problem: pairs it ranks as their outcome does (right, n), and each solution's class of
    equal answers, correctness and scores of steps (class and scores None where it did not answer)."""

    id: str
    step: tuple[float, float]
    answer: tuple[float, float]
    solutions: list[tuple[int | None, bool, list[float] | None]]

    def picked(self, how: StepScores) -> float:
        """1 if the best-scored solution is right; the first of equals."""
        scored = [(solution_score(steps, how), right) for _, right, steps in self.solutions if steps]
        return float(max(scored, key=lambda one: one[0])[1]) if scored else 0.0

    def majority(self) -> float:
        """1 if the most frequent answer is right; the first of equals."""
        votes = Counter(number for number, _, _ in self.solutions if number is not None)
        if not votes:
            return 0.0
        winner = votes.most_common(1)[0][0]
        return float(any(right for number, right, _ in self.solutions if number == winner))

    def random(self) -> float:
        """The chance that one of the answers, drawn at random, is right."""
        answered = [right for number, right, _ in self.solutions if number is not None]
        return sum(answered) / len(answered) if answered else 0.0

    def any(self) -> float:
        """1 if one is right: the most that choosing can reach."""
        return float(any(right for _, right, _ in self.solutions))

    def endings(self, how: StepScores) -> list[Ending]:
        """The solutions as trajectories with one score each."""
        return [
            Ending(number, right, None if steps is None else solution_score(steps, how))
            for number, right, steps in self.solutions
        ]


def unguided(run: Run, number: int, asked: list[Problem]) -> Path:
    """One tree a held-out problem by a round's policy alone: siblings, of which some lead to right answers."""
    told = {**run.cfg.rounds[number - 1].search.model_dump(), "annotation": "terminal", "wave": 1, "trees": 1}
    return evaluated(run, MctsConfig(**told), asked, {"policy": run.round(number).policy}, f"round {number} trees")


def samples(run: Run, number: int, asked: list[Problem], n: int) -> Path:
    """n solutions of each held-out problem, drawn apart from one another by a round's policy."""
    models = {"policy": run.round(number).policy}
    how = search_from(run.cfg, {"kind": "self_consistency", "n": n}, models, "samples")
    return evaluated(run, how, asked, models, f"round {number}, {n} samples")


def judged(run: Run, model: Path, trees: Path | None, solutions: Path, label: str) -> list[Judged]:
    """What the value model of a stage says of unguided trees (for pairs) and of sampled solutions."""
    inputs = {"model": required(model).fingerprint, "samples": required(solutions).fingerprint}
    if trees is not None:
        inputs["trees"] = required(trees).fingerprint
    recipe = {"grammar": run.cfg.grammar.model_dump(mode="json"), "dtype": run.cfg.model.dtype}
    folder = run.extra / f"judge-{fingerprint([recipe, inputs])[:12]}"
    with stage(folder, "judge", recipe, inputs) as it:
        if not it.complete:
            started = time.monotonic()
            rows = list(_rows(run, model, trees, solutions, label))
            write_atomic(folder / SCORES, b"".join(orjson.dumps(row) + b"\n" for row in rows))
            it.finish({SCORES: len(rows)}, {"problems": len(rows)}, time.monotonic() - started)
    return [_read(orjson.loads(line)) for line in (folder / SCORES).read_bytes().splitlines()]


def _rows(run: Run, model: Path, trees: Path | None, solutions: Path, label: str) -> Iterator[dict[str, Any]]:
    from rstar.engine.hf import HfValue  # torch is imported only where a model answers

    engine = run.cfg.engine
    options: dict[str, Any] = {"device": engine.device, "dtype": run.cfg.model.dtype, "threads": engine.threads}
    scorer = HfValue(model / CHECKPOINT, **options)
    pairs: dict[str, dict[str, Rate]] = {}
    total = sum(part.rows or 0 for path in (trees, solutions) if path for part in required(path).parts) // 2
    done = 0
    for batch in _batches(trees):
        score(scorer, grammar_of(run.cfg), [(tree, paired(tree)) for tree in batch])
        pairs |= {tree.problem.id: pair_accuracy([tree]) for tree in batch}
        run.progress(label, done := done + len(batch), total)
    with equality_of(run.cfg) as equal:
        for batch in _batches(solutions):
            answered = [(tree, [i for leaf in _answered(tree) for i in tree.path(leaf)]) for tree in batch]
            score(scorer, grammar_of(run.cfg), answered)
            for tree in batch:
                yield _row(tree, pairs.get(tree.problem.id, {}), equal)
            run.progress(label, done := done + len(batch), total)


def _batches(folder: Path | None) -> Iterator[list[Tree]]:
    batch: list[Tree] = []
    for tree in read_trees(folder / TREES) if folder else ():
        batch.append(tree)
        if len(batch) == AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def score(scorer: Any, grammar: Grammar, asked: Sequence[tuple[Tree, Sequence[int]]]) -> None:
    """Leave the model's scores in the nodes that are asked for."""
    wanted = [(tree, i) for tree, ids in asked for i in dict.fromkeys(ids)]
    prefixes = [grammar.prompt(tree.problem.text) + tree.prefix(i) for tree, i in wanted]
    for (tree, i), value in zip(wanted, scorer.score(prefixes) if prefixes else [], strict=True):
        tree.nodes[i].score = value


def paired(tree: Tree) -> list[int]:
    """The nodes that stand in a pair; a step that failed is never scored by a search, and so left out."""
    for node in tree.nodes:
        node.score = None
    guided = terminal_guided(tree)
    ids = {i for _, chosen, rejected in step_groups(guided, 2) for i in (*chosen, *rejected)}
    ids |= {trajectory.leaf for side in answer_groups([guided], 2) for trajectory in side}
    return [i for i in sorted(ids) if tree.nodes[i].terminal in (None, Terminal.ANSWERED)]


def _answered(tree: Tree) -> list[int]:
    return [i for i in tree.leaves() if tree.nodes[i].terminal is Terminal.ANSWERED]


def _row(tree: Tree, pairs: Mapping[str, Rate], equal: Equal) -> dict[str, Any]:
    leaves = [i for i in tree.leaves() if i != ROOT]
    numbers = classes([tree.nodes[i].answer for i in leaves], equal)
    solutions: list[list[Any]] = []
    for leaf, number in zip(leaves, numbers, strict=True):
        node = tree.nodes[leaf]
        if node.terminal is Terminal.ANSWERED and node.answer is not None:
            steps = [tree.nodes[i].score for i in tree.path(leaf)]
            solutions += [[number, node.correct, steps]] * node.count
        else:
            solutions += [[None, False, None]] * node.count
    rates = {kind: pairs.get(kind, Rate()) for kind in ("step", "answer")}
    return {
        "id": tree.problem.id,
        **{kind: [rate.right, rate.n] for kind, rate in rates.items()},
        "solutions": solutions,
    }


def _read(row: dict[str, Any]) -> Judged:
    solutions = [(number, right, steps) for number, right, steps in row["solutions"]]
    return Judged(row["id"], tuple(row["step"]), tuple(row["answer"]), solutions)
