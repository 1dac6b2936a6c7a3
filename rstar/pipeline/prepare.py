"""What a run starts from: its problems, written down."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from rstar.config.base import Config
from rstar.config.run import RunConfig
from rstar.core.problem import Demonstration, Problem
from rstar.data import sets
from rstar.data.jsonl import objects
from rstar.data.tasks import problem_of, problem_row
from rstar.errors import Damaged, InputError
from rstar.store.fingerprint import file_sha256, fingerprint
from rstar.store.layout import CHECKPOINT, RunPaths
from rstar.store.manifest import Manifest, check, holds, missing, read, stage, write_atomic


def paths_of(cfg: RunConfig) -> RunPaths:
    """Where a run lives."""
    return RunPaths(cfg.runtime.runs / cfg.name)


def problems(cfg: RunConfig) -> tuple[sets.ProblemSets, Manifest]:
    """The run's problems: made or read once, written into the run, and read from there ever after."""
    folder = paths_of(cfg).problems
    sources = {"problems": cfg.problems, "bootstrap": cfg.bootstrap}
    found = read(folder)
    known = found.recipe if found is not None and found.status == "complete" else None
    described = {name: _described(name, source, known) for name, source in sources.items()}
    recipe = {**described, "seed": cfg.seed, **task_recipe(cfg)}
    # What is wrong with the problems is found before anything is written.
    made = sets.make(cfg) if known is None else None
    with stage(folder, "problems", recipe, {}) as it:
        if not it.complete:
            started = time.monotonic()
            made = made or sets.make(cfg)
            files = {
                "train.jsonl": [problem_row(p) for p in made.train],
                "test.jsonl": [problem_row(p) for p in made.test],
                "bootstrap.jsonl": [{**problem_row(d.problem), "steps": d.steps} for d in made.bootstrap],
            }
            for name, rows in files.items():
                write_atomic(folder / name, b"".join(orjson.dumps(row) + b"\n" for row in rows))
            counts = {name: len(rows) for name, rows in files.items()}
            metrics = {name.removesuffix(".jsonl"): n for name, n in counts.items()} | {"seen": len(made.seen())}
            it.finish(dict(counts), metrics, _since(started))
        return _read(folder), it.manifest


def seen(folder: Path) -> str | None:
    """In words, how many held-out problems of a run stand word for word among those that it learns from; None where
    none does."""
    counts = required(RunPaths(folder).problems).metrics
    if not counts.get("seen"):
        return None
    return f"{counts['seen']} of {counts['test']} held-out problems stand word for word among those it learns from"


def base_of(cfg: RunConfig) -> Path:
    """The stage of the model that rounds start from."""
    paths = paths_of(cfg)
    return paths.base if cfg.base is None else paths.pretrained


def searched(cfg: RunConfig, number: int) -> list[Problem]:
    """The problems that round `number` searches."""
    made, _ = problems(cfg)
    return [one.problem for one in made.bootstrap] if number == 1 else turn_of(cfg, number, made.train)


def turn_of(cfg: RunConfig, number: int, train: list[Problem]) -> list[Problem]:
    """Those of the training problems that are searched in a round from the second on, in their order."""
    count = cfg.rounds[number - 1].search_problems
    if count is None:
        return train
    first = sum(one.search_problems or 0 for one in cfg.rounds[1 : number - 1])
    size = Counter(problem.level for problem in train)
    seen: Counter[str | None] = Counter()
    chosen = []
    for problem in train:
        if (seen[problem.level] - first) % size[problem.level] < count:
            chosen.append(problem)
        seen[problem.level] += 1
    return chosen


def searched_ids(cfg: RunConfig, number: int) -> tuple[Iterator[str], int]:
    """The ids of the problems that round `number` searches, in their order and one at a time, and how many."""
    if number > 1 and cfg.rounds[number - 1].search_problems is not None:
        chosen = searched(cfg, number)
        return (problem.id for problem in chosen), len(chosen)
    folder = paths_of(cfg).problems
    name = "bootstrap" if number == 1 else "train"
    return (row["id"] for _, row in objects(folder / f"{name}.jsonl")), int(required(folder).metrics[name])


def task_recipe(cfg: RunConfig) -> dict[str, Any]:
    """What a task other than mathematics adds to a recipe."""
    return {} if cfg.task == "math" else {"task": cfg.task, "shown_tests": cfg.grading.shown_tests}


def required(folder: Path) -> Manifest:
    """The manifest of a stage that must be finished by now. Raises InputError when it is not, and Damaged when a file
    of its has vanished."""
    manifest = read(folder)
    if manifest is None or manifest.status != "complete":
        raise InputError(f"{folder}: this stage is needed here and is not finished; run the rounds in order")
    if (gone := missing(folder, manifest)) is not None:
        raise Damaged(
            f"{gone}: missing, though {folder} is finished; put it back, or have the stage made again:"
            " `rstar check RUN --repair`"
        )
    return manifest


def sound(folder: Path) -> Manifest:
    """The same for a stage whose files leave the run: raises Damaged when one is not what was sealed."""
    manifest = required(folder)
    wrong, _ = check(folder)
    if wrong:
        raise Damaged(f"{wrong[0]}; have the stage made again: `rstar check RUN --repair`")
    return manifest


def checkpoint(field: str, folder: Path) -> Path:
    """Where a model's weights lie: in a stage's checkpoint, else in `folder` itself, which may be a hub name.

    Raises InputError, naming `field`, for a folder without any.
    """
    found = folder / CHECKPOINT if (folder / CHECKPOINT).is_dir() else folder
    if found.exists() and not (found / "config.json").is_file():
        raise InputError(f"{field}: {folder} is no checkpoint folder (there is no config.json)")
    return found


def finished(folder: Path) -> bool:
    """Whether a stage's manifest says that it is complete."""
    found = read(folder)
    return found is not None and found.status == "complete"


def stage_of_its_own(out: Path) -> bool:
    """Whether the stage in the folder `--out`, which belongs to no run, is finished.

    Raises InputError where the folder cannot be (it, or what it would lie in, is a file) or holds other things, and
    Damaged when it is finished and a file is not what was sealed.
    """
    there = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not there.is_dir():
        raise InputError(f"--out: {there} is a file; a folder is written")
    if out.is_dir() and read(out) is None and holds(out):
        raise InputError(f"--out: {out} holds other things; give a new folder, or an empty one")
    if not finished(out):
        return False
    wrong, _ = check(out)
    if wrong:
        raise Damaged(f"{wrong[0]}; remove {out} to have it made again")
    return True


def identity(folder: Path) -> str:
    """What a model is known by: its stage's fingerprint, else the hashes of a checkpoint's weights, else its name."""
    if is_stage(folder):
        return required(folder).fingerprint
    weights = sorted(folder.glob("*.safetensors"))
    return fingerprint([file_sha256(path) for path in weights] or [str(folder)])


def is_stage(folder: Path) -> bool:
    """Whether a folder is that of a stage, which holds its checkpoint, and not a checkpoint itself."""
    return read(folder) is not None


def content(manifest: Manifest) -> str:
    """A stage's identity by what it holds, so that moved or renamed source files do not count as drift."""
    return fingerprint([[part.path, part.sha256] for part in manifest.parts])


def checkpoint_files(folder: Path) -> dict[str, int | None]:
    """The files of a checkpoint below a stage's folder, for its manifest."""
    return {str(path.relative_to(folder)): None for path in sorted((folder / CHECKPOINT).rglob("*")) if path.is_file()}


def _described(section: str, source: Config, known: dict[str, Any] | None) -> dict[str, Any]:
    """What decides which problems there are: files count by their bytes, not by where they lie.

    `known` is the recipe of problems that are in the run already; a file that is gone since counts as it did then.
    """
    fields = source.model_dump(mode="json", exclude={"noise", "turned", "path", "dtype", "count"})
    if fields.get("numbers") == "plain":  # as runs from before it was a setting have it
        del fields["numbers"]
    for name, value in source:
        if isinstance(value, Path):
            try:
                fields[name] = f"sha256:{file_sha256(value)}"
            except OSError as error:
                if known is None or name not in known[section]:
                    raise InputError(f"{section}.{name}: {value} cannot be read ({error.strerror})") from error
                fields[name] = known[section][name]
    return fields


def _read(folder: Path) -> sets.ProblemSets:
    train, test, bootstrap = (
        [problem_of(row) for _, row in objects(folder / f"{name}.jsonl")] for name in ("train", "test", "bootstrap")
    )
    steps = [tuple(row["steps"]) for _, row in objects(folder / "bootstrap.jsonl")]
    return sets.ProblemSets(train, test, [Demonstration(p, s) for p, s in zip(bootstrap, steps, strict=True)])


def _since(started: float) -> float:
    return time.monotonic() - started
