"""The report's plots; every method keeps its colour and mark in all of them."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

from benchmarks.page.plots import panels, svg, whole_decades, with_legend
from benchmarks.study.roles import BOUNDS, ZERO_FILL, harmless_to
from benchmarks.study.scores import Column, Scores, average, kinds, mean
from benchmarks.study.verdict import gains

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OURS, BASE, BOUND = "#1456d9", "#6b7280", "#111827"
# Of Okabe and Ito (2008): distinguishable with any colour vision.
COLOURS = ("#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a5a00", "#7b3fb5", "#00777a")
MARKS = "sD^vPXd<>"


class Charts:
    """Plots of a study; every method keeps its colour and mark."""

    def __init__(self, scores: Scores) -> None:
        self._scores = scores
        colours, marks = cycle(COLOURS), cycle(MARKS)
        self._colours = {m: self._colour(m) or next(colours) for m in scores.methods}
        self._marks = {m: "o" if m == scores.default else next(marks) for m in scores.methods}

    def _colour(self, method: str) -> str:
        return {self._scores.default: OURS, ZERO_FILL: BASE}.get(method, BOUND if method in BOUNDS else "")

    def by_setting(self, data: str, settings: Sequence[str]) -> str:
        """AUC of chosen methods over settings that follow each other, a panel for each kind of test case."""
        found = kinds(self._scores.views(data))
        figure, axes = panels(len(found), height=3.3)
        methods = self._chosen(data)
        for axis, (kind, views) in zip(axes, found.items(), strict=True):
            for method in methods:
                points = [
                    (place, m)
                    for place, setting in enumerate(settings)
                    if (m := self._mean(data, setting, views, method)) is not None
                ]
                shift = (methods.index(method) - len(methods) / 2) * 0.03
                self._line(axis, method, [(place + shift, m.value, m.spread) for place, m in points])
            axis.set_title(kind)
            axis.set_xticks(range(len(settings)), [_short(setting) for setting in settings])
        axes[0].set_ylabel("macro AUC x 100")
        return svg(with_legend(figure, axes[0]), f"{data}: AUC by setting")

    def _mean(self, data: str, setting: str, views: Sequence[str], method: str) -> Any:
        return mean(average([self._scores.auc(Column(data, setting, view), method) for view in views]))

    def _chosen(self, data: str) -> list[str]:
        """The default, what it must not harm, bounds, and the best two of the others: more are not distinguishable."""
        named = {self._scores.default, *harmless_to(), *BOUNDS}
        others = [g for g in gains(self._scores) if g.data == data and g.method not in named]
        best = {g.method for g in sorted(others, key=lambda gain: gain.difference)[:2]}
        return [method for method in self._scores.methods if method in named | best]

    def _line(self, axis: "Axes", method: str, points: Iterable[tuple[float, float, float]]) -> None:
        """Means with their spread; what has none is not drawn."""
        xs, ys, spreads = ([point[i] for point in points] for i in range(3))
        if not xs:
            return
        ours, bound = method == self._scores.default, method in BOUNDS
        axis.errorbar(
            xs,
            ys,
            yerr=spreads,
            label=method,
            color=self._colours[method],
            marker=self._marks[method],
            markersize=6 if ours else 4,
            linewidth=2.4 if ours else 1.1,
            elinewidth=0.8,
            linestyle=":" if bound else "-",
            zorder=5 if ours else 3,
        )

    def gain(self) -> str:
        """What the default is above every method, averaged over columns, with its seed noise."""
        found = gains(self._scores)
        data = list(dict.fromkeys(gain.data for gain in found))
        methods = [m for m in self._scores.methods if any(gain.method == m for gain in found)]
        figure, axes = panels(max(1, len(data)), height=0.6 + 0.24 * max(4, len(methods)), share_y=True)
        for axis, name in zip(axes, data, strict=False):
            for gain in found:
                if gain.data == name:
                    axis.errorbar(
                        gain.difference,
                        len(methods) - methods.index(gain.method),
                        xerr=gain.noise,
                        fmt="o",
                        color=self._colours[gain.method],
                    )
            axis.axvline(0, color=BOUND, linewidth=0.8)
            axis.set_title(name)
            axis.set_yticks(range(len(methods), 0, -1), methods)
            axis.set_ylim(0.4, len(methods) + 0.6)
        figure.supxlabel("AUC x 100 of the default above the method", fontsize=9)
        return svg(figure, "gain over every method")

    def cost(self, data: str, lines: Sequence[Mapping[str, Any]]) -> str:
        """Bytes and multiply-adds, each beside AUC. lines: of `summary.costs`."""
        figure, axes = panels(2, height=3.4, share_y=True)
        chosen = [line for line in lines if line["data"] == data]
        for axis, label in zip(
            axes, ("bytes of a site, both ways", "multiply-adds of an answer"), strict=True
        ):
            for line in chosen:
                x = line["up"] + line["down"] if label.startswith("bytes") else line["multiply_adds"]
                method = line["method"]
                axis.errorbar(
                    max(x, 1.0),
                    line["auc"],
                    yerr=line["spread"],
                    label=method,
                    fmt=self._marks[method],
                    color=self._colours[method],
                    markersize=9 if method == self._scores.default else 5,
                    elinewidth=0.8,
                )
            whole_decades(axis)
            axis.set_xlabel(label)
        axes[0].set_ylabel("macro AUC x 100")
        return svg(with_legend(figure, axes[0]), f"{data}: cost beside accuracy")

    def ablation(self, lines: Sequence[Mapping[str, Any]]) -> str:
        """One key of one method: a panel for each data set, a line for each kind. lines: of `summary.ablations`."""
        data = list(dict.fromkeys((line["data"], line["setting"]) for line in lines))
        figure, axes = panels(len(data), height=3.4)
        for axis, (name, setting) in zip(axes, data, strict=True):
            chosen = [line for line in lines if (line["data"], line["setting"]) == (name, setting)]
            for kind, colour, mark in zip(
                chosen[0]["kinds"], cycle((OURS, *COLOURS)), cycle("o" + MARKS), strict=False
            ):
                cells = [(i, cell) for i, line in enumerate(chosen) if (cell := line["kinds"][kind])]
                axis.errorbar(
                    [i for i, _ in cells],
                    [cell["auc"] for _, cell in cells],
                    yerr=[cell["spread"] for _, cell in cells],
                    label=kind,
                    color=colour,
                    marker=mark,
                    elinewidth=0.8,
                )
            axis.set_title(f"{name}, {setting}")
            axis.set_xticks(range(len(chosen)), [line["value"] for line in chosen])
            axis.set_xlabel(lines[0]["key"])
            axis.legend(frameon=False, fontsize=8, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.2))
        axes[0].set_ylabel("macro AUC x 100")
        return svg(figure, f"{lines[0]['method']}: {lines[0]['key']}")


def _short(setting: str) -> str:
    """What fits under an axis."""
    return (
        setting.removeprefix("missing ").replace(" non-IID", "\nnon-IID").replace(" half the", "\nhalf the\n")
    )
