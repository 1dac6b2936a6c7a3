"""How far a round's data can be trusted: what is left behind each filter, what was accepted by which rule, and which
references may be wrong. A running summary of one problem's trees after the other; it does not grow with them."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from rstar.answers.normal import normal_form
from rstar.core.problem import Problem
from rstar.core.trajectory import Trajectory
from rstar.core.tree import Tree
from rstar.select.trajectories import Difficulty, End

MOST_GROUPS = 200
"""Sources and levels that are told apart; what comes later is counted as OTHERS."""
OTHERS = "(others)"


@dataclass(frozen=True, slots=True)
class Suspect:
    """A reference that several verified-code trajectories agree against: every step of theirs ran, and they give one
    answer, which is not the reference."""

    problem: Problem
    answer: str
    agreeing: int
    """Distinct trajectories that give this answer."""
    right: int
    """Trajectories that give the reference."""
    answered: int

    def row(self) -> dict[str, Any]:
        """As a line of `suspects.jsonl`."""
        of = self.problem
        about = {"id": of.id, "level": of.level, "source": of.source, "problem": of.text, "reference": of.answer}
        told = {"answer": self.answer, "agreeing": self.agreeing, "right": self.right, "answered": self.answered}
        return about | told


@dataclass(frozen=True, slots=True)
class Ends:
    """How one problem's trajectories ended."""

    terminals: int
    answered: int
    correct: int
    wrong: int
    sampled: int
    """Answered trajectories, merged candidates counted as often as they were sampled."""
    duplicates: int
    """How many of those say word for word what another one says."""
    rules: Counter[str | None]
    answers: Counter[str]
    """Wrong answers, as written, by how many distinct trajectories give them."""

    @classmethod
    def of(cls, trees: Sequence[Tree], answered: Sequence[End]) -> "Ends":
        """From the trees and their `ends`."""
        correct = wrong = sampled = 0
        rules: Counter[str | None] = Counter()
        answers: Counter[str] = Counter()
        texts: set[int] = set()
        for end in answered:
            node = end.tree.nodes[end.leaf]
            sampled += node.count
            if node.correct:
                correct += 1
                rules[node.rule] += 1
            elif node.wrong:
                wrong += 1
                if node.answer and end.text not in texts:
                    answers[node.answer] += 1
            texts.add(end.text)
        terminals = sum([node.terminal is not None for tree in trees for node in tree.nodes])
        return cls(terminals, len(answered), correct, wrong, sampled, sampled - len(texts), rules, answers)

    def suspect(self, problem: Problem, least: int) -> Suspect | None:
        """The wrong answer that most trajectories agree on, if at least `least` do."""
        if self.wrong < least or not self.answers:
            return None
        forms: Counter[str] = Counter()
        for answer, count in self.answers.items():
            forms[_form(answer)] += count
        form, count = forms.most_common(1)[0]
        if count < least or not form:
            return None
        written = next(answer for answer in self.answers if _form(answer) == form)
        return Suspect(problem, written, count, self.correct, self.answered)


@lru_cache(1 << 14)
def _form(answer: str) -> str:
    return normal_form(answer)


@dataclass(slots=True)
class _Group:
    problems: int = 0
    solved: int = 0


@dataclass(slots=True)
class Trust:
    """The running summary."""

    counts: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    steps: Counter[int] = field(default_factory=Counter)
    length: Counter[int] = field(default_factory=Counter)
    groups: dict[str, dict[str, _Group]] = field(default_factory=lambda: {"source": {}, "level": {}})
    difficulty: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def take(self, problem: Problem, its: Ends) -> None:
        """One problem's ends."""
        right, wrong = its.correct, its.terminals - its.answered + its.wrong
        hard = Difficulty.HARD if not right else Difficulty.MEDIUM if wrong else Difficulty.EASY
        counts = self.counts
        counts["problems"] += 1
        counts[f"difficulty.{hard.value}"] += 1
        counts["terminals"] += its.terminals
        counts["answered"] += its.answered
        counts["correct"] += right
        counts["wrong"] += its.wrong
        counts["undecided"] += its.answered - right - its.wrong
        counts["sampled"] += its.sampled
        counts["duplicate_trajectories"] += its.duplicates
        for rule, count in its.rules.items():
            self.rules[str(rule)] += count
        level = self._group("level", problem.level or "all")
        for name, key in (("source", self._group("source", problem.source or "all")), ("level", level)):
            group = self.groups[name][key]
            group.problems += 1
            group.solved += right > 0
        self.difficulty[level][hard.value] += 1

    def kept(self, trajectory: Trajectory) -> None:
        """A trajectory that goes into the SFT data."""
        self.steps[len(trajectory.path)] += 1
        self.length[1 << (len(trajectory.text) - 1).bit_length()] += 1

    def told(self) -> dict[str, Any]:
        """The counts, flat, and under `trust` what is broken down further."""
        counts = self.counts
        flat = {name: counts[name] for name in sorted(counts)}
        flat |= {f"rule.{rule}": count for rule, count in sorted(self.rules.items())}
        trust = {
            "coverage": {
                name: {key: {"problems": its.problems, "solved": its.solved} for key, its in sorted(groups.items())}
                for name, groups in self.groups.items()
            },
            "difficulty": {level: dict(sorted(its.items())) for level, its in sorted(self.difficulty.items())},
            "steps": {str(steps): count for steps, count in sorted(self.steps.items())},
            "characters": {f"<={most}": count for most, count in sorted(self.length.items())},
            "duplicate_share": round(counts["duplicate_trajectories"] / max(counts["sampled"], 1), 4),
        }
        return {**flat, "trust": trust}

    def _group(self, name: str, key: str) -> str:
        groups = self.groups[name]
        key = key if key in groups or len(groups) < MOST_GROUPS else OTHERS
        groups.setdefault(key, _Group())
        return key
