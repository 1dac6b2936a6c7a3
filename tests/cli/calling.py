"""The command line within this process, called as its entry point calls it: no new interpreter for each command."""

import contextlib
import io
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rstar.cli import main


@dataclass(frozen=True)
class Done:
    """A finished command."""

    returncode: int
    stdout: str
    stderr: str


def rstar(*words: object, folder: Path | None = None) -> Done:
    """`rstar WORDS` in a folder."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    code: object = 0
    with (
        contextlib.chdir(folder or Path.cwd()),
        called_as(["rstar", *(str(word) for word in words)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as ended:
            code = ended.code
    texts = [stream.buffer.getvalue().decode() for stream in (out, err)]  # type: ignore[attr-defined]
    return Done(code if isinstance(code, int) else int(code is not None), *texts)


@contextmanager
def called_as(words: list[str]) -> Iterator[None]:
    before, handler = sys.argv, signal.getsignal(signal.SIGTERM)
    sys.argv = words
    try:
        yield
    finally:
        sys.argv = before
        signal.signal(signal.SIGTERM, handler)
