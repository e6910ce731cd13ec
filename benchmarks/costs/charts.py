"""The report's plots, as SVG, by the table that they stand above."""

import statistics
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from benchmarks.costs.figures import FLOAT32, Results, rivals, until
from benchmarks.costs.wire.federation import demo_settings
from benchmarks.page.plots import panels, svg, whole_decades

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OURS, THEIRS = "#1456d9", "#6b7280"
LAYERS = (("payload", "#1456d9"), ("mqtt", "#e69f00"), ("tls", "#009e73"), ("tcp", "#cc79a7"))
Bar = tuple[str, float, bool]  # name, value, whether it is ours


def charts(results: Results) -> dict[str, str]:
    """Of the steps that have run."""
    makers: dict[str, Callable[[Results], str]] = {
        "rivals": _until,
        "alone": _compute,
        "wire": _layers,
    }
    found = {}
    for key, make in makers.items():
        with suppress(KeyError):
            found[key] = make(results)
    return found


def _until(results: Results) -> str:
    rounds = results["learning"]["rounds"]["exact"]
    bars: list[Bar] = [(name, size, True) for name, size in until(results).items() if size is not None]
    bars += [(name, 2 * FLOAT32 * values * rounds, False) for name, (values, _) in rivals(results).items()]
    return _bars(bars, "bytes of a site until 99 % of the final AUC", "bytes until 99 %")


def _compute(results: Results) -> str:
    alone = results["alone"]
    names = (
        "fin-gaussian",
        "fin-mlp",
        "fin-decoder",
        "image-int8",
        "predict-image",
        "report-decoder",
        "retrieval",
        "r2gen-60",
        "r2gen-100",
        "r2gen-whole",
    )
    ours = {"fin-gaussian", "fin-mlp", "fin-decoder", "image-int8", "predict-image"}
    there = [name for name in names if name in alone]
    figure, axes = panels(2, height=0.9 + 0.26 * len(there), share_y=True)
    figure.set_figwidth(9.5)
    for axis, label in zip(axes, ("multiply-adds", "milliseconds, one thread"), strict=True):
        bars: list[Bar] = []
        for name in there:
            one = alone[name]
            value = (
                one["multiply_adds"] if label == "multiply-adds" else 1e3 * statistics.median(one["samples"])
            )
            bars.append((one["title"], value, name in ours))
        _draw(axis, bars, label)
    return svg(figure, "multiply-adds and time")


def _layers(results: Results) -> str:
    """What a site sends and gets in each task, by layer."""
    cases = [name for name in results["wire"] if name.endswith(f"/{demo_settings().dims}")]
    if not cases:
        raise KeyError("the demo's columns")
    most = max(len(results["wire"][case]["tasks"]) for case in cases)
    figure, axes = panels(len(cases), height=0.9 + 0.3 * most)
    for axis, case in zip(axes, cases, strict=True):
        tasks = results["wire"][case]["tasks"]
        places = range(len(tasks), 0, -1)
        starts = [0.0] * len(tasks)
        for layer, colour in LAYERS:
            sizes = [
                (task["mean"]["up"][layer] + task["mean"]["down"][layer]) / 1e3 for task in tasks.values()
            ]
            axis.barh(places, sizes, left=starts, color=colour, label=layer, height=0.65)
            starts = [start + size for start, size in zip(starts, sizes, strict=True)]
        axis.set_yticks(places, [label.replace("_", " ") for label in tasks])
        axis.set_title(case.replace("/", ", ") + " columns")
        axis.set_xlabel("kB of a site, both ways")
        axis.grid(visible=False, axis="y")
    axes[0].legend(frameon=False, fontsize=8)
    return svg(figure, "bytes by task and layer")


def _bars(bars: Sequence[Bar], label: str, title: str) -> str:
    figure, axes = panels(1, height=0.9 + 0.26 * len(bars))
    figure.set_figwidth(8.0)
    _draw(axes[0], bars, label)
    return svg(figure, title)


def _draw(axis: "Axes", bars: Sequence[Bar], label: str) -> None:
    """On a logarithmic axis, first on top."""
    places = range(len(bars), 0, -1)
    axis.barh(
        places,
        [max(value, 1e-9) for _, value, _ in bars],
        color=[OURS if own else THEIRS for *_, own in bars],
        height=0.65,
    )
    axis.set_yticks(places, [name for name, *_ in bars])
    whole_decades(axis)
    axis.set_xlabel(label)
    axis.grid(visible=False, axis="y")
