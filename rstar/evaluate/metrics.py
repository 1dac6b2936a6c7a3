"""Rates and means with their intervals, what k of a search's trajectories are worth, and how well a value model ranks.

Intervals are at 95 %: Wilson's for a rate of problems, a percentile bootstrap over problems for everything else.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from rstar.answers.vote import NO_ANSWER, Equal, classes, distinct
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
        return {"right": self.right, "n": self.n, "share": share, "interval": ends and _rounded(ends)}


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


@dataclass(frozen=True, slots=True)
class Ending:
    """How one trajectory ended: the class of its answer (None without one), whether it is right, its score."""

    answer: int | str | None
    correct: bool
    score: float | None


def endings(tree: Tree, equal: Equal = distinct) -> list[Ending]:
    """How the trajectories of a graded tree ended, in order of birth; those that failed too, merged ones each."""
    nodes = [tree.nodes[leaf] for leaf in tree.leaves()]
    found = []
    for node, number in zip(nodes, classes([node.answer for node in nodes], equal), strict=True):
        found += [Ending(None if number == NO_ANSWER else number, node.correct, node.score)] * node.count
    return found


def sizes(counts: Sequence[int]) -> list[int]:
    """Powers of two up to the median number of trajectories: the k for which at least half of the problems have k."""
    most = max(1, int(np.median(counts))) if counts else 0
    return [1 << i for i in range(most.bit_length())]


def pass_at(found: Sequence[Ending], k: int) -> float:
    """The chance that k trajectories, drawn without replacement, hold a right one: 1 - C(n-c, k) / C(n, k).

    The unbiased estimator of arXiv 2107.03374. Here and below, a problem with fewer than k gives all it has.
    """
    n, c = len(found), sum(one.correct for one in found)
    k = min(k, n)
    return 1 - math.comb(n - c, k) / math.comb(n, k) if n else 0.0


def best_at(found: Sequence[Ending], k: int) -> float:
    """The chance that the best-scored of k drawn trajectories is right; one without a score is below all others."""
    n = len(found)
    k = min(k, n)
    ranked = sorted(found, key=lambda one: -math.inf if one.score is None else one.score, reverse=True)
    # The one at rank i is the best of the k if the others come from the n-1-i below it. (A stable sort: birth decides.)
    return sum(math.comb(n - 1 - i, k - 1) for i, one in enumerate(ranked) if one.correct) / math.comb(n, k) if n else 0


DRAWS = 256
"""Subsets of a problem's trajectories that vote for maj@k; all of them where there are no more than these."""


def maj_at(found: Sequence[Ending], k: int, seed: int = 0) -> float:
    """The share of draws of k trajectories whose most frequent answer is right; the class born first wins ties."""
    k = min(k, len(found))
    kinds = {name: i for i, name in enumerate(dict.fromkeys(one.answer for one in found if one.answer is not None))}
    if not kinds:
        return 0.0
    members = np.zeros((len(found), len(kinds)), dtype=np.int64)
    right = np.zeros(len(kinds), dtype=bool)
    for i, one in enumerate(found):
        if one.answer is not None:
            members[i, kinds[one.answer]] = 1
            right[kinds[one.answer]] |= one.correct
    votes = members[_subsets(len(found), k, seed)].sum(1)
    return float((right[votes.argmax(1)] & votes.any(1)).mean())


def _subsets(n: int, k: int, seed: int) -> NDArray[np.int64]:
    """All k-subsets of n as rows, or DRAWS random ones where there are more."""
    every = list(islice(combinations(range(n), k), DRAWS + 1))
    if len(every) <= DRAWS:
        return np.array(every, dtype=np.int64)
    return np.random.default_rng(seed).random((DRAWS, n)).argsort(1)[:, :k].astype(np.int64)


def at_k(problems: Sequence[Sequence[Ending]]) -> dict[str, dict[str, Any]]:
    """pass@k, maj@k and best@k over problems, by k, each with its interval; best@k only where there are scores."""
    ks = sizes([len(found) for found in problems])
    scored = any(one.score is not None for found in problems for one in found)
    measures = {"pass": pass_at, "maj": maj_at} | ({"best": best_at} if scored else {})
    return {
        name: {str(k): mean([measure(found, k) for found in problems]) for k in ks}
        for name, measure in measures.items()
    }


RESAMPLES = 2000


def mean(values: Sequence[float], seed: int = 0) -> dict[str, Any]:
    """The mean over problems and its bootstrap interval, as JSON."""
    ends = bootstrap(values, seed)
    return {"mean": round(float(np.mean(values)), 4) if len(values) else None, "interval": ends and _rounded(ends)}


def bootstrap(values: Sequence[float], seed: int = 0) -> tuple[float, float] | None:
    """The percentile interval of the mean of `values`, resampled with replacement; None of nothing."""
    if not len(values):
        return None
    given = np.asarray(values, dtype=np.float64)
    rng = np.random.default_rng(seed)
    means = [given[rng.integers(0, len(given), len(given))].mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def compared(first: Sequence[bool], second: Sequence[bool], seed: int = 0) -> dict[str, Any]:
    """`second` against `first` on the same problems, as JSON: the difference of their accuracies with the paired
    bootstrap's interval, the problems that each alone solved, and the p-value of McNemar's exact test."""
    only_first = sum(a and not b for a, b in zip(first, second, strict=True))
    only_second = sum(b and not a for a, b in zip(first, second, strict=True))
    difference = mean([float(b) - float(a) for a, b in zip(first, second, strict=True)], seed)
    apart = only_first + only_second
    p = float(binomtest(only_second, apart).pvalue) if apart else 1.0
    return {
        "difference": difference["mean"],
        "interval": difference["interval"],
        "only_first": only_first,
        "only_second": only_second,
        "p": round(p, 4),
    }


def _rounded(ends: tuple[float, float]) -> list[float]:
    return [round(end, 4) for end in ends]


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
