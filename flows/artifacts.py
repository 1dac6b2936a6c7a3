"""What a round's page shows in Prefect: live progress, its tables and charts, the report and the lineage."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import httpx
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.logging import get_logger

from rstar.config.run import RunConfig
from rstar.errors import InputError
from rstar.pipeline import inspect
from rstar.pipeline.prepare import paths_of
from rstar.pipeline.progress import Pace, Progress
from rstar.report import facts, page
from rstar.report.markdown import markdown
from rstar.store.layout import RunPaths
from rstar.store.manifest import read, write_atomic

EVERY_S = 3.0
"""Seconds between two updates of progress."""


@contextmanager
def live() -> Iterator[Progress]:
    """A progress function for the pipeline: one bar a stage, published now and then by a thread of its own, so that
    neither a search's event loop nor a training thread ever waits for the server."""
    board = _Board()
    # The artifacts' run and the server's address are in this context.
    thread = threading.Thread(target=copy_context().run, args=(board.publish,), name="progress", daemon=True)
    thread.start()
    try:
        yield board.report
    finally:
        board.done.set()
        thread.join()


class _Board:
    """The newest progress of every stage, and the artifact that shows it."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self._lock = threading.Lock()
        self._newest: dict[str, tuple[int, int]] = {}
        self._paces: dict[str, Pace] = {}
        self._shown: dict[str, UUID] = {}

    def report(self, stage: str, done: int, total: int) -> None:
        with self._lock:
            self._newest[stage] = done, total
            self._paces.setdefault(stage, Pace()).heard(done)

    def publish(self) -> None:
        """Publish what has changed, until the block ends."""
        last = False
        while not last:
            last = self.done.wait(EVERY_S)
            with self._lock:
                newest, self._newest = self._newest, {}
            for stage, (done, total) in newest.items():
                try:
                    words = f"{stage}: {self._paces[stage].words(done, total)}"
                    self._show(stage, words, 100 * done / total if total else 100)
                except httpx.HTTPError as error:
                    get_logger(__name__).warning("progress of %s is not shown: %s", stage, error)

    def _show(self, stage: str, text: str, percent: float) -> None:
        if stage in self._shown:
            update_progress_artifact(self._shown[stage], percent, text)
        else:
            made = create_progress_artifact(percent, key=_key(stage), description=text)
            self._shown[stage] = cast(UUID, made)


def round_is_done(cfg: RunConfig, number: int, summary: dict[str, Any]) -> None:
    """The round's row with its coverage by level, its report with charts and lineage, and the page of the run."""
    paths = paths_of(cfg)
    name = _key(f"{cfg.name}-round-{number}")
    create_table_artifact([inspect.table_row(summary)], key=f"{name}-table", description=f"Round {number}")
    run = facts.gather(paths.folder, page.PROBLEMS, page.ROOM)
    links = [f"Report: `{paths.report.resolve()}`"]
    try:
        text = markdown(run, number)
        write_atomic(paths.folder / page.NAME, page.render(run).encode())
        links.append(f"Page with the search trees: `{(paths.folder / page.NAME).resolve()}`")
    except InputError as error:  # the library that draws is an extra
        get_logger(__name__).warning("no charts: %s", error)
        text = markdown(run, number, drawn=False)
    links += _dashboard(cfg)
    graph = f"## Lineage of round {number}\n\n```mermaid\n{lineage(paths.folder, number)}\n```"
    whole = "\n\n".join([text, "## Links", *links, graph])
    create_markdown_artifact(whole, key=f"{name}-report", description=f"{cfg.name}, rounds 1 to {number}")


def _dashboard(cfg: RunConfig) -> list[str]:
    """Where the stages' curves are."""
    how = cfg.runtime.tracking
    match how.kind:
        case "wandb":
            folder = (paths_of(cfg).folder / "wandb").resolve()
            told = f"W&B: project `{how.project}`, group `{cfg.name}`; offline runs are in `{folder}` (`wandb sync`)"
            return [told]
        case "trackio":
            return [f"trackio: `trackio show --project {how.project}`, group `{cfg.name}`"]
        case "none":
            return []


def rounds_so_far(cfg: RunConfig) -> None:
    """The table of all finished rounds."""
    folder = paths_of(cfg).folder
    rows = [inspect.table_row(summary) for summary in inspect.summaries(folder)]
    create_table_artifact(rows, key=f"{_key(cfg.name)}-table", description=f"{cfg.name}: all rounds")


def lineage(folder: Path, number: int) -> str:
    """What round `number` was made from, as a mermaid graph: stages with the first digits of their fingerprints."""
    found = {path: manifest for path in inspect.stages(folder) if (manifest := read(path)) is not None}
    maker = {manifest.fingerprint: path for path, manifest in found.items()}
    own = RunPaths(folder).round(number).folder
    edges = []
    for path, manifest in found.items():
        if own in path.parents:
            for name, fingerprint in manifest.inputs.items():
                # Problems are known by their contents, not by the recipe that made them.
                source = RunPaths(folder).problems if name == "problems" else maker.get(fingerprint)
                if source in found:
                    edges.append((source, path))
    nodes = dict.fromkeys(path for edge in edges for path in edge)
    ids = {path: f"n{i}" for i, path in enumerate(nodes)}
    lines = [f'  {ids[p]}["{p.relative_to(folder)}<br/>{found[p].fingerprint[:8]}"]' for p in nodes]
    return "\n".join(["graph LR", *lines, *(f"  {ids[a]} --> {ids[b]}" for a, b in edges)])


def _key(text: str) -> str:
    """A key as Prefect allows it: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
