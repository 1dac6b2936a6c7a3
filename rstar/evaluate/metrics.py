"""Rates with their intervals, and how often a value model ranks a pair as the outcome does."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from scipy.stats import binomtest

from rstar.core.tree import Tree
from rstar.select.annotate import terminal_guided
from rstar.select.pairs import answer_groups, step_groups


@dataclass(frozen=True, slots=True)
class Rate:
    """`right` of `n`; `interval()` is Wilson's, at 95 %."""

    right: int = 0
    n: int = 0

    def __add__(self, other: "Rate") -> "Rate":
        return Rate(self.right + other.right, self.n + other.n)

    @property
    def share(self) -> float | None:
        return self.right / self.n if self.n else None

    def interval(self) -> tuple[float, float] | None:
        if not self.n:
            return None
        ends = binomtest(self.right, self.n).proportion_ci(0.95, method="wilson")
        return float(ends.low), float(ends.high)

    def to_json(self) -> dict[str, Any]:
        ends = self.interval()
        share = None if self.share is None else round(self.share, 4)
        return {"right": self.right, "n": self.n, "share": share, "interval": ends and [round(e, 4) for e in ends]}


def by_level(results: Iterable[tuple[str | None, bool]]) -> dict[str, Rate]:
    """Rates by level, in the levels' order; problems without a level are one level, `all`."""
    rates: dict[str, Rate] = {}
    for level, right in results:
        name = level or "all"
        rates[name] = rates.get(name, Rate()) + Rate(int(right), 1)
    return dict(sorted(rates.items()))


def total(rates: Mapping[str, Rate]) -> Rate:
    """All levels together."""
    return sum(rates.values(), Rate())


def pair_accuracy(trees: Iterable[Tree], most: int = 2) -> dict[str, Rate]:
    """How often the scores kept in graded, scored trees rank a pair as the outcome does, for step and answer pairs.

    The pairs are those that terminal-guided Q-values give on the same tree. A pair counts where both sides have a
    score; equal scores count as wrong.
    """
    step, answer = Rate(), Rate()
    for tree in trees:
        relabelled = terminal_guided(tree)
        nodes = tree.nodes
        for _, chosen, rejected in step_groups(relabelled, most):
            step += _compare([nodes[i].score for i in chosen], [nodes[i].score for i in rejected])
        good, bad = answer_groups([relabelled], most)
        answer += _compare([nodes[t.leaf].score for t in good], [nodes[t.leaf].score for t in bad])
    return {"step": step, "answer": answer}


def _compare(chosen: list[float | None], rejected: list[float | None]) -> Rate:
    rate = Rate()
    for good in chosen:
        for bad in rejected:
            if good is not None and bad is not None:
                rate += Rate(int(good > bad), 1)
    return rate
