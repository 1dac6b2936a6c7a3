"""A round's data, or a built file of problems, as a folder that a hub takes as it is: data files and a card."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from pydantic import ValidationError

from rstar.core.problem import Problem
from rstar.data import public
from rstar.data.jsonl import objects, read_problems
from rstar.data.tasks import problem_of
from rstar.errors import Damaged, InputError
from rstar.pipeline.build import Files, Report
from rstar.pipeline.inspect import stored_config
from rstar.pipeline.prepare import finished, required, sound
from rstar.store.fingerprint import file_sha256
from rstar.store.layout import PAIRS, SFT, RunPaths
from rstar.store.table import Writer
from rstar.train.card import table

Form = Literal["parquet", "rstar"]
PROBLEM_SCHEMA = pa.schema([(name, pa.string()) for name in ("id", "problem", "answer", "level", "source", "parent")])
PART = "train-00000-of-00001.parquet"


def export(source: Path, out: Path, number: int | None, form: Form, licence: str) -> dict[str, Any]:
    """Write the folder `out`; returns what its card says. All of it or nothing: `out` must not exist.

    `source` is the folder of a run, whose round `number` (the last one with selected data) is taken, or a file that
    `rstar data build` wrote.
    """
    if os.path.lexists(out):
        raise InputError(f"--out: {out} exists already")
    if not out.parent.is_dir():
        raise InputError(f"--out: there is no folder {out.parent}")
    with _appearing(out) as folder:
        facts = _problems(source, folder, form) if source.is_file() else _round(source, folder, number, form)
        facts["licence"] = licence
        (folder / "README.md").write_text(card(facts, form), encoding="utf-8")
    return facts


def _round(run: Path, folder: Path, number: int | None, form: Form) -> dict[str, Any]:
    config = stored_config(run)
    paths = RunPaths(run)
    numbers = [number] if number is not None else range(len(config["rounds"]), 0, -1)
    which = next((n for n in numbers if finished(paths.round(n).select)), None)
    if which is None:
        raise InputError(f"{run}: round {number or 1} has no selected data yet (see `rstar status {run}`)")
    selected, searched = sound(paths.round(which).select), required(paths.round(which).search)
    sound(paths.problems)
    name = "bootstrap" if which == 1 else "train"
    problems = (problem_of(row) for _, row in objects(paths.problems / f"{name}.jsonl"))
    rows = {
        "sft": public.parquet_rows(paths.round(which).select / SFT),
        "pairs": public.parquet_rows(paths.round(which).select / PAIRS),
    }
    counts = {"problems": _write_problems(folder, problems, form)}
    if form == "parquet":
        for part, file in (("sft", SFT), ("pairs", PAIRS)):
            (folder / part).mkdir()
            shutil.copyfile(paths.round(which).select / file, folder / part / PART)
    else:
        for file, write, given in (
            (public.SFT_FILE, public.write_sft, rows["sft"]),
            (public.PPM_FILE, public.write_ppm, rows["pairs"]),
        ):
            with (folder / file).open("wb") as opened:
                write(opened, given)
    return {
        "title": f"{run.resolve().name}, round {which}",
        "what": "Verified solutions and preference pairs out of tree searches, with the problems that were searched.",
        "files": counts | {"sft": selected.metrics["sft_rows"], "pairs": selected.metrics["pair_rows"]},
        "funnel": {name: count for name, count in selected.metrics.items() if isinstance(count, int)},
        "recipe": {"search": searched.recipe, "select": selected.recipe},
        "fingerprints": {"search": searched.fingerprint, "select": selected.fingerprint},
    }


def _problems(file: Path, folder: Path, form: Form) -> dict[str, Any]:
    report_path = Files(file).report
    if not report_path.is_file():
        raise InputError(f"{file}: {report_path.name} is not beside it; only what `rstar data build` wrote has a card")
    try:
        report = Report.model_validate_json(report_path.read_bytes())
    except ValidationError as error:
        raise Damaged(f"{report_path}: not the report of a build; build {file.name} again") from error
    if file_sha256(file) != report.sha256:
        raise InputError(f"{file}: is not the file that {report_path.name} tells of; build it again")
    count = _write_problems(folder, iter(read_problems(file)), form)
    return {
        "title": file.stem,
        "what": "Problems whose references can be verified, without duplicates and what overlaps benchmarks.",
        "files": {"problems": count},
        "funnel": {f"{name}: {reason}": n for name, its in report.counts.items() for reason, n in its.items()},
        "recipe": report.recipe | {"sources": report.sources},
        "fingerprints": {"file": report.sha256},
    }


def _write_problems(folder: Path, problems: Iterator[Problem], form: Form) -> int:
    if form == "rstar":
        with (folder / public.PROBLEMS_FILE).open("wb") as file:
            return public.write_eval(file, problems)
    (folder / "problems").mkdir()
    with Writer(folder / "problems" / PART, PROBLEM_SCHEMA) as table_:
        for p in problems:
            row = (p.id, p.text, p.answer, p.level, p.source, p.parent)
            table_.add(dict(zip(PROBLEM_SCHEMA.names, row, strict=True)))
    return table_.rows


def card(facts: dict[str, Any], form: Form) -> str:
    """The README of a data set, with the front matter that the hub reads."""
    rstar = {"problems": public.PROBLEMS_FILE, "sft": public.SFT_FILE, "pairs": public.PPM_FILE}
    where = {name: f"{name}/*.parquet" if form == "parquet" else rstar[name] for name in facts["files"]}
    configs = [f"- {{config_name: {name}, data_files: {path}}}" for name, path in where.items()]
    lines = ["---", f"license: {facts['licence']}", "task_categories: [text-generation]", "language: [en]", "configs:"]
    lines += [*configs, "tags: [rstar, math]", "---", f"# {facts['title']}", "", facts["what"], ""]
    for title, part in (
        ("Rows", facts["files"]),
        ("Counts at every filter", facts["funnel"]),
        ("Recipe", facts["recipe"]),
        ("Fingerprints", facts["fingerprints"]),
    ):
        lines += [f"## {title}", "", *table(part), ""]
    return "\n".join(lines)


@contextmanager
def _appearing(out: Path) -> Iterator[Path]:
    """A folder to fill, which appears under its name when the block ends well."""
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    folder.chmod(out.parent.stat().st_mode & 0o777)  # mkdtemp makes it private
    try:
        yield folder
        try:
            folder.rename(out)
        except OSError as error:
            if os.path.lexists(out):
                raise InputError(f"--out: {out} exists already: it came while this was being written") from error
            raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
