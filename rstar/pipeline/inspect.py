"""Looking at a run without changing it: its config, stages, trees and summaries."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from rstar.config.load import load, validate
from rstar.config.run import SHARED, RunConfig, merge
from rstar.core.tree import Tree
from rstar.errors import ConfigError, Damaged, InputError
from rstar.evaluate import report
from rstar.pipeline.prepare import finished, required, sound
from rstar.store import manifest
from rstar.store.layout import TREES, RoundPaths, RunPaths
from rstar.store.trees import broken_lines, read_trees


def config(sources: Sequence[str]) -> RunConfig:
    """The config that sources describe: files and overrides, or the folder of a run and overrides."""
    if sources and Path(sources[0]).is_dir():
        folder = Path(sources[0])
        if folder.name in ("", ".."):
            folder = folder.resolve()
        for text in sources[1:]:
            if "=" in text and text.partition("=")[0].partition(".")[0] in SHARED:
                raise ConfigError(f"{text}: every round of a run is written out; say which one: rounds.0.{text}")
        place = {"name": folder.name, "runtime": {"runs": str(folder.parent)}}
        return load(RunConfig, sources[1:], under=merge(stored_config(folder), place))
    return load(RunConfig, sources)


def stored_config(folder: Path) -> dict[str, Any]:
    """The resolved config a run was started with. Raises InputError when the folder is not a run, and Damaged when what
    it was started with cannot be read."""
    stored = raw_config(folder)
    path = RunPaths(folder).run
    recipe = {name: its for name, its in stored.items() if name != "runtime"}  # where it ran is for whoever runs it
    try:
        validate(RunConfig, recipe, str(path))
    except ConfigError as error:
        raise Damaged(f"{path}: not the config of a run ({error})") from error
    return stored


def raw_config(folder: Path) -> dict[str, Any]:
    """The same as it stands there, which need not be a config that this version knows."""
    path = RunPaths(folder).run
    try:
        return dict(orjson.loads(path.read_bytes())["config"])
    except FileNotFoundError as error:
        raise InputError(f"{folder}: not the folder of a run (no {path.name})") from error
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise Damaged(f"{path}: not the config of a run ({error})") from error


def stages(folder: Path) -> list[Path]:
    """Every stage folder of a run that has begun, in the order they are worked on; also one that has lost its
    manifest."""
    stored_config(folder)
    return [path for path in _possible(folder) if manifest.holds(path)]


def _possible(folder: Path) -> list[Path]:
    """Every folder that a stage of the run may have, begun or not."""
    rounds = sum(1 for _ in folder.glob("round-*"))
    found = [RunPaths(folder).problems, RunPaths(folder).base, RunPaths(folder).pretrained]
    found += [path for number in range(1, rounds + 1) for path in _of_round(folder, number)]
    found += sorted(path.parent for path in (folder / "evaluations").glob(f"*/{manifest.NAME}"))
    found += sorted(path.parent for path in (folder / "paper").glob(f"**/{manifest.NAME}"))  # follows no links
    return found


def _of_round(folder: Path, number: int, values: Sequence[str] = ()) -> list[Path]:
    """All stages that a round can have; further value models are those on disk and `values`."""
    one = RunPaths(folder).round(number)
    there = (path.parent.name for path in one.value("*").parent.glob(f"*/{manifest.NAME}"))
    roles = sorted({*there, *values})
    trained = [one.search, one.select, one.policy, one.ppm, one.control, *(one.value(role) for role in roles)]
    return [*trained, one.eval_policy, one.eval_control, one.eval_search, one.report, one.gate]


def check(folder: Path) -> tuple[int, list[str], list[str]]:
    """(stages looked at, those not finished, what is wrong): hashes of every sealed file, fingerprints, references."""
    wrong: list[str] = []
    unfinished: list[str] = []
    found = stages(folder)
    try:
        validate(RunConfig, stored_config(folder), str(RunPaths(folder).run))
    except ConfigError as error:
        wrong.append(str(error))
    known = set(_fingerprints(found))
    # A stage that has lost its manifest is owed again: until it is made, nobody knows what it was.
    judged = all(_readable(path) for path in _possible(folder) if path.is_dir())
    for path in found:
        lines, damaged = examine(path)
        wrong += lines
        its = None if manifest.NAME in damaged else manifest.read(path)
        if its is None:
            continue
        for name, fingerprint in its.inputs.items():
            if name != "problems" and fingerprint not in known and judged:
                wrong.append(f"{path / manifest.NAME}: its input {name!r} is no stage of this run")
        if its.status == "open":
            unfinished.append(str(path.relative_to(folder)))
    return len(found), unfinished, wrong


def examine(stage: Path) -> tuple[list[str], list[str]]:
    """(what is wrong with a stage, a line each; its damaged files): the manifest and what it sealed, and in parts that
    are still open every line that is no tree."""
    try:
        wrong, damaged = manifest.check(stage)
    except Damaged as error:
        return [str(error)], [manifest.NAME]
    for path in sorted((stage / TREES).glob("*.jsonl")):
        broken = broken_lines(path)
        wrong += [f"{path}, line {number}: not a tree" for number in broken]
        damaged += [f"{TREES}/{path.name}"] if broken else []
    return wrong, damaged


def _readable(stage: Path) -> bool:
    try:
        return manifest.read(stage) is not None
    except Damaged:
        return False


def _fingerprints(found: list[Path]) -> Iterator[str]:
    """Of all stages whose manifest can be read."""
    for path in found:
        with suppress(Damaged):
            its = manifest.read(path)
            if its is not None:
                yield its.fingerprint


def summaries(folder: Path) -> list[dict[str, Any]]:
    """The summaries of all finished rounds. Raises InputError when there is none."""
    stored_config(folder)
    rounds: list[dict[str, Any]] = []
    while True:
        one = RunPaths(folder).round(len(rounds) + 1)
        if not finished(one.report):
            break
        rounds.append(summary_of(one))
    if not rounds:
        raise InputError(f"{folder}: no round is finished yet (see `rstar status {folder}`)")
    return rounds


def summary_of(one: RoundPaths) -> dict[str, Any]:
    """A finished round's report and, as `gate`, how it compares with the last promoted round (None for round 1)."""
    gate = manifest.read(one.gate)
    told = gate.metrics if gate is not None and gate.status == "complete" else None
    return {**required(one.report).metrics, "gate": told}


def table_row(summary: dict[str, Any]) -> dict[str, str]:
    """A round's row of the table of rounds as column -> cell, and its coverage by level."""
    cells = dict(zip(report.COLUMNS, report.rows([summary])[0], strict=True))
    header, body = report.coverage_rows([summary])
    for row in body:
        cells |= {f"coverage of {level}": cell for level, cell in zip(header[1:], row[1:], strict=True)}
    return cells


def problems_of(folder: Path, number: int, stage: str) -> list[dict[str, Any]]:
    """One row a tree of a stage: the problem's id, its nodes, solved or not."""
    return [
        {
            "id": tree.problem.id,
            "nodes": len(tree.nodes),
            "solved": "solved" if any(node.correct for node in tree.nodes) else "unsolved",
        }
        for tree in _trees(folder, number, stage)
    ]


def trees_of(folder: Path, number: int, stage: str, problem: str) -> list[Tree]:
    """The trees of one problem. Raises InputError when the stage has none."""
    found = [tree for tree in _trees(folder, number, stage) if tree.problem.id == problem]
    if not found:
        raise InputError(
            f"{folder}: {stage} of round {number} has no finished tree of problem {problem!r} (--round and --stage name"
            " another)"
        )
    return found


def _trees(folder: Path, number: int, stage: str) -> Iterator[Tree]:
    stored_config(folder)
    trees = RunPaths(folder).round(number).folder / stage / TREES
    if finished(trees.parent):
        sound(trees.parent)
    if not trees.is_dir():
        raise InputError(f"{trees}: there is no such folder (stages with trees: search, eval/policy, eval/search)")
    return read_trees(trees)
