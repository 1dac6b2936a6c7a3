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
from rstar.store import manifest
from rstar.store.layout import TREES, RunPaths
from rstar.store.trees import lines, read_trees


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
    """The resolved config a run was started with. Raises InputError when the folder is not a run."""
    path = RunPaths(folder).run
    try:
        stored = orjson.loads(path.read_bytes())["config"]
    except OSError as error:
        raise InputError(f"{folder}: not the folder of a run (no {path.name})") from error
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise Damaged(f"{path}: not the config of a run ({error})") from error
    assert isinstance(stored, dict)
    return stored


def stages(folder: Path) -> list[Path]:
    """Every stage folder of a run that has begun, in the order they are worked on."""
    stored_config(folder)
    paths = RunPaths(folder)
    found = [paths.problems, paths.base, paths.pretrained]
    for number in range(1, sum(1 for _ in folder.glob("round-*")) + 1):
        one = paths.round(number)
        found += [one.search, one.select, one.policy, one.ppm, one.control]
        found += sorted(path.parent for path in one.value("*").parent.glob(f"*/{manifest.NAME}"))
        found += [one.eval_policy, one.eval_control, one.eval_search, one.report]
    found += sorted(path.parent for path in (folder / "evaluations").glob(f"*/{manifest.NAME}"))
    found += sorted(path.parent for path in (folder / "paper").glob(f"**/{manifest.NAME}"))  # follows no links
    return [path for path in found if (path / manifest.NAME).exists()]


def status(folder: Path) -> list[dict[str, Any]]:
    """One row a stage: its name, open or complete, what is done, and the seconds it took."""
    rows = []
    for path in stages(folder):
        found = manifest.read(path)
        assert found is not None
        rows.append(
            {
                "stage": str(path.relative_to(folder)),
                "status": found.status,
                "done": _done(path, found),
                "seconds": found.seconds,
            }
        )
    return rows


def check(folder: Path) -> tuple[int, list[str], list[str]]:
    """(stages looked at, those not finished, what is wrong): hashes of every sealed file, fingerprints, references."""
    wrong: list[str] = []
    unfinished: list[str] = []
    try:
        validate(RunConfig, stored_config(folder), str(RunPaths(folder).run))
    except ConfigError as error:
        wrong.append(str(error))
    found = stages(folder)
    known = set(_fingerprints(found))
    for path in found:
        try:
            wrong += manifest.check(path)
            its = manifest.read(path)
        except Damaged as error:
            wrong.append(str(error))
            continue
        assert its is not None
        for name, fingerprint in its.inputs.items():
            if name != "problems" and fingerprint not in known:
                wrong.append(f"{path / manifest.NAME}: its input {name!r} is no stage of this run")
        if its.status == "open":
            unfinished.append(str(path.relative_to(folder)))
    return len(found), unfinished, wrong


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
        found = manifest.read(RunPaths(folder).round(len(rounds) + 1).report)
        if found is None or found.status != "complete":
            break
        rounds.append(found.metrics)
    if not rounds:
        raise InputError(f"{folder}: no round is finished yet (see `rstar status {folder}`)")
    return rounds


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
        raise InputError(f"{folder}: {stage} of round {number} has no finished tree of problem {problem!r}")
    return found


def _trees(folder: Path, number: int, stage: str) -> Iterator[Tree]:
    stored_config(folder)
    trees = RunPaths(folder).round(number).folder / stage / TREES
    if not trees.is_dir():
        raise InputError(f"{trees}: there is no such folder (stages with trees: search, eval/policy, eval/search)")
    return read_trees(trees)


def _done(path: Path, found: manifest.Manifest) -> str:
    trees = path / TREES
    if trees.is_dir():
        return f"{sum(1 for part in sorted(trees.glob('*.jsonl*')) for _ in lines(part))} trees"
    return f"{len(found.parts)} files" if found.parts else ""
