"""Every command, each a few lines over the pipeline."""

import signal
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer

from rstar import __version__
from rstar.cli import data, files, screen
from rstar.cli.paper import HELP, paper
from rstar.errors import InputError, SandboxUnavailable
from rstar.pipeline import inspect

app = typer.Typer(
    name="rstar",
    help="Small language models that teach themselves to reason.\n\nExit codes: 0 done, 1 failed, 2 wrong input, "
    "3 another recipe made what is on disk, 4 damaged files.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)

Sources = Annotated[
    list[str],
    typer.Argument(
        help="Config files (merged left to right) or the folder of a run, and overrides KEY.KEY=VALUE.",
        metavar="CONFIG...",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output instead of tables.")]
Run = Annotated[Path, typer.Argument(help="The folder of a run, such as runs/demo.", metavar="RUN")]


@app.command()
def evolve(
    config: Sources,
    schedule: Annotated[
        str | None,
        typer.Option(
            help="Not now, but by the clock of `make up`: one run at a time, each going on where the last one ended."
            ' "0 2 * * *" is every night at two.',
            metavar="CRON",
        ),
    ] = None,
    timezone: Annotated[str, typer.Option(help="In which the hours of --schedule are meant.")] = "UTC",
    quiet: Quiet = False,
    json: AsJson = False,
) -> None:
    """Run all rounds of an evolution; the same command again goes on where it stopped."""
    from rstar.pipeline.round import evolve as run

    cfg = inspect.config(config)
    if schedule is not None:
        # Prefect is flows' affair, and a process of its own reads Prefect's settings anew.
        words = [cfg.name, schedule, "--timezone", timezone, "--", *config]
        done = subprocess.run([sys.executable, "-m", "flows.schedule", *words], check=False)
        raise typer.Exit(done.returncode)
    with screen.progress(quiet) as progress:
        rounds = run(cfg, progress)
    _show_rounds(cfg.runtime.runs / cfg.name, rounds, json)


@app.command("round")
def one_round(
    config: Sources,
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="Which round, counted from 1.")],
    quiet: Quiet = False,
    json: AsJson = False,
) -> None:
    """Run one round; the one before must be finished."""
    from rstar.pipeline.round import run_round

    cfg = inspect.config(config)
    with screen.progress(quiet) as progress:
        summary = run_round(cfg, number, progress)
    _show_rounds(cfg.runtime.runs / cfg.name, [summary], json)


Problems = Annotated[
    str | None,
    typer.Option(
        help="JSONL of {id, problem, answer}, or a benchmark such as gsm8k; the run's held-out problems if absent.",
        metavar="FILE_OR_BENCHMARK",
    ),
]
Strategy = Annotated[
    str, typer.Option("--search", help="A strategy (greedy, mcts, …: docs/search.md), or the file of a preset.")
]
Settings = Annotated[list[str] | None, typer.Option("--set", help="Search setting KEY=VALUE.")]
Number = Annotated[int | None, typer.Option("--round", "-n", min=1, help="Which round's models; the last.")]


@app.command()
def evaluate(
    config: Sources,
    problems: Problems = None,
    search: Strategy = "greedy",
    number: Number = None,
    settings: Settings = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many problems.")] = None,
    per_level: Annotated[int | None, typer.Option(min=1, help="Only the first so many of each level.")] = None,
    quiet: Quiet = False,
    json: AsJson = False,
) -> None:
    """Solve problems with a round's models, the answers hidden; print how many are right, and what it cost."""
    from rstar.pipeline.use import Asked
    from rstar.pipeline.use import evaluate as run_evaluation

    cfg = inspect.config(config)
    with screen.progress(quiet) as progress:
        result = run_evaluation(cfg, number, Asked(problems, limit, per_level), search, settings or [], progress)
    if json:
        screen.json_line(result)
    else:
        _show_evaluation(result)


@app.command()
def compare(
    config: Annotated[
        list[str],
        typer.Argument(help="Config files of a comparison, and overrides KEY.KEY=VALUE.", metavar="CONFIG..."),
    ],
    quiet: Quiet = False,
    json: AsJson = False,
) -> None:
    """Run several strategies over several budgets on one run's models; write one table and one plot."""
    from rstar.config.compare import CompareConfig
    from rstar.config.load import load
    from rstar.evaluate import comparison
    from rstar.pipeline.compare import compare as run_comparison

    cfg = load(CompareConfig, config)
    where = " + ".join(text for text in config if Path(text).is_file()) or "the command line"
    with screen.progress(quiet) as progress:
        result = run_comparison(cfg, where, progress)
    if json:
        screen.json_line(result)
        return
    rows = [comparison.Row(row["strategy"], row["budget"], row, ()) for row in result["rows"]]
    screen.table(
        comparison.HEADER, comparison.cells(rows, result["pairs"]), f"{cfg.title}: {result['about']} Costs per problem."
    )
    header, body = comparison.level_rows(rows)
    if header:
        screen.table(header, body, "accuracy by level")
    for one in comparison.notable(result["pairs"]):
        better, worse = ("second", "first") if one["difference"] > 0 else ("first", "second")
        points = f"{abs(100 * one['difference']):.1f} points, p {comparison.p_value(one)}"
        screen.out.print(f"at like budgets: {one[better]} over {one[worse]} by {points}", highlight=False)
    for name in result["files"].values():
        screen.out.print(name, markup=False, highlight=False)


app.command("paper", help=HELP)(paper)
app.add_typer(data.app)
app.command()(data.augment)
app.command()(data.train)
app.command()(data.export)


@app.command()
def solve(
    problem: Annotated[str, typer.Argument(help="The problem, in words.")],
    run: Annotated[Path, typer.Option(help="The run whose models solve it.")] = Path("runs/demo"),
    search: Strategy = "mcts",
    number: Number = None,
    settings: Settings = None,
    tree: Annotated[bool, typer.Option("--tree", help="Show the whole search tree.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the solution, not the search.")] = False,
    json: AsJson = False,
) -> None:
    """Search one problem, step by step in view, and print the chosen solution. Exits with 1 when none was found."""
    from rstar.cli.live import stream
    from rstar.core.show import show as render
    from rstar.pipeline.use import solve as run_solve

    cfg = inspect.config([str(run)])
    with stream(quiet or json) as tell:
        found = run_solve(cfg, number, problem, search, settings or [], tell)
    if json:
        screen.json_line(
            {"round": found.round, "answer": found.answer, "solution": found.solution, "tree": found.tree.to_json()}
        )
    else:
        if tree:
            screen.out.print(render(found.tree), markup=False, highlight=False)
        screen.err.print(f"by the models of round {found.round}", highlight=False)
        _show_solution(found)
    if found.answer is None:
        raise typer.Exit(1)


@app.command()
def serve(
    config: Sources,
    number: Number = None,
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Of the first model; the others' count up from it.")
    ] = 8000,
    json: AsJson = False,
) -> None:
    """Print the commands that serve a round's models with vLLM, for runs that attach to such servers."""
    from rstar.pipeline.use import serving

    told = serving(inspect.config(config), number, port)
    if json:
        screen.json_line(told)
    else:
        for role, its in told.items():
            settings = " ".join(f'"{one}"' if " " in one else one for one in its["settings"])
            print(f"# {role}: {settings}\n{its['command']}")
            if its["note"]:
                screen.err.print(f"{role}: {its['note']}", highlight=False)
        if "ppm" not in told:
            screen.err.print("there is no PPM, or it is not finished", highlight=False)
        screen.err.print("the servers listen on all addresses; with VLLM_API_KEY, on both sides, they ask for it")


@app.command()
def status(run: Run, json: AsJson = False) -> None:
    """Every stage of a run: what is done, owed and failed, and while it runs its rate and the time left."""
    from rstar.pipeline.status import status as read

    rows = read(run)
    if json:
        screen.json_line(rows)
        return
    header = ["stage", "status", "done", "owed", "failed", "rate", "time left", "seconds"]
    screen.table(header, [_status_cells(row) for row in rows], str(run))


def _status_cells(row: dict[str, Any]) -> list[str]:
    done = "" if row["done"] is None else f"{row['done']} {row['unit']}"
    owed = "" if row["owed"] is None or row["status"] == "complete" else str(row["owed"])
    rate = "" if row["rate"] is None else f"{row['rate']:.2f}/s"
    left = "" if row["left_s"] is None else str(timedelta(seconds=round(row["left_s"])))
    return [row["stage"], row["status"], done, owed, str(row["failed"] or ""), rate, left, str(row["seconds"] or "")]


@app.command()
def check(
    run: Run,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Remove damaged files and open their stages again; `rstar evolve` remakes them."),
    ] = False,
    json: AsJson = False,
) -> None:
    """Verify every hash and reference of a run. Exits with 4 when something is wrong; unfinished is not wrong."""
    opened: list[str] = []
    stages, unfinished, wrong = inspect.check(run)
    found = wrong
    if repair and wrong:
        from rstar.pipeline.repair import repair as open_again

        opened = open_again(run)
        stages, unfinished, wrong = inspect.check(run)
    if json:
        told = {"stages": stages, "unfinished": unfinished, "wrong": wrong}
        screen.json_line({**told, "opened": opened, "found": found} if repair else told)
    else:
        for line in found:
            screen.err.print(line, markup=False, highlight=False)
        for name in opened:
            screen.out.print(f"opened again: {name}", markup=False, highlight=False)
        good = ": what was damaged is owed again" if opened else ": all is as it was sealed"
        faults = "1 fault" if len(wrong) == 1 else f"{len(wrong)} faults"
        screen.out.print(f"{stages} stages, {faults}" + ("" if wrong else good))
        for name in unfinished:
            screen.out.print(f"not finished: {name}", markup=False, highlight=False)
    if wrong:
        raise typer.Exit(4)


@app.command()
def show(
    run: Run,
    problem: Annotated[str | None, typer.Argument(help="A problem's id; without it, the ids are listed.")] = None,
    number: Annotated[int, typer.Option("--round", "-n", min=1, help="Which round.")] = 1,
    stage: Annotated[str, typer.Option(help="search, eval/policy, eval/control or eval/search.")] = "search",
    json: AsJson = False,
) -> None:
    """The search trees of a problem as text."""
    from rstar.core.show import show as render

    if problem is None:
        rows = inspect.problems_of(run, number, stage)
        screen.err.print(f"{stage} of round {number}; --round and --stage name another", highlight=False)
        for row in rows:
            if json:
                screen.json_line(row)
            else:
                screen.out.print("{id}  {nodes} nodes  {solved}".format(**row), markup=False, highlight=False)
        return
    for tree in inspect.trees_of(run, number, stage, problem):
        if json:
            screen.json_line(tree.to_json())
        else:
            screen.out.print(render(tree), markup=False, highlight=False)


@app.command()
def report(
    run: Run,
    out: Annotated[
        Path | None, typer.Option(help="The page's file, RUN/report.html if absent; a .md file gets the tables alone.")
    ] = None,
    problems: Annotated[
        int, typer.Option(min=0, help="Problems of each stage whose search trees are in the page.")
    ] = 60,
    quiet: Quiet = False,
    json: AsJson = False,
) -> None:
    """Write the page of a run: rounds, charts, data trust, cost, and its search trees to look into. It needs no net."""
    from rstar.report import page

    with screen.progress(quiet) as progress:
        made = page.write(run, out, problems, progress)
    if json:
        screen.json_line(made)
        return
    told = f"report: {made['report']}, {made['bytes'] / 1e6:.1f} MB"
    if made["searched"]:
        told += f", with the search trees of {made['problems']:,} of {made['searched']:,} problems"
    screen.out.print(told, markup=False, highlight=False)


@app.command()
def grade(
    file: Annotated[Path, typer.Argument(help="JSONL of {gold, candidate}.")],
    mode: Annotated[
        str, typer.Option(help="strict (training) or compat (as published numbers are graded).")
    ] = "strict",
    workers: Annotated[int, typer.Option(min=1, help="Grading processes.")] = 2,
    json: AsJson = False,
) -> None:
    """Compare pairs of answers: the same rows with `verdict`, `rule` and `ms`."""
    files.grade(file, mode, workers, json)


@app.command("exec")
def run_steps(
    file: Annotated[
        Path, typer.Argument(help="JSONL of {steps}: a list of Python sources, run one on top of the other.")
    ],
    isolation: Annotated[str, typer.Option(help="unsafe, rlimits, seccomp or strict.")] = "seccomp",
    cpu_s: Annotated[float, typer.Option(min=0.01, max=86400, help="CPU seconds of one step.")] = 5.0,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 when a row ends as none of its `expected` statuses.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Run steps in the sandbox: the same rows with `results`, one a step, up to the first that fails."""
    files.execute(file, isolation, cpu_s, check, json)


@app.command()
def doctor(
    config: Annotated[
        list[str] | None,
        typer.Argument(help="Configs whose sandbox.isolation must be possible here.", metavar="[CONFIG...]"),
    ] = None,
    isolation: Annotated[
        str | None, typer.Option(help="The level that must be possible: rlimits, seccomp or strict; seccomp if absent.")
    ] = None,
    json: AsJson = False,
) -> None:
    """What this machine gives the sandbox, layer by layer; exit code 1 when the isolation asked for cannot be had."""
    from rstar.sandbox import SandboxConfig
    from rstar.sandbox.doctor import examine, level
    from rstar.sandbox.lockdown import LEVELS

    asked = inspect.config(config).sandbox if config else SandboxConfig()
    wanted = isolation or asked.isolation
    if wanted not in LEVELS:
        raise InputError(f"--isolation: {wanted!r} is not one of {', '.join(LEVELS)}")
    findings = {finding.name: finding for finding in examine(asked.python)}
    found = findings.get(level(wanted), findings["execution tree"])
    if json:
        screen.json_line({"isolation": wanted, "findings": [finding.row() for finding in findings.values()]})
    else:
        rows = [[its.name, "yes" if its.active else "no", its.detail] for its in findings.values()]
        screen.table(["what", "active", "detail"], rows)
    if not found.active:
        raise SandboxUnavailable(found.detail)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rstar {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Small language models that teach themselves to reason."""


def _show_rounds(folder: Path, rounds: list[dict[str, Any]], json: bool) -> None:
    from rstar.evaluate import report as tables
    from rstar.pipeline.gate import regression
    from rstar.pipeline.prepare import seen

    if json:
        screen.json_line({"run": str(folder), "rounds": rounds})
        return
    screen.table(tables.COLUMNS, tables.rows(rounds), str(folder))
    header, body = tables.level_rows(rounds)
    if header:
        screen.table(header, body, "policy pass@1 by level, held-out problems")
    screen.out.print(tables.NOTE, highlight=False)
    for found in filter(None, [seen(folder), *map(regression, rounds)]):
        screen.err.print(f"warning: {found}", markup=False, highlight=False)
    told = f"\nreport: {folder / 'report.md'}; with charts and search trees: rstar report {folder}"
    screen.out.print(told, markup=False, highlight=False)


def _show_evaluation(told: dict[str, Any]) -> None:
    """Accuracy, also by level; what k trajectories are worth; what it cost."""
    what = f"{told['search']}, round {told['round']}"
    rows = [[name, *_rate(rate)] for name, rate in told["levels"].items()] if len(told["levels"]) > 1 else []
    rows.append(["all", *_rate(told["accuracy"])])
    screen.table(["level", "accuracy %", "95 % interval", "problems"], rows, what)
    if told["pass"]:
        measures = [name for name in ("pass", "maj", "best") if told.get(name)]
        body = [[k, *(screen.share(told[name][k]) for name in measures)] for k in told["pass"]]
        header = ["k", *(f"{name}@k %" for name in measures)]
        screen.table(header, body, "of k trajectories: one is right, the vote is right, the best-scored is right")
    cost, clock = told["cost"], told["clock"]
    each = max(cost["problems"], 1)
    body = [
        [words, f"{cost[name]:,}", f"{cost[name] / each:,.1f}"]
        for words, name in (
            ("policy tokens generated", "generated"),
            ("policy tokens prefilled", "prefilled"),
            ("value-model tokens", "value_tokens"),
            ("executions", "executions"),
            ("model calls", "calls"),
            ("prefixes scored", "scored"),
        )
    ]
    for words, name in (("CPU-seconds", "cpu_s"), ("GPU-seconds", "gpu_s"), ("wall time, s", "wall_s")):
        body.append([words, f"{clock.get(name, 0):,.1f}", f"{clock.get(name, 0) / each:,.3f}"])
    screen.table(["cost", "in all", "a problem"], body)
    screen.out.print(f"answers: {told['answers']}", markup=False, highlight=False)


def _show_solution(found: Any) -> None:
    """The chosen solution step by step, each with N, Q and score, and how many of the other answers agree."""
    from rstar.answers.normal import normal_form
    from rstar.search.reward import SCORED_BY

    nodes = found.tree.nodes
    made = f" ({SCORED_BY[found.scored_by]})" if found.scored_by else ""
    if found.leaf is None:
        screen.out.print("no solution found", markup=False, highlight=False)
    else:
        for at in found.tree.path(found.leaf):
            node = nodes[at]
            whose = f"solution's score{made}" if at == found.leaf else "score"
            score = "" if node.score is None else f"  {whose} {node.score:+.2f}"
            screen.out.print(
                f"── step {node.depth}  N {node.visits}  Q {node.q:+.2f}{score}", markup=False, highlight=False
            )
            screen.out.print((node.text + node.observation).strip("\n"), markup=False, highlight=False)
        votes: Counter[str] = Counter()
        for i in found.tree.leaves():
            votes[normal_form(nodes[i].answer or "")] += nodes[i].count if nodes[i].answer else 0
        same = votes[normal_form(nodes[found.leaf].answer or "")]
        screen.out.print(f"── the answer of {same} out of {votes.total()}", markup=False, highlight=False)
    screen.out.print(f"answer: {found.answer}", markup=False, highlight=False)


def _rate(rate: dict[str, Any]) -> list[str]:
    low, high = rate["interval"] or (0, 0)
    return [f"{100 * (rate['share'] or 0):.1f}", f"{100 * low:.1f} to {100 * high:.1f}", str(rate["n"])]


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    """A termination request ends the program as Ctrl-C does, so that children are stopped on the way out."""
    raise KeyboardInterrupt


STOPPED = 130
"""What typer exits with on Ctrl-C."""


def main() -> None:
    """The entry point: known errors are one line on standard error, with their exit code."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        with screen.told():
            app(prog_name="rstar")
    except SystemExit as ended:
        if ended.code == STOPPED:
            screen.err.print("rstar: stopped; the same command goes on from here")
        raise
    except BrokenPipeError:
        raise SystemExit(0) from None
    except OSError as error:
        screen.err.print(f"rstar: {error}", markup=False, highlight=False)
        raise SystemExit(1) from None
