"""The table and the plot of a comparison: accuracy against what it cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from rstar.evaluate import plot
from rstar.evaluate.metrics import compared
from rstar.evaluate.report import markdown, percent, rate

LIKE = 1.5
"""Two rows are at like budgets when neither generates more than this times the tokens of the other."""
LEVEL = 0.05
"""A pair of rows is told apart below this p-value."""


@dataclass(frozen=True, slots=True)
class Row:
    """One strategy at one budget: how it is called, what came out (as `rstar evaluate` says it), what was right."""

    strategy: str
    budget: str
    told: dict[str, Any]
    right: tuple[bool, ...]

    @property
    def name(self) -> str:
        return f"{self.strategy} {self.budget}".strip()

    def each(self, what: str) -> float:
        """So much of a cost a problem."""
        costs = self.told["cost"] | self.told["clock"]
        return float(costs.get(what, 0)) / max(int(self.told["cost"]["problems"]), 1)


HEADER = (
    *("strategy", "budget", "accuracy %", "policy tokens", "prefilled", "value tokens", "executions", "model calls"),
    *("CPU-s", "GPU-s", "seconds", "against the first"),
)
COSTS = (("generated", 0), ("prefilled", 0), ("value_tokens", 0), ("executions", 1), ("calls", 1))
CLOCK = (("cpu_s", 2), ("gpu_s", 2), ("wall_s", 2))


def ordered(rows: Sequence[Row]) -> list[Row]:
    """By policy tokens, the cheapest first."""
    return sorted(rows, key=lambda row: (row.each("generated"), row.name))


def cells(rows: Sequence[Row], tests: Sequence[dict[str, Any]]) -> list[list[str]]:
    """The table's body, under HEADER; costs are per problem. `tests` are those of `pairs`."""
    first = {one["second"]: one for one in tests if rows and one["first"] == rows[0].name}
    return [
        [row.strategy, row.budget, rate(row.told["accuracy"])]
        + [f"{row.each(what):,.{digits}f}" for what, digits in (*COSTS, *CLOCK)]
        + [points(first[row.name]) if row.name in first else ""]
        for row in rows
    ]


def points(one: dict[str, Any]) -> str:
    """A difference in points with its interval; an asterisk where McNemar's test tells the two apart."""
    low, high = (100 * end for end in one["interval"])
    return f"{100 * one['difference']:+.1f} ({low:+.1f} to {high:+.1f}){' *' if one['p'] < LEVEL else ''}"


def pairs(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """A paired test between any two rows: `second` against `first`, the cheaper one."""
    return [
        {"first": a.name, "second": b.name, "like": _like(a, b), **compared(a.right, b.right)}
        for a, b in combinations(rows, 2)
    ]


def _like(first: Row, second: Row) -> bool:
    tokens = sorted((first.each("generated"), second.each("generated")))
    return tokens[1] <= LIKE * tokens[0]


def notable(tests: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The pairs at like budgets that are told apart, the widest first."""
    found = [one for one in tests if one["like"] and one["p"] < LEVEL]
    return sorted(found, key=lambda one: -abs(one["difference"]))


def page(title: str, about: str, rows: Sequence[Row], tests: Sequence[dict[str, Any]], plot: str | None) -> str:
    """The whole comparison as Markdown."""
    like = [one for one in tests if one["like"]]
    told = notable(tests)
    parts = [f"# {title}\n", f"{about}\n", markdown(HEADER, cells(rows, tests)), f"\n{NOTE}\n"]
    if plot is not None:
        parts.append(f"![accuracy against policy tokens]({plot})\n")
    parts.append(
        f"Of {len(tests)} pairs of rows, {len(like)} are at like budgets (policy tokens within a factor of {LIKE:g});"
        f" {len(told)} of these differ at p < {LEVEL:g} (McNemar's exact test; chance alone would give about"
        f" {round(LEVEL * len(like) + 1e-9, 1)})" + (":\n" if told else ".\n")
    )
    if told:
        parts.append(
            markdown(("at like budgets", "against", "difference, points", "p"), [_verdict(one) for one in told])
        )
        parts.append("")
    return "\n".join(parts)


NOTE = (
    "Accuracy: the answer that the strategy chose, the reference hidden, with Wilson's 95 % interval. Costs are per"
    " problem: tokens the policy wrote, tokens of prompts it read (once a call), tokens value models read, steps"
    " executed, calls to the policy, and the machine's seconds. Rows are in the order of policy tokens; the last column"
    " is the difference to the first row in points, with the paired bootstrap's 95 % interval (* p < 0.05, McNemar)."
)


def _verdict(one: dict[str, Any]) -> list[str]:
    better, worse, sign = ("second", "first", 1) if one["difference"] > 0 else ("first", "second", -1)
    low, high = sorted(sign * 100 * end for end in one["interval"])
    gain = f"+{sign * 100 * one['difference']:.1f} ({low:.1f} to {high:.1f})"
    return [one[better], one[worse], gain, p_value(one)]


def p_value(one: dict[str, Any]) -> str:
    return "< 0.001" if one["p"] < 0.001 else f"{one['p']:.3f}"


def draw(title: str, rows: Sequence[Row], files: Sequence[Path]) -> None:
    """Accuracy against policy tokens a problem, on a logarithmic axis, with 95 % intervals: one line a strategy."""
    lines = []
    for strategy in dict.fromkeys(row.strategy for row in rows):
        its = [row for row in rows if row.strategy == strategy]
        ends = [[100 * end for end in row.told["accuracy"]["interval"]] for row in its]
        lines.append(
            plot.Line(
                strategy,
                [max(row.each("generated"), 1.0) for row in its],
                [100 * row.told["accuracy"]["share"] for row in its],
                [(low, high) for low, high in ends],
            )
        )
    axes = plot.Axes(title, "policy tokens generated, per problem", "accuracy, % (95 % interval)", log=10)
    plot.draw(axes, lines, files)


def level_rows(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Accuracy by level: the header and a row for each row. Empty without levels."""
    levels = list(rows[0].told["levels"]) if rows else []
    if levels in ([], ["all"]):
        return [], []
    body = [[row.name, *(percent(row.told["levels"][level]["share"]) for level in levels)] for row in rows]
    return ["accuracy % of", *levels], body
