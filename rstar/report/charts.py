"""The charts of a page as SVG text: colours are names, which a page's style (or `standalone`) gives a value.

The text of a chart stays text, and the same figures give the same bytes.
"""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rstar.report.facts import BINS, Histogram

LIGHT = {
    "ink": "#1f2328",
    "soft": "#636b74",
    "line": "#d9dde2",
    "paper": "#ffffff",
    "policy": "#2563c9",
    "search": "#c2570c",
    "control": "#8a929c",
    "right": "#12806a",
    "mixed": "#d39b1e",
    "wrong": "#b8374a",
    "other": "#7a5ea8",
    "fade": "#c3cad3",
}
"""Name of a colour -> its value on a light page. The style sheet of the page has the dark ones."""
STAND_INS = {name: f"#0{i:x}0{i:x}0{i:x}" for i, name in enumerate(LIGHT, start=1)}
"""What the drawing library is given in the place of a name."""
ENDS = {
    "answered": "policy",
    "code_error": "wrong",
    "timeout": "mixed",
    "unparsable": "other",
    "max_depth": "control",
    "dead_end": "fade",
}


@dataclass(frozen=True, slots=True)
class Curve:
    """A line over rounds with intervals, in percent; None where it was not measured."""

    label: str
    colour: str
    points: Sequence[tuple[float, float, float] | None]
    """(value, low, high), one a round."""


def curves(title: str, lines: Sequence[Curve], rounds: Sequence[int], y: str = "%") -> str:
    """Lines over rounds. A single round gives points with their intervals."""
    figure, (axes,) = _figure()
    for i, one in enumerate(lines):
        known = [(n, point) for n, point in zip(rounds, one.points, strict=True) if point is not None]
        if not known:
            continue
        x = [n + 0.03 * (i - (len(lines) - 1) / 2) for n, _ in known]
        value, low, high = zip(*(point for _, point in known), strict=True)
        axes.vlines(x, low, high, color=_c(one.colour), lw=1.6, alpha=0.55)
        axes.plot(x, value, color=_c(one.colour), marker="o", ms=4.5, lw=2, label=one.label)
    axes.set_ylim(0, 100)
    axes.set_xlim(min(rounds) - 0.35, max(rounds) + 0.35)
    _by_round(axes, rounds)
    axes.set_ylabel(y)
    _legend(axes, sum(any(one.points) for one in lines))
    return _svg(figure, title)


def stacks(title: str, parts: Mapping[str, tuple[str, Sequence[float]]], names: Sequence[str], unit: str) -> str:
    """Horizontal stacked bars, one a name: label -> (colour, its length in each bar)."""
    figure, (axes,) = _figure(height=0.95 + 0.34 * len(names))
    start = [0.0] * len(names)
    for label, (colour, values) in parts.items():
        axes.barh(names, values, left=start, color=_c(colour), label=label, height=0.68)
        start = [a + b for a, b in zip(start, values, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel(unit)
    axes.xaxis.set_major_formatter(_compact)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", labelcolor=_c("ink"))
    _legend(axes, len(parts))
    return _svg(figure, title)


def histograms(title: str, found: Mapping[str, Histogram], x: str) -> str:
    """Small multiples of a value in [-1, 1]: nodes that lead to a verified answer on top of those that do not."""
    columns = min(3, len(found))
    rows = -(-len(found) // columns)
    figure, every = _figure(columns, 0.7 + 1.9 * rows, rows)
    edges = [2 * i / BINS - 1 for i in range(BINS)]
    for axes, (name, one) in zip(every, found.items(), strict=False):
        for side, under, label in (
            (one.wrong, None, "only wrong ends below"),
            (one.right, one.wrong, "a right answer below"),
        ):
            colour = _c("wrong" if under is None else "right")
            axes.bar(edges, side, 1.8 / BINS, under, align="edge", color=colour, label=label)
        axes.set_title(name, fontsize=9, color=_c("soft"), loc="left")
        axes.set_xlim(-1, 1)
        axes.set_xticks([-1, 0, 1])
        axes.set_xlabel(x)
        axes.yaxis.set_major_formatter(_compact)
    for axes in every[len(found) :]:
        axes.set_visible(False)
    every[0].set_ylabel("nodes")
    handles, labels = every[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=2, **_LEGEND)
    return _svg(figure, title)


def standalone(svg: str) -> str:
    """The same chart as a file of its own, in the colours of a light page."""
    for name, value in LIGHT.items():
        svg = svg.replace(f"var(--{name})", value)
    ground = f'<rect width="100%" height="100%" fill="{LIGHT["paper"]}"/>'
    head, _, body = svg.partition(">")
    return f'{head} xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">{ground}{body}'


_LEGEND: dict[str, Any] = {
    "frameon": False,
    "fontsize": 9,
    "handlelength": 1.1,
    "columnspacing": 1.4,
    "labelcolor": STAND_INS["ink"],
}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.edgecolor": STAND_INS["line"],
    "axes.labelcolor": STAND_INS["soft"],
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": STAND_INS["line"],
    "grid.linewidth": 0.7,
    "xtick.color": STAND_INS["line"],
    "ytick.color": STAND_INS["line"],
    "xtick.labelcolor": STAND_INS["soft"],
    "ytick.labelcolor": STAND_INS["soft"],
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "text.color": STAND_INS["ink"],
    "figure.facecolor": "none",
}


def _figure(columns: int = 1, height: float = 2.9, rows: int = 1) -> tuple[Any, list[Any]]:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        figure = Figure(figsize=(5.8, height), layout="constrained")
        return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def _c(name: str) -> str:
    return STAND_INS[name]


def _compact(value: float, _: object = None) -> str:
    """A tick: 12000 as 12k."""
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{suffix}"
    return f"{value:g}"


def _by_round(axes: Any, rounds: Sequence[int]) -> None:
    axes.set_xticks(list(rounds), [f"round {n}" for n in rounds] if len(rounds) < 6 else [str(n) for n in rounds])
    axes.grid(axis="x", visible=False)


def _legend(axes: Any, count: int) -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=min(4, count), borderaxespad=0.2, **_LEGEND)


def _svg(figure: Any, title: str) -> str:
    from matplotlib import rc_context

    text = io.StringIO()
    with rc_context({**_STYLE, "svg.hashsalt": title}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = re.sub(r"<metadata>.*?</metadata>", "", text.getvalue(), flags=re.DOTALL)
    for name, value in STAND_INS.items():
        svg = svg.replace(value, f"var(--{name})")
    svg = re.sub(r' id="[a-zA-Z0-9.]+_\d+"', "", svg)  # numbered anew in every chart
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px; font-family: inherit", svg)
    box = re.search(r'viewBox="[^"]+"', svg)
    assert box is not None
    inner = svg[svg.index(">", svg.index("<svg")) + 1 :]
    name = title.replace("&", "&amp;").replace('"', "&quot;")
    return f'<svg role="img" aria-label="{name}" {box.group()}>{inner.strip()}\n'
