"""What was measured on several seeds: the mean, its spread over seeds, and intervals from a bootstrap over problems.

A measure is right out of n for each problem of each seed: 0 or 1 of 1 for an answer, right pairs of all pairs for a
value model. Its mean pools them. Intervals are at 95 %: problems are drawn with replacement, all seeds of a problem
together, and both methods of a comparison on the same draw. So they say how far other problems would move the mean; how
far other seeds would is what the spread says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

RESAMPLES = 2000

Measure = Mapping[int, Mapping[str, tuple[float, float]]]
"""Seed -> problem -> (right, n)."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean over seeds, or a difference of two, with what is known of its uncertainty."""

    mean: float | None
    by_seed: dict[int, float | None]
    interval: tuple[float, float] | None
    n: float
    """Cases in all: (seed, problem) pairs, or preference pairs."""

    @property
    def spread(self) -> float | None:
        """Standard deviation over seeds; None of fewer than two."""
        found = [value for value in self.by_seed.values() if value is not None]
        return float(np.std(found, ddof=1)) if len(found) > 1 else None

    @property
    def apart(self) -> bool:
        """Whether the interval of a difference leaves 0 out."""
        return self.interval is not None and (self.interval[0] > 0 or self.interval[1] < 0)

    def to_json(self) -> dict[str, Any]:
        """Shares with four digits."""
        return {
            "mean": _rounded(self.mean),
            "spread": _rounded(self.spread),
            "interval": self.interval and [_rounded(end) for end in self.interval],
            "by_seed": {str(seed): _rounded(value) for seed, value in self.by_seed.items()},
            "n": round(self.n, 4),
        }


def shares(right: Mapping[int, Mapping[str, float]]) -> Measure:
    """A measure of one value a problem."""
    return {seed: {name: (float(value), 1.0) for name, value in its.items()} for seed, its in right.items()}


def figure(measure: Measure) -> Figure:
    """The mean of a measure."""
    sums = _by_problem(measure, _names([measure]))
    return Figure(
        mean=_ratio(sums[0].sum(), sums[1].sum()),
        by_seed={seed: _of(its.values()) for seed, its in measure.items()},
        interval=_interval(sums),
        n=float(sums[1].sum()),
    )


def difference(first: Measure, second: Measure) -> Figure:
    """`second` minus `first` on the same problems; on those seeds and problems alone that both have."""
    seeds = [seed for seed in first if seed in second]
    both = {seed: [name for name in first[seed] if name in second[seed]] for seed in seeds}
    pair = [{seed: {name: m[seed][name] for name in both[seed]} for seed in seeds} for m in (first, second)]
    a, b = (figure_of_seeds(m) for m in pair)
    names = _names(pair)
    sums = np.concatenate([_by_problem(m, names) for m in pair])
    means = [_ratio(sums[i].sum(), sums[i + 1].sum()) for i in (0, 2)]
    return Figure(
        mean=None if means[0] is None or means[1] is None else means[1] - means[0],
        by_seed={seed: _minus(b[seed], a[seed]) for seed in seeds},
        interval=_interval(sums),
        n=float(sums[3].sum()),
    )


def count(measure: Measure) -> int:
    """How many problems a seed has, the most of them."""
    return max((len(its) for its in measure.values()), default=0)


def figure_of_seeds(measure: Measure) -> dict[int, float | None]:
    """The mean of each seed."""
    return {seed: _of(its.values()) for seed, its in measure.items()}


def _of(values: Any) -> float | None:
    pairs = list(values)
    return _ratio(sum(right for right, _ in pairs), sum(n for _, n in pairs))


def _ratio(right: float, n: float) -> float | None:
    return float(right / n) if n else None


def _minus(second: float | None, first: float | None) -> float | None:
    return None if first is None or second is None else second - first


def _names(measures: Sequence[Measure]) -> list[str]:
    """The problems that count for anything, in order of their names."""
    return sorted({name for m in measures for its in m.values() for name, (_, n) in its.items() if n})


def _by_problem(measure: Measure, names: Sequence[str]) -> NDArray[np.float64]:
    """(2, P): right and n of each problem, over all seeds."""
    sums = np.zeros((2, len(names)))
    place = {name: i for i, name in enumerate(names)}
    for its in measure.values():
        for name, (right, n) in its.items():
            if name in place:
                sums[:, place[name]] += right, n
    return sums


def _interval(sums: NDArray[np.float64]) -> tuple[float, float] | None:
    """Of the mean of (right, n), or of the difference of two; None where a bootstrap has nothing to draw from."""
    if sums.shape[1] < 2 or not (sums[1::2].sum(1) > 0).all():
        return None

    def statistic(*rows: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
        totals = [row.sum(axis) for row in rows]
        with np.errstate(invalid="ignore", divide="ignore"):
            means = [right / n for right, n in zip(totals[::2], totals[1::2], strict=True)]
        return np.asarray(means[0] if len(means) == 1 else means[1] - means[0])

    drawn = bootstrap(
        tuple(sums),
        statistic,
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(0),
    ).bootstrap_distribution
    drawn = drawn[np.isfinite(drawn)]  # a draw of problems without any pair says nothing
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
