"""A round's report as one Markdown text with its charts in it, for dashboards that show Markdown."""

import base64
from collections.abc import Iterator
from typing import Any

from rstar.evaluate import report as tables
from rstar.report import charts
from rstar.report.facts import Run
from rstar.report.figures import CHARTS, funnel, pictures

CHART_OF = {
    "Accuracy": ("accuracy", "pairs"),
    "Coverage by difficulty and level": ("difficulty", "ends"),
    "Q-values and PPM scores": ("q", "score"),
    "Data-trust funnel": (),
    "Budget": ("time", "tokens"),
}
"""Section -> its charts."""
STAGE_COLUMNS = ("stage", "seconds", "generated", "prefilled", "value_tokens", "executions", "trained")


def markdown(run: Run, number: int, drawn: bool = True) -> str:
    """Rounds 1 to `number`, and round `number` section by section; the charts as images that hold their own data.

    Raises InputError where charts are asked for and the library that draws is not installed.
    """
    rounds = [one for one in run.rounds if one.number <= number]
    summaries = [one.summary for one in rounds]
    made = pictures(rounds) if drawn else {}
    parts = [f"# {run.cfg.name}, round {number}", tables.markdown(tables.COLUMNS, tables.rows(summaries))]
    for title, body in _sections(run, number).items():
        parts += [f"## {title}", body] if body else [f"## {title}"]
        for name in CHART_OF[title]:
            if made.get(name):
                parts += [f"**{CHARTS[name]}**", f"![{CHARTS[name]}]({_image(made[name])})"]
    return "\n\n".join(parts) + "\n"


def _sections(run: Run, number: int) -> dict[str, str]:
    (one,) = (its for its in run.rounds if its.number == number)
    levels = []
    for level, counts in sorted(one.searched.difficulty.items()):
        n = counts.total()
        shares = [counts["easy"] + counts["medium"], counts["easy"], counts["medium"], counts["hard"]]
        levels.append([level, str(n), *(tables.percent(share / n) for share in shares)])
    trust = [[row["label"], row["cells"][0]["text"]] for row in funnel([one])]
    stages = [stage for stage in run.stages if stage["stage"].startswith(f"round-{number}/")]
    budget = [["–" if stage[name] is None else str(stage[name]) for name in STAGE_COLUMNS] for stage in stages]
    return {
        "Accuracy": tables.markdown(["what", "% (95 % interval)", "of"], list(_rates(one.summary))),
        "Coverage by difficulty and level": tables.markdown(
            ["level", "problems", "covered %", "easy %", "medium %", "hard %"], levels
        ),
        "Q-values and PPM scores": "",
        "Data-trust funnel": tables.markdown(["what", "count"], trust),
        "Budget": tables.markdown([name.replace("_", " ") for name in STAGE_COLUMNS], budget),
    }


def _rates(summary: dict[str, Any]) -> Iterator[list[str]]:
    """What was measured on held-out problems, each with its interval."""
    for who in ("policy", "control", "search"):
        if summary[who] is not None:
            its = summary[who]["accuracy"]
            yield [f"{who} accuracy", tables.rate(its), str(its["n"])]
    for kind, words in (("step", "steps"), ("answer", "solutions")):
        if summary["pairs"] is not None:
            its = summary["pairs"][kind]
            yield [f"PPM, pairs of {words}", tables.rate(its), str(its["n"])]


def _image(chart: str) -> str:
    """A chart as an address that holds it: no file needs to be served."""
    return f"data:image/svg+xml;base64,{base64.b64encode(charts.standalone(chart).encode()).decode()}"
