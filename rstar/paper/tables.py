"""Every table by its name: made, written into the page, its plot beside it."""

import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from rstar.config.paper import PaperConfig
from rstar.config.run import RunConfig
from rstar.errors import InputError
from rstar.evaluate import plot
from rstar.paper import EVERY, TABLES, page, reward_models, searches, sft_data
from rstar.paper.ablations import ablations
from rstar.paper.page import Table, put, section
from rstar.paper.rounds import check_guides, coverage, policy, ppm, system2
from rstar.paper.runs import Run, check_ppms, check_round, check_search, finished, planned, shortened
from rstar.paper.scaling import scaling
from rstar.pipeline.progress import Progress

MAKERS: dict[str, Callable[[PaperConfig, list[Run]], Table]] = {
    "coverage": coverage,
    "policy": policy,
    "ppm": ppm,
    "system2": system2,
    "sft-data": sft_data.sft_data,
    "reward-models": reward_models.reward_models,
    "scaling": scaling,
    "searches": searches.searches,
    "ablations": ablations,
}
CHECKS: dict[str, Callable[[PaperConfig, RunConfig], Any]] = {
    "ppm": lambda paper, cfg: (check_guides(cfg), check_round(cfg, paper.ppm_policy, "ppm_policy")),
    "system2": lambda paper, cfg: check_guides(cfg),
    "sft-data": sft_data.check,
    "reward-models": reward_models.check,
    "scaling": lambda paper, cfg: check_ppms(cfg, (paper.scaling.round,), "scaling.round"),
    "searches": searches.check,
    "ablations": lambda paper, cfg: check_ppms(cfg, (paper.ablations.round,), "ablations.round"),
}
"""What finds a wrong setting of a table before anything runs: it raises InputError."""
SEARCHED = ("ppm", "system2", "scaling")
"""Tables that search by the setting `search`."""
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
    if paper.test_seed is not None:
        names = [name for name in names if name != "coverage"]
        if not names:
            raise InputError("test_seed: `coverage` is of training problems")
    _check(paper, names)
    runs = finished(paper, progress)
    for name in names:
        table = titled(paper, MAKERS[name](paper, runs))
        write(paper, table, command(name, sources))
        yield table


def _check(paper: PaperConfig, names: Sequence[str]) -> None:
    """Raises InputError."""
    if any(name in DRAWN for name in names):
        plot.can_draw()
    page.check(paper.out)
    whole = planned(paper, paper.seeds[0])
    check_round(whole, paper.rounds, "rounds")
    cfg = shortened(paper, whole)
    if any(name in SEARCHED for name in names):
        check_search(cfg, paper.search, "search")
    for name in names:
        if name in CHECKS:
            CHECKS[name](paper, cfg)


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


def titled(paper: PaperConfig, table: Table) -> Table:
    """The table as its section is called: one of other problems has a section of its own."""
    if paper.test_seed is None:
        return table
    title = f"{table.title}, on held-out problems of seed {paper.test_seed}"
    return replace(table, name=f"{table.name}-{paper.test_seed}", title=title)


def made(paper: PaperConfig) -> str:
    """What the figures are of."""
    one = len(paper.seeds) == 1
    evolution = planned(paper, paper.seeds[0]).name.rpartition("-seed-")[0]
    return f"{evolution}, seed{'' if one else 's'} {', '.join(map(str, paper.seeds))}"


def command(name: str, sources: Sequence[str]) -> str:
    """How the table is made again; where things lie is left out."""
    places = ("runs=", "out=")
    return shlex.join(["rstar", "paper", name, *(text for text in sources if not text.startswith(places))])
