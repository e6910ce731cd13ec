"""Figures in the page's style, as SVG for the page itself: no file beside it, no script, the page's own letters."""

import io
import math
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PIXELS = 100  # of the page to an inch of a figure
STYLE = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9ca3af",
    "axes.grid": True,
    "grid.color": "#e5e7eb",
    "xtick.color": "#374151",
    "ytick.color": "#374151",
    "axes.axisbelow": True,
    "errorbar.capsize": 2.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "fedfin",
}


def panels(count: int, *, height: float, share_y: bool = False) -> tuple["Figure", list["Axes"]]:
    """A row of axes. `Figure` itself, not pyplot: no display is asked for."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams.update(STYLE)
    figure = Figure(figsize=(max(3.3 * count, 5.0), height), layout="constrained")
    axes = figure.subplots(1, count, sharey=share_y, squeeze=False)
    return figure, list(axes[0])


def with_legend(figure: "Figure", axis: "Axes") -> "Figure":
    """The axis's, below all panels."""
    handles, names = axis.get_legend_handles_labels()
    columns = max(1, min(len(names), 5))
    figure.legend(handles, names, loc="outside lower center", ncols=columns, frameon=False)
    return figure


def svg(figure: "Figure", title: str) -> str:
    """The figure as an element of a page, never larger than it was drawn."""
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Title": title})
    text = out.getvalue()
    width = round(PIXELS * figure.get_figwidth())
    sized = rf'<svg role="img" style="max-width: {width}px" \1'
    start = text.index("<svg")
    return re.sub(r'<svg (.*?)width="[^"]*" height="[^"]*"', sized, text[start:], count=1, flags=re.DOTALL)


def whole_decades(axis: "Axes") -> None:
    """A logarithmic x axis from one power of ten to another: labels between them would be printed over each other."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.set_xscale("log")
    low, high = (math.log10(limit) for limit in axis.get_xlim())
    axis.set_xlim(10 ** math.floor(low), 10 ** max(math.ceil(high), math.floor(low) + 1))
    axis.xaxis.set_major_locator(LogLocator(numticks=6))
    axis.xaxis.set_minor_formatter(NullFormatter())
