"""`rstar data …`: what training problems are made of, and how far what was made can be trusted."""

from pathlib import Path
from typing import Annotated, Any

import typer

from rstar.cli import screen

app = typer.Typer(
    name="data", help="Training problems: build a file of them.", no_args_is_help=True, rich_markup_mode=None
)

Config = Annotated[
    list[str],
    typer.Argument(help="Config files (merged left to right), and overrides KEY.KEY=VALUE.", metavar="CONFIG..."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output instead of tables.")]


@app.command()
def build(
    config: Config,
    out: Annotated[Path, typer.Option(help="The file of problems to write (.jsonl).")],
    quiet: Quiet = False,
    json: AsJson = False,
) -> None:
    """Make one file of training problems out of sources: references extracted, overlaps with benchmarks and duplicates
    left out, every one of them listed beside it."""
    from rstar.config.data import BuildConfig
    from rstar.config.load import load
    from rstar.pipeline.build import REASONS, Files
    from rstar.pipeline.build import build as run

    with screen.progress(quiet) as progress:
        report = run(load(BuildConfig, config), out, progress)
    if json:
        screen.json_line(report)
        return
    body = [[name, *(f"{count[reason]:,}" for reason in REASONS)] for name, count in report["counts"].items()]
    screen.table(["source", *REASONS], body, str(out))
    if report["overlaps"]:
        _overlaps(report)
    files = Files(out)
    for path in (out, files.hits, files.dropped, files.report):
        screen.out.print(str(path), markup=False, highlight=False)


def _overlaps(report: dict[str, Any]) -> None:
    """How many training problems overlap each benchmark, and by which rule its problems were found."""
    from rstar.data.decontaminate import Rule

    rules = [rule.value for rule in Rule]
    body = [
        [name, f"{report['benchmarks'][name]:,}", *(f"{count.get(each, 0):,}" for each in ("problems", *rules))]
        for name, count in report["overlaps"].items()
    ]
    header = ["benchmark", "its problems", "training problems that overlap", *(f"hits by {rule}" for rule in rules)]
    screen.table(header, body)
