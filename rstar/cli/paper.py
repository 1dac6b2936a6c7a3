"""`rstar paper`: the paper's tables in miniature."""

from typing import TYPE_CHECKING, Annotated

import typer

from rstar.cli import screen
from rstar.paper import EVERY, TABLES

if TYPE_CHECKING:
    from rstar.paper.page import Table

_LINES = "\n".join(f"{name:<14} {what}" for name, what in {**TABLES, EVERY: "every table, one after the other"}.items())
HELP = f"""Make one of the rStar-Math paper's tables from runs over several seeds, and write it into a page of results.

What the runs lack is made first; the same command again goes on where it stopped. `test_seed=N` asks held-out
problems of another seed, in a section of their own. Tables:

\b
{_LINES}"""


def paper(
    table: Annotated[str, typer.Argument(help="Which table, or `all`.", metavar="TABLE")],
    config: Annotated[
        list[str], typer.Argument(help="Config files, and overrides KEY.KEY=VALUE.", metavar="CONFIG...")
    ],
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    json: Annotated[bool, typer.Option("--json", help="A JSON line a table on standard output.")] = False,
) -> None:
    from rstar.config.load import load
    from rstar.config.paper import PaperConfig
    from rstar.paper import tables

    names = tables.named(table)
    cfg = load(PaperConfig, config)
    with screen.progress(quiet) as progress:
        for one in tables.make(cfg, names, config, progress):
            if json:
                screen.json_line({**one.to_json(), "seeds": list(cfg.seeds), "page": str(cfg.out)})
            else:
                _show(one)
    if not json:
        screen.out.print(f"page: {cfg.out}", markup=False, highlight=False)


def _show(table: "Table") -> None:
    from rstar.paper.page import shown

    for grid in table.grids:
        title = f"{table.title}. {grid.caption}" if grid.caption else table.title
        screen.table(grid.header, [[shown(cell) for cell in row] for row in grid.rows], title)
    for line in table.findings:
        screen.out.print(line, markup=False, highlight=False)
