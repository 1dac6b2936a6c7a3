"""Curves and tables of a stage for Weights & Biases or trackio; the files of the run hold all of it anyway."""

import contextlib
import io
import netrc
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from rstar.config.base import Config
from rstar.errors import InputError


class Tracking(Config):
    """One tracked run: which library, and what its run is called."""

    kind: Literal["none", "wandb", "trackio"] = "none"
    project: str = "rstar"
    group: str = ""
    """Runs of one evolution share a group."""
    run: str = ""
    """The run's name."""
    job: str = ""
    """What kind of stage it is."""
    id: str = ""
    """By which an interrupted stage finds its run again."""
    folder: Path | None = None
    """Where W&B keeps its files; the working directory by default. (trackio's are where TRACKIO_DIR says.)"""


class Track:
    """Where a stage's values go; nowhere unless it was opened by `tracked`."""

    def __init__(self, library: Any = None, run: Any = None):
        self._library = library
        self._run = run

    @property
    def on(self) -> bool:
        """Whether anybody listens."""
        return self._run is not None

    def log(self, values: dict[str, float], step: int | None = None) -> None:
        """A point of each curve."""
        if self._run is not None and values:
            self._run.log(values, step=step)

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """A table that is there once."""
        if self._run is not None and rows:
            self._run.log({name: self._library.Table(columns=list(columns), data=[list(row) for row in rows])})


@contextmanager
def tracked(how: Tracking, config: dict[str, Any] | None = None) -> Iterator[Track]:
    """Open the run that `how` describes and finish it when the block ends. `config` is shown beside it.

    W&B writes into `folder` unless somebody is logged in, and there too when its server does not answer. Raises
    InputError where the library is not installed.
    """
    if how.kind == "none":
        yield Track()
        return
    library, run = (_wandb if how.kind == "wandb" else _trackio)(how, config or {})
    failed = True
    try:
        yield Track(library, run)
        failed = False
    finally:
        with _hushed():
            run.finish(exit_code=int(failed)) if how.kind == "wandb" else library.finish()


def _wandb(how: Tracking, config: dict[str, Any]) -> tuple[Any, Any]:
    try:
        import wandb
    except ImportError as error:
        raise _missing("wandb") from error
    options: dict[str, Any] = {
        "project": how.project,
        "group": how.group or None,
        "name": how.run or None,
        "job_type": how.job or None,
        "id": how.id or None,
        "resume": "allow" if how.id else None,
        "config": config,
        "dir": how.folder,
        "reinit": "create_new",  # several stages may be open in one process; none takes another's place
        "settings": wandb.Settings(silent=True, console="off"),
    }
    asked: Any = os.environ.get("WANDB_MODE") or ("online" if _logged_in() else "offline")
    try:
        return wandb, wandb.init(mode=asked, **options)
    except wandb.errors.Error:
        if asked == "offline":
            raise
        return wandb, wandb.init(mode="offline", **options)


def _trackio(how: Tracking, config: dict[str, Any]) -> tuple[Any, Any]:
    try:
        import trackio
    except ImportError as error:
        raise _missing("trackio") from error
    with _hushed():
        run = trackio.init(
            how.project,
            how.run or None,
            how.group or None,
            config=config,
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
    return trackio, run


def _missing(library: str) -> InputError:
    return InputError(f"runtime.tracking.kind: {library} is not installed: pip install 'rstar[train]'")


@contextmanager
def _hushed() -> Iterator[None]:
    """Standard output belongs to the command, not to what a library has to say."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def _logged_in() -> bool:
    """Whether W&B has a key for its server, in the environment or in ~/.netrc."""
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        found = netrc.netrc().authenticators(host)
    except (OSError, netrc.NetrcParseError):
        found = None
    return bool(os.environ.get("WANDB_API_KEY")) or found is not None
