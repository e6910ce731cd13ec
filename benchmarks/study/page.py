"""The report: one page with everything in it, to be sent or kept as it is."""

import statistics
from collections.abc import Sequence
from html import escape
from typing import Any

from benchmarks.page.document import document
from benchmarks.page.html import paragraph, table
from benchmarks.study import sections
from benchmarks.study.charts import Charts
from benchmarks.study.scores import Scores
from benchmarks.study.summary import summarise
from benchmarks.study.verdict import Verdict, judge
from benchmarks.study.words import AT_ITS_BEST, DASH, gain_text, is_reported, verdict_lines


def page(scores: Scores, same_recipe: Scores | None = None) -> str:
    """The whole of it, and the main table of the same methods by one recipe. Raises ModuleNotFoundError."""
    summary, charts, verdict = summarise(scores), Charts(scores), judge(scores)
    parts = [
        sections.harms(verdict),
        sections.parts(verdict),
        sections.behind(verdict),
        sections.main(scores, summary, charts, AT_ITS_BEST if same_recipe else ""),
        sections.same_recipe(same_recipe, verdict) if same_recipe else "",
        sections.gains(verdict, charts),
        sections.ablations(summary, charts),
        sections.imputation(summary),
        sections.calibration(summary, scores),
        sections.costs(summary, charts),
        sections.labels(summary, scores),
        sections.failures(summary),
        sections.gaps(summary),
        sections.reading(summary),
    ]
    return document(
        "Imputation with missing modalities: the study",
        _subtitle(summary),
        parts,
        tiles=_tiles(summary),
        verdict=_verdict(verdict),
    )


def _subtitle(summary: dict[str, Any]) -> str:
    text = [
        f"{one['data']} ({len(one['modalities'])} modalities, {one['labels']} labels, {one['judge']:,} cases judge)"
        for one in summary["data"]
    ]
    seeds = len(summary["seeds"])
    return f"{'; '.join(text)}. {seeds} seed{'s' if seeds != 1 else ''}. Macro AUC x 100 throughout."


def _tiles(summary: dict[str, Any]) -> str:
    """The default's mean over settings and data sets, by kind of test case, and beside it zero-fill's."""
    found: dict[str, list[tuple[float, float]]] = {}
    for line in summary["main"]:
        ours, zero = (line["methods"].get(name) for name in (summary["default"], "zero-fill"))
        if ours and zero:
            kind = (
                line["kind"] if line["kind"] in ("complete", "half missing") else "one alone or one missing"
            )
            found.setdefault(kind, []).append((ours["auc"], zero["auc"]))
    return _tile_row(summary["default"], found)


def _tile_row(
    default: str, found: dict[str, Sequence[tuple[float, float]]] | dict[str, list[tuple[float, float]]]
) -> str:
    tiles = []
    for kind, pairs in found.items():
        ours, zero = (statistics.fmean(pair[i] for pair in pairs) for i in (0, 1))
        note = f"{default}, {kind} cases; zero-fill {zero:.1f}"
        tiles.append(f'<div class="tile"><b>{ours:.1f}</b><span>{escape(note)}</span></div>')
    return f'<div class="tiles">{"".join(tiles)}</div>' if tiles else ""


def _verdict(verdict: Verdict) -> str:
    lines = verdict_lines(verdict)
    kind = (
        "bad"
        if verdict.violations or verdict.clear_parts
        else "good"
        if verdict.compared and not verdict.absent
        else ""
    )
    body = f"<p><b>{escape(lines[0])}</b></p>" + "".join(paragraph(line) for line in lines[1:])
    return f'<div class="verdict {kind}">{body}{_gains(verdict)}</div>'


def _gains(verdict: Verdict) -> str:
    """What the project promises to tell: over zero-fill and plain FIN, by data set."""
    gains = {(gain.data, gain.method): gain for gain in verdict.gains if is_reported(gain)}
    data, methods = (list(dict.fromkeys(pair[i] for pair in gains)) for i in (0, 1))
    rows = [
        [one, *(gain_text(gains[one, method]) if (one, method) in gains else DASH for method in methods)]
        for one in data
    ]
    heads = ["", *(f"over {method}" for method in methods)]
    return paragraph("Gain, averaged over all columns:") + table(heads, rows) if rows else ""
