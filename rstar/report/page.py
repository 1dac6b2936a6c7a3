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
from rstar.errors import InputError
from rstar.evaluate import report as tables
from rstar.pipeline import inspect
from rstar.pipeline.progress import Progress, silent
from rstar.report.facts import Run, gather
from rstar.report.figures import CHARTS, funnel, pictures
from rstar.report.trees import FIELDS, NODES
from rstar.store.manifest import write_atomic

NAME = "report.html"
PROBLEMS = 60
"""Problems of each stage in the explorer, unless asked otherwise."""
ROOM = 8_000_000
"""Bytes of trees in a page at most."""


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
        config=yaml.safe_dump(run.settings, sort_keys=False, allow_unicode=True, width=110),
        data=Markup(_data(run)),
        style=Markup(_text("style.css")),
        script=Markup(_text("explorer.js")),
    )


def _about(run: Run) -> str:
    cfg = run.cfg
    trained = getattr(cfg.model, "path", "a small model from random weights")
    finished = f"Finished: {len(run.rounds)} of {len(cfg.rounds)} rounds"
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
