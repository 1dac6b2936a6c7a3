"""A run's charts and its data-trust funnel: the figures that the page and the Markdown share."""

from collections.abc import Sequence
from typing import Any

from rstar.core.tree import Terminal
from rstar.evaluate.plot import can_draw
from rstar.report import charts
from rstar.report.facts import KINDS, Round

FUNNEL = {
    "terminals": ("ends of all trees", "fade"),
    "answered": ("answered", "policy"),
    "correct": ("verified against the reference", "right"),
    "wrong": ("another answer", "wrong"),
    "undecided": ("undecided by the grader", "mixed"),
    "sft_fresh": ("selected trajectories (SFT rows)", "right"),
    "sft_rows": ("SFT rows with those kept from earlier rounds", "right"),
    "step_pairs": ("step pairs", "policy"),
    "answer_pairs": ("pairs of whole solutions", "policy"),
    "pair_rows": ("pairs with those kept from earlier rounds", "policy"),
}
"""Count of the select stage -> what it is called, its colour."""
CHARTS = {
    "accuracy": "Accuracy on held-out problems",
    "pairs": "How often the PPM ranks a held-out pair as its outcome does",
    "difficulty": "Difficulty of the searched problems",
    "ends": "How trajectories ended",
    "q": "Q-values of the training search",
    "score": "PPM scores in the search of held-out problems",
    "time": "Time by round",
    "tokens": "Tokens by round",
}
OF_ENDS = ("terminals", "answered", "correct", "wrong", "undecided")
TIMES = dict(zip(KINDS, ("policy", "fade", "right", "other", "control", "search"), strict=True))


def pictures(rounds: Sequence[Round]) -> dict[str, str]:
    """CHARTS of some rounds, as SVG whose colours are names; empty where nothing was measured.

    Raises InputError where the library that draws is not installed.
    """
    can_draw()
    numbers = [one.number for one in rounds]
    names = [f"round {n}" for n in numbers]
    found = {
        "accuracy": charts.curves(
            "accuracy by round",
            [
                charts.Curve("policy, greedy", "policy", _accuracy(rounds, "policy")),
                charts.Curve("control, greedy", "control", _accuracy(rounds, "control")),
                charts.Curve("search, answers hidden", "search", _accuracy(rounds, "search")),
            ],
            numbers,
        ),
        "pairs": "",
        "difficulty": charts.stacks(
            "difficulty by round",
            {
                how: (colour, [one.summary["data"].get(f"difficulty.{how}", 0) for one in rounds])
                for how, colour in (("easy", "right"), ("medium", "mixed"), ("hard", "wrong"))
            },
            names,
            "problems",
        ),
        "ends": charts.stacks(
            "ends by round",
            {
                end.value.replace("_", " "): (charts.ENDS[end.value], _ends(rounds, end.value))
                for end in Terminal
                if any(_ends(rounds, end.value))
            },
            names,
            "ends of trees",
        ),
        "q": charts.histograms("Q-values by round", {f"round {one.number}": one.searched.q for one in rounds}, "Q"),
        "time": charts.stacks(
            "time by round",
            {kind: (colour, [one.seconds.get(kind, 0.0) for one in rounds]) for kind, colour in TIMES.items()},
            names,
            "seconds",
        ),
        "tokens": charts.stacks(
            "tokens by round",
            {
                words: (colour, [_tokens(one, name) for one in rounds])
                for words, colour, name in (
                    ("generated", "policy", "generated"),
                    ("prefilled", "fade", "prefilled"),
                    ("read by value models", "search", "value_tokens"),
                )
            },
            names,
            "tokens of all searches",
        ),
    }
    kinds = (("pairs of steps", "policy", "step"), ("pairs of solutions", "search", "answer"))
    lines = [charts.Curve(words, colour, _pairs(rounds, name)) for words, colour, name in kinds]
    if any(any(line.points) for line in lines):
        found["pairs"] = charts.curves("PPM pair accuracy by round", lines, numbers)
    scored = {f"round {one.number}": one.held_out.score for one in rounds if one.held_out and one.held_out.score.total}
    found["score"] = charts.histograms("PPM scores by round", scored, "score") if scored else ""
    return found


def funnel(rounds: Sequence[Round]) -> list[dict[str, Any]]:
    """A row a filter: its label, its colour, and a cell a round with the count and its share in percent."""
    rows = []
    for name, (label, shade) in FUNNEL.items():
        counts = [one.summary["data"].get(name) for one in rounds]
        most = max((count for count in counts if count), default=1)
        cells = []
        for one, count in zip(rounds, counts, strict=True):
            whole = one.summary["data"].get("terminals", 0) if name in OF_ENDS else most
            share = 100 * (count or 0) / max(whole, 1)
            said = f" ({share:.1f} %)" if name in OF_ENDS[1:] else ""
            cells.append({"text": "–" if count is None else f"{count:,}{said}", "p": round(share, 1)})
        if any(count is not None for count in counts):
            rows.append({"label": label, "shade": shade, "cells": cells})
    return rows


def _accuracy(rounds: Sequence[Round], who: str) -> list[tuple[float, float, float] | None]:
    return [_point(one.summary[who] and one.summary[who]["accuracy"]) for one in rounds]


def _pairs(rounds: Sequence[Round], kind: str) -> list[tuple[float, float, float] | None]:
    return [_point(one.summary["pairs"] and one.summary["pairs"][kind]) for one in rounds]


def _point(rate: dict[str, Any] | None) -> tuple[float, float, float] | None:
    if not rate or rate["share"] is None:
        return None
    low, high = rate["interval"]
    return 100 * rate["share"], 100 * low, 100 * high


def _ends(rounds: Sequence[Round], name: str) -> list[int]:
    return [one.summary["coverage"]["terminals"].get(name, 0) for one in rounds]


def _tokens(one: Round, name: str) -> int:
    measured = [one.summary[who] for who in ("coverage", "policy", "control", "search")]
    return sum(its["cost"].get(name, 0) for its in measured if its is not None)
