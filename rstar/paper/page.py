"""A table as a section of Markdown, and the page that holds one section for each."""

import fcntl
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rstar.errors import InputError
from rstar.evaluate.plot import Axes, Line
from rstar.evaluate.report import markdown
from rstar.evaluate.seeds import Figure
from rstar.paper import TABLES
from rstar.paper.order import points
from rstar.store.manifest import write_atomic

HEAD = """\
# The paper's tables in miniature

`rstar paper TABLE CONFIG` makes one section of this page, `rstar paper all CONFIG` every one. It runs what is missing
of the evolution at each seed, then what the table needs on top, and writes the section. All of it goes on where it
stopped, and what is finished is reused, also by other tables. `seeds=[1]` makes a table of one seed, `--json` prints
its figures; `test_seed=N` asks held-out problems of another seed, in a section of their own. A section that is not
here has not been made yet.

A cell is the share over all seeds ± the standard deviation of the seeds' shares, then its 95 % interval: a percentile
bootstrap over problems, all seeds of a problem together, paired where two methods are compared. So the interval, and
with it every "beats" and "told apart", says how far other problems would move a figure; how far other seeds would is
what the spread says, and `--json` has each seed's figure. The paper's own figures (arXiv 2501.04519) are of
models of 1.5B to 7B parameters on competition mathematics: against those of a smaller model on other problems, orders
can be compared, figures cannot.

| table | what |
|---|---|
{rows}
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure that is shown in points, with its sign."""

    figure: Figure


Cell = Figure | Difference | str | int | float | None


@dataclass(frozen=True, slots=True)
class Grid:
    """A table's body: a cell is a figure (shown with spread and interval), a share (in percent), or a text."""

    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str | None = None

    def markdown(self) -> str:
        caption = f"{self.caption}\n\n" if self.caption else ""
        return caption + markdown(self.header, [[shown(cell) for cell in row] for row in self.rows])

    def to_json(self) -> list[dict[str, Any]]:
        return [dict(zip(self.header, map(_plain, row), strict=True)) for row in self.rows]


@dataclass(frozen=True, slots=True)
class Plot:
    """What is drawn beside a section."""

    axes: Axes
    lines: Sequence[Line]


@dataclass(frozen=True, slots=True)
class Table:
    """One of the paper's tables, made from our runs."""

    name: str
    title: str
    compared: str
    """What is compared, and on what."""
    grids: Sequence[Grid]
    findings: Sequence[str]
    """Sentences made from the numbers: where our order differs from the paper's, and what falls short."""
    plot: Plot | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "table": self.name,
            "title": self.title,
            "grids": [grid.to_json() for grid in self.grids],
            "findings": list(self.findings),
            **self.extra,
        }


def shown(cell: Cell) -> str:
    """A cell as text."""
    if isinstance(cell, Difference):
        return points(cell.figure)
    if isinstance(cell, Figure):
        if cell.mean is None:
            return "–"
        spread = "" if cell.spread is None else f" ± {100 * cell.spread:.1f}"
        ends = "" if cell.interval is None else f" ({100 * cell.interval[0]:.1f}–{100 * cell.interval[1]:.1f})"
        return f"{100 * cell.mean:.1f}{spread}{ends}"
    if isinstance(cell, float):
        return f"{100 * cell:.1f}"
    return "–" if cell is None else str(cell)


def section(table: Table, command: str, made: str, date: str, plot: str | None) -> str:
    """The whole section, between its marks. `made` says which seeds of what."""
    parts = [f"## {table.title}", table.compared, f"`{command}`; {made}; {date}."]
    parts += [grid.markdown() for grid in table.grids]
    parts += [" ".join(table.findings)] if table.findings else []
    parts += [f"![{table.title}]({plot})"] if plot else []
    return "\n\n".join([_mark(table.name), *parts, _mark(f"/{table.name}")]) + "\n"


def put(path: Path, name: str, text: str) -> bool:
    """Write one section into the page, the others untouched; whether anything changed.

    A section that differs in its date alone stays as it was. Raises InputError where the page cannot be one.
    """
    check(path)
    with _alone(path.parent):
        page = text_of(path)
        found = _find(page, name)
        if found is None:
            new = _inserted(page, name, text)
        elif _dateless(page[slice(*found)]) == _dateless(text):
            return False
        else:
            new = page[: found[0]] + text + page[found[1] :]
        write_atomic(path, new.encode())
    return True


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No other process writes a page into this folder meanwhile."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def check(path: Path) -> None:
    """Raises InputError where a page cannot be written, or what is there cannot be one."""
    if path.is_dir() or not path.parent.is_dir():
        raise InputError(f"out: {path} is a folder" if path.is_dir() else f"out: there is no folder {path.parent}")
    try:
        with tempfile.TemporaryFile(dir=path.parent):  # what counts is whether it can be written to
            pass
    except OSError as error:
        raise InputError(f"out: {path.parent} cannot be written to ({os.strerror(error.errno or 0)})") from error
    _check_marks(path, text_of(path))


def _check_marks(path: Path, page: str) -> None:
    """Raises InputError where a section is not whole: what is written between its marks could take another's place."""
    begun, ended = None, set[str]()
    for number, line in enumerate(page.splitlines(), start=1):
        mark = re.fullmatch(r"<!-- (/?)(\S+) -->", line)
        if mark is None or re.sub(r"-\d+$", "", mark[2]) not in TABLES:
            continue
        closes, name = mark[1] == "/", mark[2]
        if closes != (begun is not None) or (closes and name != begun) or name in ended:
            raise InputError(f"out: {path}:{number}: `{line}` stands alone or twice; each section has two such marks")
        begun = None if closes else name
        if closes:
            ended.add(name)
    if begun is not None:
        raise InputError(f"out: {path}: the section {begun} has no `{_mark(f'/{begun}')}`")


def text_of(path: Path) -> str:
    """What the page holds, of a new one its head. Raises InputError where it is not text."""
    try:
        return path.read_text(encoding="utf-8") if path.exists() else head()
    except UnicodeDecodeError as error:
        raise InputError(f"out: {path} is not text in UTF-8: {error}") from error


def head() -> str:
    """A page without any section yet."""
    return HEAD.format(rows="\n".join(f"| `{name}` | {what} |" for name, what in TABLES.items()))


def _inserted(page: str, name: str, text: str) -> str:
    """The section before the first one that comes after it in the order of tables, else at the end."""
    there = ((other, _find(page, other)) for other in re.findall(r"<!-- (\S+) -->", page))
    place = next((found[0] for other, found in there if found and _place(other) > _place(name)), None)
    if place is None:
        return page.rstrip("\n") + "\n\n" + text
    return page[:place] + text + "\n" + page[place:]


def _place(name: str) -> int:
    """Where a section stands among the others; one of other problems behind all tables."""
    names = list(TABLES)
    return names.index(name) if name in names else len(names)


def _find(page: str, name: str) -> tuple[int, int] | None:
    """Where a section begins and ends."""
    start, end = page.find(_mark(name)), page.find(_mark(f"/{name}"))
    if start < 0 or end < start:
        return None
    end += len(_mark(f"/{name}"))
    return start, end + page[end:].startswith("\n")


def _mark(name: str) -> str:
    return f"<!-- {name} -->"


def _dateless(text: str) -> str:
    """A section without the date of its line of provenance."""
    return re.sub(r"(?m)^(`rstar paper .*; )\d{4}-\d{2}-\d{2}\.$", r"\1.", text)


def _plain(cell: Cell) -> Any:
    if isinstance(cell, Difference):
        return cell.figure.to_json()
    return cell.to_json() if isinstance(cell, Figure) else round(cell, 4) if isinstance(cell, float) else cell
