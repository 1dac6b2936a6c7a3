"""In which order methods stand, ours against the paper's: a sentence made from the numbers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rstar.evaluate.seeds import Figure


@dataclass(frozen=True, slots=True)
class Swap:
    """Two methods that stand the other way round here: `above` is ahead in our means, `below` in the paper."""

    above: str
    below: str
    gain: Figure
    """`above` minus `below`."""


def swaps(
    ours: Mapping[str, float | None], paper: Mapping[str, float], gain: Callable[[str, str], Figure]
) -> list[Swap]:
    """Every pair that both know, ordered one way there and the other way here (or level here)."""
    common = [name for name in sorted(paper, key=lambda name: -paper[name]) if ours.get(name) is not None]
    found = []
    for i, first in enumerate(common):
        for second in common[i + 1 :]:
            a, b = ours[first], ours[second]
            if a is not None and b is not None and paper[first] > paper[second] and a <= b:
                found.append(Swap(second, first, gain(first, second)))
    return found


def sentence(
    ours: Mapping[str, float | None],
    paper: Mapping[str, float],
    gain: Callable[[str, str], Figure],
    of: str = "methods",
    measured: str = "",
) -> str:
    """Where our order differs from the paper's, and whether our figures tell the two apart.

    `gain(a, b)` is b minus a with its interval.
    """
    common = [name for name in paper if ours.get(name) is not None]
    if len(common) < 2:
        return f"Order: fewer than two of the paper's {of} are here, so there is nothing to compare."
    means = {name: ours[name] or 0.0 for name in common}
    if len(set(means.values())) == 1:
        return f"The paper's order of {of} is {chain(paper, common)}; ours{measured} are all level."
    line = f"The paper's order of {of} is {chain(paper, common)}; ours{measured} is {chain(means, common)}"
    found = swaps(ours, paper, gain)
    if not found:
        blurred = [f"{b} and {a}" for a, b in neighbours(paper, common) if not gain(a, b).apart]
        doubt = f", though our figures do not tell {listed(blurred)} apart" if blurred else ""
        return f"{line}: the same{doubt}."
    pairs = len(common) * (len(common) - 1) // 2
    where = f" in {len(found)} of {pairs} pairs" if pairs > 1 else ""
    return f"{line}. It differs{where}: {'; '.join(map(_told, found))}."


def chain(values: Mapping[str, float], names: Sequence[str]) -> str:
    """The names by their values, the greatest first: `a > b = c`."""
    ranked = sorted(names, key=lambda name: -values[name])
    parts = [ranked[0]]
    for above, below in pairwise(ranked):
        parts.append(f"{'>' if values[above] > values[below] else '='} {below}")
    return " ".join(parts)


def neighbours(paper: Mapping[str, float], names: Sequence[str]) -> list[tuple[str, str]]:
    """(below, above) of those that follow one another in the paper."""
    ranked = sorted(names, key=lambda name: paper[name])
    return [(a, b) for a, b in pairwise(ranked) if paper[b] > paper[a]]


def listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} or {items[-1]}"


def points(gain: Figure) -> str:
    """A difference in points with its interval."""
    if gain.mean is None:
        return "–"
    if gain.interval is None:
        return f"{100 * gain.mean:+.1f}"
    low, high = gain.interval
    return f"{100 * gain.mean:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def _told(swap: Swap) -> str:
    if swap.gain.mean is None:
        return f"{swap.above} is above {swap.below} here, on other problems"
    if swap.gain.mean == 0:
        return f"{swap.above} is level with {swap.below} here"
    verdict = "" if swap.gain.apart else ", not told apart"
    return f"{swap.above} is above {swap.below} here by {points(swap.gain)} points{verdict}"
