"""The verdict and numbers in words: shared by the page and the terminal."""

from collections.abc import Mapping
from typing import Any

from benchmarks.study.roles import NOISE, PLAIN_FIN, TOLERANCE, ZERO_FILL
from benchmarks.study.verdict import Excess, Gain, Harm, Verdict, harmed_only_in

DASH = "-"
SAME_RECIPE = "The same recipe for every method"
BEHIND = f"Where another is better beyond {TOLERANCE} and seed noise, upper bounds apart:"
AT_ITS_BEST = "Each method at its best, which the verdict goes by"
RULES = (
    "Groups (patients) are on one side of every split. Whatever the seed, the same cases judge, unless they rotate.",
    "A seed decides which cases a site has, what is missing there, and every draw of a training.",
    "The judge's cases are complete. A kind of test case hides some of their modalities, the same for every method.",
    "Complete: all modalities are shown. Only X: X alone. Without X: all but X.",
    "Half missing: half of the cases, drawn by the seed, lose a random part of their modalities.",
    f"Seed noise: {NOISE:g} standard errors of the mean paired difference over seeds.",
    f"Harm: the mean difference is below -{TOLERANCE} and below minus its noise. Every single column counts.",
    f"More hurts: by the same method complete cases are below one modality alone, beyond {TOLERANCE} and noise.",
    "Means over columns are taken of the columns that both methods have.",
)


def verdict_lines(verdict: Verdict) -> list[str]:
    """The rule's outcome, what is lacking for it, and the gain; the first line is the outcome."""
    lines = [_outcome(verdict)]
    unclear = len(verdict.harms) - len(verdict.violations)
    if unclear:
        times = "once" if unclear == 1 else f"{unclear} times"
        lines.append(
            f"It is more than {TOLERANCE} below {times} where seed noise can explain it; they are listed."
        )
    if verdict.parts_compared:
        lines.append(_more(verdict))
    if verdict.all_columns:
        lines.append(_best(verdict))
    if verdict.leads:
        lines.append(_lead(verdict))
    if verdict.absent:
        lines.append(f"Not run, so not compared: {', '.join(verdict.absent)}.")
    if 0 < verdict.seeds < 3:
        lines.append("Somewhere there are fewer than three seeds: what is noise cannot be told well.")
    return lines


def _outcome(verdict: Verdict) -> str:
    if not verdict.compared:
        return f"Whether {verdict.default} does harm is not known: it has no rows beside a rival's."
    checked = f"{verdict.compared} comparisons in {verdict.columns} columns"
    if not verdict.violations:
        return (
            f"No harm found: {verdict.default} is nowhere more than {TOLERANCE} AUC (x 100) below zero-fill, plain FIN"
            f" or single-modality federation beyond seed noise, in {checked}."
        )
    count = len({harm.column for harm in verdict.violations})
    places = "one column" if count == 1 else f"{count} columns"
    return (
        f"Harm found in {places}: there {verdict.default} is more than {TOLERANCE} AUC (x 100) below what it must not"
        f" harm, beyond seed noise, of {checked}."
    )


def _more(verdict: Verdict) -> str:
    """Whether more modalities hurt."""
    compared = f"in {verdict.parts_compared} comparisons of {verdict.default} with itself"
    if not verdict.clear_parts:
        return (
            f"More does not hurt: complete cases are nowhere more than {TOLERANCE} below one of their modalities alone"
            f" beyond seed noise, {compared}."
        )
    count = len(verdict.clear_parts)
    times = "once" if count == 1 else f"{count} times"
    return (
        f"More hurts {times}: complete cases are more than {TOLERANCE} below one of their modalities alone beyond seed"
        f" noise, {compared}."
    )


def part_line(part: Excess) -> str:
    """One place where complete cases are below a part of them."""
    doubt = "" if part.clear else ", within seed noise"
    return (
        f"{part.data}, {part.setting}: complete {part.difference:+.2f} to {part.part}"
        f" (noise {part.noise:.2f}, {part.seeds} seeds{doubt})"
    )


def _best(verdict: Verdict) -> str:
    behind = len({harm.column for harm in verdict.behind})
    return (
        f"It is the best that was run, or within {TOLERANCE} of the best or seed noise of it, in"
        f" {verdict.all_columns - behind} of {verdict.all_columns} columns, upper bounds apart."
    )


def _lead(verdict: Verdict) -> str:
    overall = verdict.leads[-1]
    by_data = ", ".join(f"{lead.data} {lead.difference:+.2f}" for lead in verdict.leads if lead.data)
    return (
        f"Over the best rival of each column, upper bounds apart, it gains {overall.difference:+.2f} in the mean of"
        f" {overall.columns} columns, and is ahead in {overall.ahead}; by data set {by_data}."
    )


def same_recipe_lines(same: Verdict, at_best: Verdict) -> list[str]:
    """What the rule says where all have one recipe, then the columns that are harmed only there."""
    found = harmed_only_in(same, at_best)
    only = "Harmed by the same recipe and not with each at its best"
    end = ":" if found else ": no column."
    return [f"By the same recipe: {_outcome(same)}", f"{only}{end}", *map(harm_line, found)]


def harm_line(harm: Harm) -> str:
    """One place where the default is below."""
    doubt = "" if harm.clear else ", within seed noise"
    return (
        f"{harm.data}, {harm.setting}, {harm.view}: {harm.difference:+.2f} to {harm.rival}"
        f" (noise {harm.noise:.2f}, {harm.seeds} seeds{doubt})"
    )


def gain_line(gain: Gain) -> str:
    """The average over columns."""
    return f"{gain.data}: {gain_text(gain)} over {gain.method}, {gain.columns} columns"


def gain_text(gain: Gain) -> str:
    """With its noise, where that is known."""
    return f"{gain.difference:+.2f} ± {gain.noise:.2f}" if gain.seeds > 1 else f"{gain.difference:+.2f}"


def is_reported(gain: Gain) -> bool:
    """Gains that the project promises to tell: over plain FIN and zero-fill."""
    return gain.method in (ZERO_FILL, *PLAIN_FIN)


def auc_text(cell: Mapping[str, Any] | None) -> str:
    """Mean and spread."""
    if cell is None:
        return DASH
    return f"{cell['auc']:.1f} ± {cell['spread']:.1f}" if cell["seeds"] > 1 else f"{cell['auc']:.1f}"


def number(value: float | None, form: str) -> str:
    """Or a dash for what is not known."""
    return DASH if value is None else format(value, form)
