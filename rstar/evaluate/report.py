"""The table of rounds, as Markdown and as rows for a terminal."""

from collections.abc import Sequence
from typing import Any

COLUMNS = (
    "round",
    "searched by",
    "coverage",
    "policy pass@1",
    "control pass@1",
    "search accuracy",
    "PPM step pairs",
    "PPM answer pairs",
)


def rows(rounds: Sequence[dict[str, Any]]) -> list[list[str]]:
    """One row of text cells a round, under COLUMNS; a dash where something was not measured."""
    return [
        [
            str(one["round"]),
            one["searched_by"],
            _share(one["coverage"]["solved"], one["coverage"]["problems"]),
            _rate(one["policy"], "accuracy"),
            _rate(one["control"], "accuracy"),
            _rate(one["search"], "accuracy"),
            _rate(one["pairs"], "step"),
            _rate(one["pairs"], "answer"),
        ]
        for one in rounds
    ]


def level_rows(rounds: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Policy pass@1 by level: the header, and a row for each round and its control. Empty without levels."""
    levels = list(rounds[-1]["policy"]["levels"])
    if levels == ["all"]:
        return [], []
    body = []
    for one in rounds:
        for name in ("policy", "control"):
            if one[name] is not None:
                cells = [percent(one[name]["levels"][level]["share"]) for level in levels]
                body.append([str(one["round"]), name, *cells, percent(one[name]["accuracy"]["share"])])
    return ["round", "pass@1 of", *levels, "all"], body


def coverage_rows(rounds: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Share of training problems with a verified trajectory, by level; empty without levels."""
    levels = sorted({level for one in rounds for level in one["coverage"]["levels"]})
    if levels == ["all"]:
        return [], []
    body = []
    for one in rounds:
        found = one["coverage"]["levels"]
        cells = [_share(found[x]["solved"], found[x]["problems"]) if x in found else "–" for x in levels]
        body.append([str(one["round"]), *cells])
    return ["round", *levels], body


def table(name: str, rounds: Sequence[dict[str, Any]]) -> str:
    """The whole report as Markdown."""
    parts = [f"# {name}\n", markdown(list(COLUMNS), rows(rounds))]
    for title, (header, body) in (
        ("Policy pass@1 by level, held-out problems", level_rows(rounds)),
        ("Coverage by level, training problems", coverage_rows(rounds)),
    ):
        if header:
            parts.append(f"\n## {title}\n\n{markdown(header, body)}")
    parts.append(f"\n{NOTE}\n")
    return "\n".join(parts)


NOTE = (
    "Coverage: share of the searched problems with a verified trajectory (round 1: the bootstrap's own problems)."
    " Pass@1: greedy, on held-out problems, with the 95 % interval. The control is trained on the bootstrap data"
    " alone, with at least as many optimizer steps and tokens as the policy. Search accuracy: MCTS with the round's"
    " policy and PPM, the reference hidden. PPM pairs: how often the PPM ranks a pair of held-out steps or solutions"
    " as their outcome does."
)


def markdown(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(cells) + " |" for cells in body])


def _rate(metrics: dict[str, Any] | None, name: str) -> str:
    return "–" if metrics is None else rate(metrics[name])


def rate(told: dict[str, Any], value: str = "share") -> str:
    """A share (or a mean) with its interval, in percent."""
    if told[value] is None:
        return "–"
    low, high = told["interval"]
    return f"{percent(told[value])} ({percent(low)}–{percent(high)})"


def _share(right: int, n: int) -> str:
    return f"{percent(right / n)} of {n}" if n else "–"


def percent(share: float | None) -> str:
    """A share in percent, without the sign."""
    return "–" if share is None else f"{100 * share:.1f}"
