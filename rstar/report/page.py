"""`report.html`: one file with its style, its script, its charts and its trees in it."""

from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from rstar import __version__
from rstar.core.tree import Terminal
from rstar.errors import InputError
from rstar.evaluate import report as tables
from rstar.evaluate.plot import can_draw
from rstar.pipeline import inspect
from rstar.pipeline.progress import Progress, silent
from rstar.report import charts
from rstar.report.facts import KINDS, Round, Run, gather
from rstar.report.trees import FIELDS, NODES
from rstar.store.manifest import write_atomic

NAME = "report.html"
PROBLEMS = 60
"""Problems of each stage in the explorer, unless asked otherwise."""
ROOM = 8_000_000
"""Bytes of trees in a page at most."""
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


def write(
    folder: Path, out: Path | None = None, problems: int = PROBLEMS, progress: Progress = silent
) -> dict[str, Any]:
    """Make the page of a run, into its folder unless `out` says where (a `.md` file gets the tables alone).

    Returns where it is, its bytes, how many of the searched problems have their trees in it, and the rounds' summaries.
    Raises InputError when no round is finished, or nothing can be written there.
    """
    rounds = inspect.summaries(folder)
    path = folder / NAME if out is None else out
    if not path.parent.is_dir():
        raise InputError(f"--out: there is no folder {path.parent}")
    if path.is_dir():
        raise InputError(f"--out: {path} is a folder, not a file")
    shown = searched = 0
    if path.suffix == ".md":
        text = tables.table(folder.resolve().name, rounds)
    else:
        run = gather(folder, problems, ROOM, progress)
        shown, searched = (sum(len(one.problems) for one in run.forests), sum(one.of for one in run.forests))
        text = render(run)
    write_atomic(path, text.encode())
    size = path.stat().st_size
    return {"report": str(path), "bytes": size, "problems": shown, "searched": searched, "rounds": rounds}


def render(run: Run) -> str:
    """The whole page."""
    environment = Environment(
        loader=PackageLoader("rstar.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.jinja").render(
        name=run.cfg.name,
        folder=run.folder.resolve().name,
        version=__version__,
        about=_about(run),
        cards=list(_cards(run)),
        note=tables.NOTE,
        rounds={"header": tables.COLUMNS, "rows": tables.rows([one.summary for one in run.rounds])},
        titles=CHARTS,
        numbers=[one.number for one in run.rounds],
        charts={name: Markup(svg) for name, svg in pictures(run.rounds).items()},
        heats=list(_heats(run)),
        funnel=funnel(run.rounds),
        rules=_rules(run),
        suspects=_suspects(run),
        stages=_stages(run),
        forests=any(one.problems for one in run.forests),
        sampled=_sampled(run),
        config=yaml.safe_dump(run.cfg.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=110),
        data=Markup(_data(run)),
        style=Markup(_text("style.css")),
        script=Markup(_text("explorer.js")),
    )


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
                charts.Curve("search with the PPM", "search", _accuracy(rounds, "search")),
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


def _about(run: Run) -> str:
    cfg = run.cfg
    trained = getattr(cfg.model, "path", "a small model from random weights")
    finished = f"{len(run.rounds)} of {len(cfg.rounds)} rounds are finished"
    return f"Task {cfg.task}, problems of kind {cfg.problems.kind}, {trained}, seed {cfg.seed}. {finished}."


def _cards(run: Run) -> Iterator[dict[str, str]]:
    last = run.rounds[-1].summary
    number = last["round"]
    wanted = (
        (f"policy pass@1, round {number}", last["policy"]),
        (f"control pass@1, round {number}", last["control"]),
        (f"search accuracy, round {number}", last["search"]),
    )
    for label, its in wanted:
        if its is not None and its["accuracy"]["share"] is not None:
            low, high = its["accuracy"]["interval"]
            note = f"{tables.percent(low)}–{tables.percent(high)} of {its['accuracy']['n']} problems"
            yield {"label": label, "value": f"{tables.percent(its['accuracy']['share'])} %", "note": note}
    covered = last["coverage"]
    share = covered["solved"] / max(covered["problems"], 1)
    note = f"{covered['solved']:,} of {covered['problems']:,} problems"
    yield {"label": f"coverage, round {number}", "value": f"{100 * share:.1f} %", "note": note}
    seconds = sum(row["seconds"] or 0 for row in run.stages)
    generated = sum(row["generated"] or 0 for row in run.stages)
    yield {"label": "time of all stages", "value": _time(seconds), "note": f"{generated:,} tokens generated"}


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _heats(run: Run) -> Iterator[dict[str, Any]]:
    summaries = [one.summary for one in run.rounds]
    header, body = tables.level_rows(summaries)
    if header:
        yield _heat("Pass@1 by level, held-out problems, %", header, body, 2, "")
    header, body = tables.coverage_rows(summaries)
    if header:
        yield _heat("Coverage by level, searched problems, %", header, body, 1, "rows")
    levels = sorted({level for one in run.rounds for level in one.searched.difficulty})
    if levels != ["all"]:
        body = []
        for one in run.rounds:
            for how in ("easy", "medium", "hard"):
                counts = [one.searched.difficulty.get(level) for level in levels]
                cells = [f"{100 * its[how] / its.total():.1f}" if its else "–" for its in counts]
                body.append([str(one.number), how, *cells])
        yield _heat("Difficulty by level, share of searched problems, %", ["round", "", *levels], body, 2, "rows")


def _heat(title: str, header: Sequence[str], body: Sequence[Sequence[str]], words: int, kind: str) -> dict[str, Any]:
    rows = [[{"text": cell, "p": _number(cell)} for cell in row] for row in body]
    return {"title": title, "header": header, "rows": rows, "words": words, "kind": kind}


def _number(cell: str) -> float:
    try:
        return float(cell.partition(" ")[0])
    except ValueError:
        return 0.0


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


def _rules(run: Run) -> dict[str, Any]:
    names = sorted({name for one in run.rounds for name in one.summary["data"] if name.startswith("rule.")})
    body = []
    for name in names:
        counts = [(one.summary["data"].get(name, 0), one.summary["data"]["correct"]) for one in run.rounds]
        body.append([name.removeprefix("rule."), *(f"{n:,} ({100 * n / of:.1f} %)" if of else "–" for n, of in counts)])
    return {"header": ["rule", *(f"round {one.number}" for one in run.rounds)], "rows": body}


def _suspects(run: Run) -> dict[str, Any]:
    rows = [
        [one.number, its.id, its.reference, its.answer, f"{its.votes} of {its.ends}"]
        for one in run.rounds
        for its in one.searched.suspects
    ]
    found = sum(one.searched.suspected for one in run.rounds)
    note = "No right answer was found and most others agree: the reference is wrong, or the policy's mistake common."
    if found > len(rows):
        note += f" {len(rows)} of {found} are listed."
    return {"header": ["round", "problem", "reference", "most say", "answers"], "rows": rows, "note": note}


def _stages(run: Run) -> dict[str, Any]:
    names = ("seconds", "cpu_s", "gpu_s", "generated", "prefilled", "value_tokens", "executions", "trained")
    words = ("s", "CPU-s", "GPU-s", "generated", "prefilled", "value tokens", "executions", "tokens trained on")
    body = [[row["stage"], row["status"], *(_amount(row[name]) for name in names)] for row in run.stages]
    return {"header": ["stage", "", *words], "rows": body}


def _amount(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"


def _sampled(run: Run) -> str:
    shown, of = sum(len(one.problems) for one in run.forests), sum(one.of for one in run.forests)
    which = (
        "All trees are"
        if shown == of
        else f"{shown:,} of {of:,} searched problems, drawn evenly from levels and difficulties, are"
    )
    return f"{which} in this page, each with at most {NODES} nodes of a tree."


def _data(run: Run) -> str:
    """The explorer's data as JSON that may stand in a script element."""
    forests = [
        b'{"stage":%b,"title":%b,"of":%d,"problems":[%b]}'
        % (orjson.dumps(one.stage), orjson.dumps(one.title), one.of, b",".join(one.problems))
        for one in run.forests
        if one.problems
    ]
    text = b'{"fields":%b,"forests":[%b]}' % (orjson.dumps(FIELDS), b",".join(forests))
    return text.decode().replace("<", "\\u003c")


def _text(name: str) -> str:
    return files("rstar.report").joinpath("templates", name).read_text(encoding="utf-8")
