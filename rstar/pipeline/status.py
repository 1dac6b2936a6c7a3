"""How far a run is, stage by stage, read from its folder alone: what is done, owed and failed, how fast it goes."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from rstar.config.load import validate
from rstar.config.run import RunConfig
from rstar.pipeline import inspect
from rstar.store import manifest
from rstar.store.layout import FAILURES, TREES, RunPaths
from rstar.store.manifest import Manifest
from rstar.store.trees import lines, parts


def status(folder: Path) -> list[dict[str, Any]]:
    """One row a stage, those that are still to come included.

    `status` is owed (not begun), running, open (begun, and nobody works on it) or complete; `done`, `owed` and `failed`
    count `unit`s (trees, steps, problems; None where it is not known); `rate` is units a second and `left_s` the
    seconds to the end at that rate, both while it runs; `seconds` is what a complete stage took.
    """
    cfg = validate(RunConfig, inspect.stored_config(folder), str(RunPaths(folder).run))
    problems = manifest.read(RunPaths(folder).problems)
    counts = problems.metrics if problems is not None else {}
    begun = inspect.stages(folder)
    stages = dict.fromkeys([*planned(folder, cfg), *begun])
    return [_row(folder, path, counts) for path in stages]


def planned(folder: Path, cfg: RunConfig) -> list[Path]:
    """Every stage that the whole evolution has, in the order they are worked on."""
    paths = RunPaths(folder)
    found = [paths.problems, paths.base, *([paths.pretrained] if cfg.base is not None else [])]
    for number, how in enumerate(cfg.rounds, start=1):
        one = paths.round(number)
        control = cfg.control and number > 1
        found += [one.search, one.select, one.policy]
        found += [*([one.ppm] if how.ppm is not None else []), *([one.control] if control else [])]
        found += [one.value(role) for role in sorted(how.values)]
        found += [one.eval_policy, *([one.eval_control] if control else [])]
        found += [*([one.eval_search] if cfg.evaluate.search is not None else []), one.report]
        found += [one.gate] if number > 1 else []
    return found


def _row(folder: Path, stage: Path, counts: dict[str, Any]) -> dict[str, Any]:
    found = manifest.read(stage) if stage.exists() else None
    word: str = "owed" if found is None else found.status
    if word == "open" and manifest.busy(stage):
        word = "running"
    name = str(stage.relative_to(folder))
    told = _told(stage) if found is not None and found.status == "open" else {}
    done, unit = _done(stage, found, told)
    total = told.get("total", _total(name, counts))
    row: dict[str, Any] = {"stage": name, "status": word, "done": done, "unit": unit, "owed": None}
    if word == "complete":
        row["owed"] = 0
    elif total is not None:
        row["owed"] = max(0, total - (done or 0))
    rate = _rate(told) if word == "running" else None
    row |= {"failed": _failed(stage), "rate": rate, "left_s": None}
    if rate and row["owed"] is not None:
        row["left_s"] = round(row["owed"] / rate, 1)
    return row | {"seconds": None if found is None else found.seconds}


def _told(stage: Path) -> dict[str, Any]:
    """What the stage's process said last of how far it is; empty where it said nothing."""
    with suppress(OSError, ValueError):
        told = orjson.loads((stage / manifest.PROGRESS).read_bytes())
        if isinstance(told, dict) and {"since", "first", "at", "done", "total"} <= told.keys():
            return told
    return {}


def _done(stage: Path, found: Manifest | None, told: dict[str, Any]) -> tuple[int | None, str]:
    """How many units are done, and what they are."""
    if (stage / TREES).is_dir():
        if found is not None and found.status == "complete":
            return sum(part.rows or 0 for part in found.parts if part.path.startswith(f"{TREES}/")), "trees"
        return sum(1 for path in parts(stage / TREES) for _ in lines(path)), "trees"
    metrics = {} if found is None else found.metrics
    for unit in ("steps", "problems"):
        if unit in metrics:
            return int(metrics[unit]), unit
    return told.get("done"), "steps" if told else ""


def _total(name: str, counts: dict[str, Any]) -> int | None:
    """How many trees a stage that has not begun will have."""
    sets = {"round-1/search": "bootstrap"}
    known = {"search": "train", "eval/policy": "test", "eval/control": "test"}
    found = counts.get(sets.get(name, known.get(name.partition("/")[2], "")))
    return None if found is None else int(found)


def _failed(stage: Path) -> int:
    with suppress(OSError):
        return (stage / FAILURES).read_bytes().count(b"\n")
    return 0


def _rate(told: dict[str, Any]) -> float | None:
    """Units a second since this part of the stage was taken up."""
    if not told or told["done"] <= told["first"] or told["at"] <= told["since"]:
        return None
    done, seconds = float(told["done"] - told["first"]), float(told["at"] - told["since"])
    return round(done / seconds, 3)
