"""Lines with intervals, drawn into PNG and SVG files: the same figures give the same bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rstar.errors import InputError

MARKS = "os^vD*PXp<>h"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a plot: its points, and the interval around each."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    interval: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Axes:
    """What a plot says beside its lines. `log` is the base of a logarithmic horizontal axis."""

    title: str
    x: str
    y: str
    log: int | None = None


def draw(axes: Axes, lines: Sequence[Line], files: Sequence[Path]) -> None:
    """One plot into all files, of the kinds that their names say."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    figure = Figure(figsize=(8, 5), layout="constrained")
    plot = figure.subplots()
    for i, line in enumerate(lines):
        bars = [
            [max(y - low, 0.0) for y, (low, _) in zip(line.y, line.interval, strict=True)],
            [max(high - y, 0.0) for y, (_, high) in zip(line.y, line.interval, strict=True)],
        ]
        mark = MARKS[i % len(MARKS)]
        plot.errorbar(line.x, line.y, bars, marker=mark, capsize=2, lw=1, alpha=0.85, label=line.label)
    if axes.log is None:
        plot.xaxis.set_major_locator(MaxNLocator(integer=True))
    else:
        plot.set_xscale("log", base=axes.log)
        if axes.log == 2:
            plot.xaxis.set_major_formatter(ScalarFormatter())
    plot.set_xlabel(axes.x)
    plot.set_ylabel(axes.y)
    plot.set_title(axes.title)
    plot.grid(alpha=0.3, which="both")
    plot.legend(fontsize="small")
    for file in files:
        # A fixed salt and no date: the same figures give the same bytes.
        with rc_context({"svg.hashsalt": axes.title}):
            figure.savefig(file, dpi=150, metadata={"Date": None} if file.suffix == ".svg" else None)


def can_draw() -> None:
    """Raises InputError where the library that draws is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise InputError("a plot is drawn with matplotlib: pip install 'rstar[plots]'") from error
