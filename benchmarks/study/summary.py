"""All that the report shows, as plain values: what `fedfin study report --json` prints."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.rows import Row
from benchmarks.study.scores import ABLATED, BySeed, Column, Scores, average, kinds, mean
from benchmarks.study.verdict import Verdict, failures, harmed_only_in, judge

Line = dict[str, Any]
ENOUGH_SEEDS = 3  # some methods may have more
# Of imputed features: what a row's views have, and what it is called.
IMPUTED = ("cosine", "explained", "claimed", "covered")


def summarise(scores: Scores, same_recipe: Scores | None = None) -> dict[str, Any]:
    """Everything: see the functions below. same_recipe: of methods that are at their best in scores."""
    verdict = judge(scores)
    return {
        "default": scores.default,
        "seeds": sorted({row["seed"] for row in scores.rows}),
        "data": [_data(scores, name) for name in scores.data],
        "verdict": asdict(verdict)
        | {"violations": len(verdict.violations), "clear_parts": len(verdict.clear_parts)},
        "main": main_table(scores),
        "calibration": by_method(scores, ("ece",)),
        "imputation": by_method(scores, IMPUTED),
        "coverage": coverage(scores),
        "costs": costs(scores),
        "labels": labels(scores),
        "ablations": ablations(scores),
        "failures": [asdict(failure) for failure in failures(scores)],
        "failed": [
            {key: row[key] for key in ("data", "setting", "method", "seed", "error")} for row in scores.failed
        ],
        "skipped": skipped(scores),
        "missing": missing(scores),
        "replaced": scores.replaced,
    } | ({} if same_recipe is None else _same_recipe(same_recipe, verdict))


def _same_recipe(scores: Scores, at_best: Verdict) -> dict[str, Any]:
    """Its main table, and where the default harms by it and not with each at its best."""
    harms = harmed_only_in(judge(scores), at_best)
    return {"same_recipe": main_table(scores), "harmed_by_same_recipe": [asdict(harm) for harm in harms]}


def _data(scores: Scores, name: str) -> Line:
    row = next(row for row in scores.rows if row["data"] == name)
    return {
        "data": name,
        "modalities": row["modalities"],
        "labels": len(row["labels"]),
        "judge": row["judge"],
        "train": sum(row["sites"].values()),
        "rounds": sorted({row["rounds"] for row in scores.rows if row["data"] == name}),
    }


def main_table(scores: Scores) -> list[Line]:
    """A line for each data set, setting and kind of test case; in it each method's mean, spread, and difference.

    difference: the default's less the method's, paired by seed; noise: of that, None of one seed; clear: beyond it.
    """
    lines = []
    for data in scores.data:
        for setting in scores.settings(data):
            for kind, views in kinds(scores.views(data)).items():
                columns = [Column(data, setting, view) for view in views]
                cells = {method: _cell(scores, columns, method) for method in scores.methods}
                lines.append({"data": data, "setting": setting, "kind": kind, "methods": cells})
    return lines


def _cell(scores: Scores, columns: Sequence[Column], method: str) -> Line | None:
    found = mean(average([scores.auc(column, method) for column in columns]))
    if found is None:
        return None
    differences = average([scores.differences(column, scores.default, method) for column in columns])
    to_default = None if method == scores.default else mean(differences)
    return {
        "auc": found.value,
        "spread": found.spread,
        "seeds": found.seeds,
        "difference": None if to_default is None else to_default.value,
        "noise": None if to_default is None or to_default.seeds == 1 else to_default.noise,
        "clear": to_default is not None and abs(to_default.value) > to_default.noise,
    }


def by_method(scores: Scores, figures: Sequence[str]) -> list[Line]:
    """Means of figures over all settings and seeds, by data set, method and kind of test case."""
    lines = []
    for data in scores.data:
        for method in scores.methods:
            rows = [row for row in scores.rows if (row["data"], row["method"]) == (data, method)]
            for kind, views in kinds(scores.views(data)).items():
                found = {figure: _mean_of(rows, views, figure) for figure in figures}
                if any(value is not None for value in found.values()):
                    lines.append({"data": data, "method": method, "kind": kind, **found})
    return lines


def coverage(scores: Scores) -> list[Line]:
    """Whether the default's claims are honest, by data set and setting: means over seeds and kinds of test case.

    claimed: squared error / claimed variance; covered: the share of features within the intervals that should hold
    90 %; least, most: of any kind of test case.
    """
    lines = []
    for data in scores.data:
        for setting in scores.settings(data):
            of = (data, setting, scores.default)
            rows = [row for row in scores.rows if (row["data"], row["setting"], row["method"]) == of]
            by_view = [_mean_of(rows, [view], "covered") for view in scores.views(data)]
            if covered := [value for value in by_view if value is not None]:
                lines.append(
                    {
                        "data": data,
                        "setting": setting,
                        "claimed": _mean_of(rows, scores.views(data), "claimed"),
                        "covered": statistics.fmean(covered),
                        "least": min(covered),
                        "most": max(covered),
                    }
                )
    return lines


def _mean_of(rows: Sequence[Row], views: Sequence[str], figure: str) -> float | None:
    values = [row["views"][view].get(figure) for row in rows for view in views if view in row["views"]]
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def costs(scores: Scores) -> list[Line]:
    """By data set and method, mean over all its settings: AUC over all columns, and what it takes."""
    lines = []
    for data in scores.data:
        for method in scores.methods:
            rows = [row for row in scores.rows if (row["data"], row["method"]) == (data, method)]
            columns = [c for c in scores.columns if c.data == data]
            auc = mean(average([by_seed for c in columns if (by_seed := scores.auc(c, method))]))
            if rows and auc is not None:
                figures = ("up", "down", "multiply_adds", "cpu_s")
                means = {figure: statistics.fmean(row[figure] for row in rows) for figure in figures}
                lines.append(
                    {"data": data, "method": method, "auc": auc.value, "spread": auc.spread, **means}
                )
    return lines


def labels(scores: Scores) -> list[Line]:
    """AUC of each label by data set, kind of test case and method, mean over settings and seeds."""
    lines = []
    for data in scores.data:
        names = next(row["labels"] for row in scores.rows if row["data"] == data)
        for kind, views in kinds(scores.views(data)).items():
            for place, label in enumerate(names):
                cells = {method: _label(scores, data, method, views, place) for method in scores.methods}
                lines.append({"data": data, "kind": kind, "label": label, "methods": cells})
    return lines


def _label(scores: Scores, data: str, method: str, views: Sequence[str], place: int) -> float | None:
    values = [
        row["views"][view]["per_label"][place]
        for row in scores.rows
        if (row["data"], row["method"]) == (data, method)
        for view in views
        if view in row["views"]
    ]
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def ablations(scores: Scores) -> list[Line]:
    """A line for each changed key's value, by data set, setting and view kind: mean, spread, and costs."""
    lines = []
    names = dict.fromkeys(row["method"] for row in scores.rows if ABLATED in row["method"])
    for data in scores.data:
        for setting in scores.settings(data):
            for name in names:
                rows = [
                    r for r in scores.rows if (r["data"], r["setting"], r["method"]) == (data, setting, name)
                ]
                if rows:
                    lines.append(_ablation(scores, data, setting, name, rows))
    return lines


def _ablation(scores: Scores, data: str, setting: str, name: str, rows: Sequence[Row]) -> Line:
    method, _, change = name.partition(ABLATED)
    key, _, value = change.partition("=")
    cells = {
        kind: _plain(average([scores.auc(Column(data, setting, view), name) for view in views]))
        for kind, views in kinds(scores.views(data)).items()
    }
    return {
        "data": data,
        "setting": setting,
        "method": method,
        "key": key,
        "value": value,
        "kinds": cells,
        "up": statistics.fmean(row["up"] for row in rows),
        "multiply_adds": statistics.fmean(row["multiply_adds"] for row in rows),
    }


def _plain(by_seed: BySeed) -> Line | None:
    found = mean(by_seed)
    return None if found is None else {"auc": found.value, "spread": found.spread, "seeds": found.seeds}


def skipped(scores: Scores) -> list[Line]:
    """Methods that a data set is not for, with the reason that they gave."""
    found = {(row["data"], row["method"]): row["skipped"] for row in scores.skipped}
    return [{"data": data, "method": method, "reason": why} for (data, method), why in found.items()]


def missing(scores: Scores) -> list[Line]:
    """Combinations without any row, or with fewer seeds than ENOUGH_SEEDS or the most that one has."""
    known = {(row["data"], row["setting"], row["method"]) for row in scores.skipped}
    most = max((len(scores.auc(c, m)) for c in scores.columns for m in scores.methods), default=0)
    most = min(most, ENOUGH_SEEDS)
    lines = []
    for data in scores.data:
        for setting in scores.settings(data):
            for method in scores.methods:
                columns = [Column(data, setting, view) for view in scores.views(data)]
                seeds = max(len(scores.auc(column, method)) for column in columns)
                if seeds < most and (data, setting, method) not in known:
                    lines.append(
                        {"data": data, "setting": setting, "method": method, "seeds": seeds, "of": most}
                    )
    return lines
