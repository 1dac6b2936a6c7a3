"""`rstar data …`: what training problems are made of, and how far what was made can be trusted."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rstar.cli import screen

if TYPE_CHECKING:
    from rstar.pipeline.build import Report

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
        screen.json_line(report.model_dump(mode="json"))
        return
    body = [[name, *(f"{count[reason]:,}" for reason in REASONS)] for name, count in report.counts.items()]
    screen.table(["source", *REASONS], body, str(out))
    if report.overlaps:
        _overlaps(report)
    files = Files(out)
    for path in (out, files.hits, files.dropped, files.report):
        screen.out.print(str(path), markup=False, highlight=False)


def _overlaps(report: "Report") -> None:
    """How many training problems overlap each benchmark, and by which rule its problems were found."""
    from rstar.data.decontaminate import Rule

    rules = [rule.value for rule in Rule]
    body = [
        [name, f"{report.benchmarks[name]:,}", *(f"{count.get(each, 0):,}" for each in ("problems", *rules))]
        for name, count in report.overlaps.items()
    ]
    header = ["benchmark", "its problems", "training problems that overlap", *(f"hits by {rule}" for rule in rules)]
    screen.table(header, body)


def train(
    file: Annotated[Path, typer.Argument(help="JSON list or lines of {query, response}, or of {prompt, pos, neg}.")],
    config: Annotated[
        list[str] | None, typer.Argument(help="Config files, and overrides KEY.KEY=VALUE.", metavar="[CONFIG...]")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for checkpoint, log and manifest.")] = Path("trained"),
    start: Annotated[Path | None, typer.Option(help="Checkpoint folder to start from; else `model` is made.")] = None,
    quiet: Quiet = False,
    json: AsJson = False,
) -> None:
    """Train a policy or a PPM from one file in the form of the released rStar-Math data, and nothing else."""
    from rstar.config.load import load
    from rstar.config.train import FileTrainConfig
    from rstar.pipeline.train_file import train_file

    cfg = load(FileTrainConfig, config or [])
    with screen.progress(quiet) as progress:
        found = train_file(cfg, file, out, start, progress)
    if json:
        screen.json_line(found.metrics)
    else:
        screen.table(
            ["what", "value"],
            [[name, str(value)] for name, value in found.metrics.items() if not isinstance(value, list)],
            str(out),
        )


def export(
    source: Annotated[Path, typer.Argument(help="The folder of a run, or a file that `rstar data build` wrote.")],
    out: Annotated[Path, typer.Option(help="Folder to write; it must not exist.")],
    number: Annotated[int | None, typer.Option("--round", "-n", min=1, help="Which round's data; the last.")] = None,
    form: Annotated[
        str, typer.Option("--format", help="parquet, or rstar: the JSON files of the released data.")
    ] = "parquet",
    licence: Annotated[str, typer.Option(help="Licence in the card, as the hub spells it.")] = "other",
    json: AsJson = False,
) -> None:
    """A data set folder that a hub takes as it is: the data, and a card with counts, recipe, licence, fingerprints."""
    from typing import cast, get_args

    from rstar.errors import InputError
    from rstar.pipeline.export import Form
    from rstar.pipeline.export import export as run

    if form not in get_args(Form):
        raise InputError(f"--format: {form!r} is not one of {', '.join(get_args(Form))}")
    facts = run(source, out, number, cast(Form, form), licence)
    if json:
        screen.json_line(facts)
    else:
        screen.table(["part", "rows"], [[name, f"{rows:,}"] for name, rows in facts["files"].items()], str(out))


@app.command()
def trust(
    run: Annotated[Path, typer.Argument(help="The folder of a run.", metavar="RUN")],
    number: Annotated[int, typer.Option("--round", "-n", min=1, help="Which round.")] = 1,
    json: AsJson = False,
) -> None:
    """The data-trust report of a round: the funnel, coverage, difficulty, which rule accepted answers, suspects."""
    import orjson

    from rstar.pipeline.prepare import sound
    from rstar.store.layout import SUSPECTS, TRUST, RunPaths

    folder = RunPaths(run).round(number).select
    sound(folder)
    told = orjson.loads((folder / TRUST).read_bytes())
    if json:
        screen.json_line(told)
        return
    more = told.pop("trust", {})
    screen.table(["count", ""], [[name, f"{count:,}"] for name, count in told.items()], f"{run}, round {number}")
    for name, groups in more.get("coverage", {}).items():
        body = [
            [key, f"{its['problems']:,}", f"{100 * its['solved'] / its['problems']:.1f}"] for key, its in groups.items()
        ]
        screen.table([name, "problems", "solved %"], body)
    for name in ("steps", "characters"):
        if more.get(name):
            screen.table([name, "solutions"], [[key, f"{count:,}"] for key, count in more[name].items()])
    if more:
        screen.out.print(f"duplicate trajectories: {100 * more['duplicate_share']:.1f} %", highlight=False)
    screen.out.print(f"suspects for a wrong reference: {folder / SUSPECTS}", markup=False, highlight=False)


def augment(
    config: Config,
    out: Annotated[Path, typer.Option(help="Folder of the stage; the same command goes on where it stopped.")],
    quiet: Quiet = False,
    json: AsJson = False,
) -> None:
    """Make new questions out of given ones (MetaMath, MuggleMath, seeds), and keep those on whose answer enough
    solutions agree."""
    from rstar.config.augment import QuestionsConfig
    from rstar.config.load import load
    from rstar.pipeline.augment import augment as run

    with screen.progress(quiet) as progress:
        found = run(load(QuestionsConfig, config), out, progress)
    if json:
        screen.json_line(found.metrics)
        return
    body = [
        [name, str(its["asked"]), str(its["kept"]), "; ".join(f"{why}: {n}" for why, n in its["reasons"].items())]
        for name, its in found.metrics["methods"].items()
    ]
    screen.table(["method", "asked", "kept", "not kept"], body, str(out))


@app.command()
def diversity(
    new: Annotated[Path, typer.Argument(help="JSONL of new problems.")],
    base: Annotated[Path, typer.Argument(help="JSONL of the problems they are compared with.")],
    model: Annotated[str, typer.Option(help="Folder or hub name of a sentence-embedding model (transformers).")],
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, or auto.")] = "auto",
    json: AsJson = False,
) -> None:
    """MetaMath's diversity gain: how far new problems are from the nearest given one, on average."""
    from rstar.data.diversity import gain
    from rstar.data.jsonl import read_problems
    from rstar.engine.embed import Embedder

    texts = [[problem.text for problem in read_problems(path)] for path in (new, base)]
    embedder = Embedder(model, device)
    value = gain(*(embedder(each) for each in texts))
    if json:
        screen.json_line({"d_gain": value, "new": len(texts[0]), "base": len(texts[1]), "model": model})
    else:
        screen.out.print(f"d_gain = {value:.4f} ({len(texts[0]):,} new, {len(texts[1]):,} given)", highlight=False)
