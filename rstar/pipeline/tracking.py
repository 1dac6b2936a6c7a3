"""What a stage's tracked run is called, and the trajectories that are shown in it."""

from pathlib import Path

from rstar.config.run import RunConfig
from rstar.core.tree import Tree
from rstar.pipeline.prepare import paths_of
from rstar.select.trajectories import trajectories
from rstar.store.fingerprint import fingerprint
from rstar.tracking import Tracking

COLUMNS = ("problem", "level", "question", "reference", "solution", "answer", "correct", "mean Q", "score", "nodes")


def stage_name(cfg: RunConfig, folder: Path) -> str:
    """A stage's folder below its run's, as `round-1/search`."""
    own = paths_of(cfg).folder
    return str(folder.relative_to(own)) if folder.is_relative_to(own) else folder.name


def tracking_of(cfg: RunConfig, folder: Path, job: str) -> Tracking:
    """The tracked run of a stage: an interrupted stage finds its own again."""
    how, name = cfg.runtime.tracking, stage_name(cfg, folder)
    return Tracking(
        kind=how.kind,
        project=how.project,
        group=cfg.name,
        run=f"{cfg.name}/{name}",
        job=job,
        id=fingerprint([str(folder.resolve()), cfg.seed])[:16],
        folder=paths_of(cfg).folder,
    )


def shown_row(tree: Tree) -> list[str | int | float | bool | None]:
    """A problem's best trajectory under COLUMNS: a right one of the highest mean Q, else the best there is."""
    problem = tree.problem
    found = max(trajectories(tree), key=lambda one: (one.correct, one.mean_q), default=None)
    head = [problem.id, problem.level, problem.text, problem.answer]
    if found is None:
        return [*head, "", None, False, None, None, len(tree.nodes)]
    score = tree.nodes[found.leaf].score
    return [*head, found.text, found.answer, found.correct, round(found.mean_q, 4), score, len(tree.nodes)]
