"""Every table by its name: made, written into the page, its plot beside it."""

import os
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path

from rstar.config.paper import PaperConfig
from rstar.errors import InputError
from rstar.evaluate import plot
from rstar.paper import EVERY, TABLES
from rstar.paper.ablations import ablations
from rstar.paper.page import Table, put, section
from rstar.paper.reward_models import reward_models
from rstar.paper.rounds import coverage, policy, ppm, system2
from rstar.paper.runs import Run, check_round, finished, planned, shortened
from rstar.paper.scaling import scaling
from rstar.paper.searches import searches
from rstar.paper.sft_data import sft_data
from rstar.pipeline.progress import Progress

MAKERS: dict[str, Callable[[PaperConfig, list[Run]], Table]] = {
    "coverage": coverage,
    "policy": policy,
    "ppm": ppm,
    "system2": system2,
    "sft-data": sft_data,
    "reward-models": reward_models,
    "scaling": scaling,
    "searches": searches,
    "ablations": ablations,
}
DRAWN = ("policy", "scaling")
"""Tables with a plot."""


def named(name: str) -> list[str]:
    """The tables that a name asks for. Raises InputError, listing them."""
    if name == EVERY:
        return list(TABLES)
    if name not in TABLES:
        raise InputError(f"there is no table {name!r}; the tables: {', '.join([*TABLES, EVERY])}")
    return [name]


def make(paper: PaperConfig, names: Sequence[str], sources: Sequence[str], progress: Progress) -> Iterator[Table]:
    """Each table, its section written into the page by the time it is given.

    What is wrong with the settings is found before anything runs.
    """
    _check(paper, names)
    runs = finished(paper, progress)
    for name in names:
        table = MAKERS[name](paper, runs)
        write(paper, table, command(name, sources))
        yield table


def _check(paper: PaperConfig, names: Sequence[str]) -> None:
    """Raises InputError."""
    if paper.out.is_dir() or not paper.out.parent.is_dir():
        why = f"{paper.out} is a folder" if paper.out.is_dir() else f"there is no folder {paper.out.parent}"
        raise InputError(f"out: {why}")
    if any(name in DRAWN for name in names):
        plot.can_draw()
    cfg = shortened(paper, planned(paper, paper.seeds[0]))
    used: dict[str, dict[str, int | None]] = {
        "ppm": {"ppm_policy": paper.ppm_policy},
        "sft-data": {"sft_data.round": paper.sft_data.round},
        "scaling": {"scaling.round": paper.scaling.round},
        "ablations": {"ablations.round": paper.ablations.round},
        "reward-models": {"reward_models.rounds": max(paper.reward_models.rounds, default=None)},
        "searches": {"searches.rounds": max(paper.searches.rounds, default=None), "searches.ppm": paper.searches.ppm},
    }
    for name in names:
        for where, number in used.get(name, {}).items():
            check_round(cfg, number, where)


def write(paper: PaperConfig, table: Table, told: str) -> None:
    """The table's section, and its plot first: a page never names one that is not there."""
    name = None
    if table.plot is not None:
        name = f"{paper.out.stem}-{table.name}.svg"
        final = paper.out.with_name(name)
        temporary = final.with_name(f".{os.getpid()}-{name}")
        try:
            plot.draw(table.plot.axes, table.plot.lines, [temporary])
            temporary.replace(final)
        finally:
            temporary.unlink(missing_ok=True)
    today = date.today().isoformat()
    put(paper.out, table.name, section(table, told, made(paper), today, name))


def made(paper: PaperConfig) -> str:
    """What the figures are of."""
    one = len(paper.seeds) == 1
    evolution = planned(paper, paper.seeds[0]).name.rpartition("-seed-")[0]
    return f"{evolution}, seed{'' if one else 's'} {', '.join(map(str, paper.seeds))}"


def command(name: str, sources: Sequence[str]) -> str:
    """How the table is made again; where things lie is left out."""
    places = ("runs=", "out=", "evolve=")
    return " ".join(["rstar paper", name, *(text for text in sources if not text.startswith(places))])


def plot_of(paper: PaperConfig, table: Table) -> Path | None:
    """Where the plot of a table lies."""
    return paper.out.with_name(f"{paper.out.stem}-{table.name}.svg") if table.plot is not None else None
