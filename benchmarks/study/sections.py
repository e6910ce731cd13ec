"""The page's sections, each from the summary; one that has nothing to show is an empty string."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from benchmarks.page.html import Cell, beside, bullets, figure, folded, heading, paragraph, section, table
from benchmarks.page.numbers import amount
from benchmarks.study.charts import Charts
from benchmarks.study.roles import BOUNDS, NOISE, TOLERANCE, WITH_PUBLIC
from benchmarks.study.scores import Scores
from benchmarks.study.summary import main_table
from benchmarks.study.verdict import Verdict, judge
from benchmarks.study.words import (
    DASH,
    RULES,
    SAME_RECIPE,
    auc_text,
    harm_line,
    number,
    part_line,
    same_recipe_lines,
)

Summary = dict[str, Any]
MANY = 10  # methods: from here on the heads of the main table stand upright
RATIOS = ("8:0:2", "6:0:4", "4:4:2", "2:2:6", "0:6:4")
IMPUTED = ("cosine", "explained", "error / claimed", "in 90 %")


def harms(verdict: Verdict) -> str:
    """Every place where the default is more than the tolerance below."""
    if not verdict.harms:
        return ""
    clear = [harm_line(harm) for harm in verdict.harms if harm.clear]
    unclear = [harm_line(harm) for harm in verdict.harms if not harm.clear]
    return section(
        "harm",
        "Where it is below",
        heading("Beyond seed noise") + bullets(clear) if clear else "",
        heading("Within seed noise") + bullets(unclear) if unclear else "",
    )


def parts(verdict: Verdict) -> str:
    """Every place where complete cases are more than the tolerance below one of their modalities alone."""
    if not verdict.parts:
        return ""
    text = f"The same cases, answered by {verdict.default} with everything and with one modality alone."
    return section(
        "parts", "Complete below a part of it", paragraph(text), bullets(map(part_line, verdict.parts))
    )


def behind(verdict: Verdict) -> str:
    """Every place where any other method is clearly better."""
    if not verdict.behind:
        return ""
    text = (
        f"Beyond {TOLERANCE} and seed noise, upper bounds apart. A method that has the public cases is compared with"
        f" {' or '.join(WITH_PUBLIC.values())}, which has them, too."
    )
    return section(
        "behind", "Where another is better", paragraph(text), bullets(map(harm_line, verdict.behind))
    )


def main(scores: Scores, summary: Summary, charts: Charts, recipe: str = "") -> str:
    """By data set: a row for each setting and kind of test case, a column for each method. recipe: in words."""
    parts = [paragraph(f"{recipe}.") if recipe else "", paragraph(_how_to_read(scores.default))]
    for data in scores.data:
        parts += [heading(data), _main_table(summary["main"], data, scores)]
        settings = scores.settings(data)
        for chosen in (
            [s for s in RATIOS if s in settings],
            [s for s in settings if s.startswith("missing ")],
        ):
            if len(chosen) > 1:
                parts.append(figure(charts.by_setting(data, chosen)))
    return section("main", "Main table", *parts)


def same_recipe(scores: Scores, at_best: Verdict) -> str:
    """The main table of methods that share epochs, learning rate and weight decay, and what the rule says of it."""
    text = (
        "Epochs, learning rate and weight decay are the study's: with few steps rivals that need more are undertrained."
        " The verdict does not go by this table."
    )
    lines = main_table(scores)
    tables = [part for data in scores.data for part in (heading(data), _main_table(lines, data, scores))]
    outcome, only, *harms = same_recipe_lines(judge(scores), at_best)
    rule = (paragraph(outcome), paragraph(only), bullets(harms) if harms else "")
    return section(
        "same", SAME_RECIPE, paragraph(text), *rule, paragraph(_how_to_read(scores.default)), *tables
    )


def _how_to_read(default: str) -> str:
    return (
        f"Mean over seeds; below it the sample deviation, and how far {default} is above the method, paired by seed."
        f" Bold: the best of a row, upper bounds (in italics) apart. Red: the method is above {default} beyond seed"
        f" noise ({NOISE:g} standard errors); grey: it is below."
    )


def _main_table(every: Sequence[Mapping[str, Any]], data: str, scores: Scores) -> str:
    """Of one data set's lines."""
    lines, default = [line for line in every if line["data"] == data], scores.default
    shown = [method for method in scores.methods if any(line["methods"][method] for line in lines)]
    rows = []
    for line in lines:
        cells = {method: line["methods"][method] for method in shown}
        known = [c["auc"] for m, c in cells.items() if c is not None and m not in BOUNDS]
        best = max(known, default=0.0)
        rows.append(
            [line["setting"], line["kind"], *(_main_cell(m, c, best, default) for m, c in cells.items())]
        )
    return table(["setting", "test cases", *shown], rows, names=2, ours=default, dense=len(shown) > MANY)


def _main_cell(method: str, cell: Mapping[str, Any] | None, best: float, default: str) -> Cell:
    if cell is None:
        return Cell(DASH, kind="ours" if method == default else "")
    kinds = ["ours"] if method == default else []
    if cell["clear"] and method not in BOUNDS:
        kinds.append("worse" if cell["difference"] > 0 else "better")
    if method in BOUNDS:
        kinds.append("bound")
    spread = f"±{cell['spread']:.1f}" if cell["seeds"] > 1 else ""
    difference = "" if cell["difference"] is None else f"{cell['difference']:+.1f}"
    bold = method not in BOUNDS and cell["auc"] >= best - 0.005
    small = tuple(text for text in (spread, difference) if text)
    return Cell(f"{cell['auc']:.1f}", small, bold=bold, kind=" ".join(kinds))


def gains(verdict: Verdict, charts: Charts) -> str:
    """What the default gains over every method, averaged over columns."""
    if not verdict.gains:
        return ""
    data = list(dict.fromkeys(gain.data for gain in verdict.gains))
    methods = list(dict.fromkeys(gain.method for gain in verdict.gains))
    found = {(gain.data, gain.method): gain for gain in verdict.gains}
    rows = [
        [
            method,
            *(
                f"{g.difference:+.2f} ± {g.noise:.2f}" if (g := found.get((d, method))) else DASH
                for d in data
            ),
        ]
        for method in methods
    ]
    text = (
        f"{verdict.default} less the method, averaged over all columns that both have, with {NOISE:g} standard"
        " errors over seeds."
    )
    return section("gain", "Gain", paragraph(text), figure(charts.gain()), table(["over", *data], rows))


def ablations(summary: Summary, charts: Charts) -> str:
    """Each changed key: a plot and a table."""
    parts = []
    lines = sorted(summary["ablations"], key=lambda line: (line["method"], line["key"]))
    for (method, key), chosen in groupby(lines, key=lambda line: (line["method"], line["key"])):
        of_key = list(chosen)
        by_data = groupby(of_key, key=lambda line: f"{line['data']}, {line['setting']}")
        parts += [
            heading(f"{method}: {key}"),
            figure(charts.ablation(of_key)),
            beside((data, _ablation_table(key, list(some))) for data, some in by_data),
        ]
    return section("ablations", "Ablations", *parts)


def _ablation_table(key: str, lines: Sequence[Mapping[str, Any]]) -> str:
    kinds = list(lines[0]["kinds"])
    rows = [
        [
            line["value"],
            *(auc_text(line["kinds"][kind]) for kind in kinds),
            amount(line["up"], "B"),
            amount(line["multiply_adds"]),
        ]
        for line in lines
    ]
    return table([key, *kinds, "up", "multiply-adds"], rows)


def imputation(summary: Summary) -> str:
    """How near estimates come."""
    text = (
        "Of the features that are hidden, in the judge's standard units: the cosine of estimate and truth; the share of"
        " variance that is explained (0: as good as the mean); where a variance is claimed, the squared error over it"
        " (1 is honest, above 1 claims too much) and the share of features within the interval that should hold 90 %."
    )
    by_data = groupby(summary["imputation"], key=lambda line: str(line["data"]))
    tables = beside((data, _imputation_table(list(lines))) for data, lines in by_data)
    return section("imputed", "Imputed features", paragraph(text), tables) if tables else ""


def _imputation_table(lines: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [line["method"], line["kind"], *(number(line[figure], form) for figure, form in _FORMS.items())]
        for line in lines
    ]
    return table(["method", "test cases", *IMPUTED], rows, names=2)


_FORMS = {"cosine": ".2f", "explained": ".2f", "claimed": ".2f", "covered": ".0%"}


def calibration(summary: Summary, scores: Scores) -> str:
    """Expected calibration error of the answers."""
    parts = []
    for data in scores.data:
        lines = [line for line in summary["calibration"] if line["data"] == data]
        kinds, methods = (list(dict.fromkeys(line[key] for line in lines)) for key in ("kind", "method"))
        found = {(line["method"], line["kind"]): line["ece"] for line in lines}
        rows = [[m, *(number(found.get((m, kind)), ".2f") for kind in kinds)] for m in methods]
        parts.append((data, table(["method", *kinds], rows)))
    text = "Expected calibration error x 100, 15 equal bins, mean over labels, settings and seeds; less is better."
    return section("calibration", "Calibration of answers", paragraph(text), beside(parts))


def costs(summary: Summary, charts: Charts) -> str:
    """What accuracy costs."""
    parts = []
    for data, lines in groupby(summary["costs"], key=lambda line: str(line["data"])):
        chosen = list(lines)
        rows = [
            [
                line["method"],
                f"{line['auc']:.1f}",
                amount(line["up"], "B"),
                amount(line["down"], "B"),
                amount(line["multiply_adds"]),
                f"{line['cpu_s']:.1f}",
            ]
            for line in chosen
        ]
        head = ["method", "mean AUC", "up", "down", "multiply-adds", "CPU-s to train"]
        parts += [heading(data), figure(charts.cost(data, chosen)), table(head, rows)]
    text = (
        "Bytes of one site in the mean, over the whole training, as updates are encoded. Multiply-adds of one answer"
        " without the encoders, which every method needs alike. AUC is the mean over all columns."
    )
    return section("cost", "Cost beside accuracy", paragraph(text), *parts)


def labels(summary: Summary, scores: Scores) -> str:
    """AUC of each label, folded away."""
    parts = []
    for data, lines in groupby(summary["labels"], key=lambda line: str(line["data"])):
        rows = [
            [line["kind"], line["label"], *(number(line["methods"][m], ".1f") for m in scores.methods)]
            for line in lines
        ]
        head = ["test cases", "label", *scores.methods]
        parts.append(folded(data, table(head, rows, names=2, ours=scores.default)))
    return section("labels", "AUC of each label", *parts)


def failures(summary: Summary) -> str:
    """What did not work, by rule."""
    rows = [
        [
            f["method"],
            f["data"],
            f"{f['difference']:+.2f} ± {f['noise']:.2f}",
            f"{f['worst']:+.2f}",
            Cell(f"{f['worst_setting']}, {f['worst_view']}", kind="text"),
        ]
        for f in summary["failures"]
    ]
    text = (
        "Methods and ablations that are below zero-fill in the average over a data set's columns, beyond seed noise:"
        " they had better impute nothing."
    )
    head = ["method", "data", "to zero-fill", "worst", "where"]
    body = table(head, rows) if rows else paragraph("None is below zero-fill.")
    return section("failures", "What did not work", paragraph(text), body)


def gaps(summary: Summary) -> str:
    """What failed, and what is not there."""
    failed = [
        f"{f['method']} on {f['data']}, {f['setting']}, seed {f['seed']}: {f['error']}"
        for f in summary["failed"]
    ]
    skipped = [f"{s['method']} is not for {s['data']}: {s['reason']}" for s in summary["skipped"]]
    missing = [
        f"{m['method']} on {m['data']}, {m['setting']}: {m['seeds'] or 'none'} of {m['of']} seeds"
        for m in summary["missing"]
    ]
    return section(
        "gaps",
        "What is missing",
        heading("Failed") + bullets(failed) if failed else "",
        heading("Not applicable") + bullets(skipped) if skipped else "",
        heading("Not run") + bullets(missing) if missing else "",
    )


def reading(summary: Summary) -> str:
    """The rules behind the words."""
    replaced = summary["replaced"]
    more = [f"{replaced} rows were replaced by later ones of the same name."] if replaced else []
    return section("rules", "How this was measured", bullets([*RULES, *more]))
