"""An update in words and numbers: everything that left the site, or what it added to a sum; nothing else did."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from fedfin.codec.layout import Kind, Layout, read_forms
from fedfin.codec.reader import Reader
from fedfin.command_line.standard_output import PrintedConsole
from fedfin.limits import LEAST_SUMMED
from fedfin.model.answer_counts import COUNT
from fedfin.model.model_spec import Task, task_specs
from fedfin.plain_text import plain_text
from fedfin.plan import Plan
from fedfin.protocol.payloads import Update, open_update
from fedfin.protocol.schedule import levels_up
from fedfin.protocol.sum_groups import most_groups
from fedfin.secure_sums.masks import WORD
from fedfin.secure_sums.summand import Summand
from fedfin_edge.cases.dataset import FEW

_SECOND_MOMENTS = (
    "second moments: the mean products of any two features, and of each feature with each label, over this site's"
    " training cases"
)
TELLS: dict[Task, str] = {
    "moments": "the mean of each feature, and of its square, over this site's training cases",
    "second_moments": f"{_SECOND_MOMENTS}; of cases with every modality in two halves, where that is not too few or too"
    " much; sent once",
    "train": "by how much training on this site's cases changes the model, and its loss on cases kept for validation",
    "calibrate": "what the head says of cases kept from its training: their number, sums of its logits and of their"
    " squares, by label and true answer, for every combination of modalities",
    "evaluate": "how many held-out cases got which score, by label and true answer",
}
TELLS_IN_SUMS: dict[Task, str] = TELLS | {
    "second_moments": f"{_SECOND_MOMENTS}, in two halves of the patients, for cases with every modality and for others;"
    " sent once",
}
TELLS_WHERE_COUNTED: dict[Task, str] = {
    "moments": f"{TELLS['moments']}; how many patients who train, are held out and calibrate, up to {{most}}, have"
    " which answer, and of how many a label is unknown, by combination of modalities",
    "calibrate": "what the head says of cases kept from its training: their number, sums of its logits and of their"
    " squares, by true answer and not by label, for every combination of modalities",
}
TELLS_WITH_NOISE: dict[Task, str] = {
    "second_moments": "sums of products of any two features, and of each feature with each label, over this site's"
    " training patients, each clipped and all of them under noise, in two halves; sent once",
    "train": "in which direction this site's patients would move the model, each clipped, under noise",
    "calibrate": "what the head says of cases kept from its training: their number, sums of its logits and of their"
    " squares, by label and true answer, each patient clipped, under noise",
    "evaluate": "how many held-out cases got which score, by label and true answer, each patient clipped, under noise",
}
FEW_MEANS = (
    "so few that it may tell about single ones; before taking part again, add cases, or agree with the coordinator"
    " that this may leave the site"
)
FEW_MEANS_SUMMED = (
    "it leaves only masked, and the fewer cases the others give, the more the sum tells about single ones"
)


def tells(plan: Plan, task: Task) -> str:
    """What an update of this task says of the site."""
    if plan.privacy.noised:
        return TELLS_WITH_NOISE[task]
    words = (TELLS_IN_SUMS if plan.privacy.summed else TELLS)[task]
    if most := plan.privacy.least_answers:
        words = TELLS_WHERE_COUNTED.get(task, words)
    return words.format(most=most)


def explain(update: Update, plan: Plan) -> dict[str, Any]:
    """Round, task and what its updates tell, metrics, size, warnings; for each tensor its shape, weight and coding.

    Raises ProtocolError when the update is not of this plan.
    """
    shapes = task_specs(plan, update.task)
    values, weights = open_update(update, shapes)
    forms = read_forms(Reader(update.body[1:]), shapes)  # after the version of the format
    form = Summand(plan, update.task, levels_up(plan, update.round))
    return {
        "site": update.site,
        "round": update.round,
        "task": update.task,
        "tells": tells(plan, update.task),
        "warnings": [] if plan.privacy.noised else _warnings(weights, summed=plan.privacy.summed),
        "travels": _travels(plan, form, update.round) if plan.privacy.summed else None,
        "base": update.base,
        "plan": update.plan,
        "metrics": update.metrics,
        "values": sum(array.size for array in values.values()),
        "bytes": len(update.body),
        "tensors": [
            {
                "name": name,
                "weight": weights[name],
                "coding": _word_coding(name, form) if plan.privacy.summed else _coding(*forms[name]),
            }
            | _values(array)
            for name, array in values.items()
        ],
    }


def _travels(plan: Plan, form: Summand, round_: int) -> dict[str, int]:
    """What of it others see with secure sums: so many masked words, and the sum of so many sites' parts."""
    words, least = form.word_count, LEAST_SUMMED if most_groups(plan, round_) else plan.rounds.min_sites
    return {"words": words, "bytes": words * WORD.itemsize, "least_sites": least}


def _warnings(weights: Mapping[str, int], *, summed: bool) -> list[str]:
    few = {name: n for name, n in weights.items() if n < FEW and not name.startswith(COUNT)}
    if not few:
        return []
    name = min(few, key=lambda name: few[name])
    more = f" and {len(few) - 1} more" if len(few) > 1 else ""
    rests = f"{name} rests on {few[name]} cases{more} on fewer than {FEW}"
    return [
        f"this site's part of the sum of {rests}: {FEW_MEANS_SUMMED}" if summed else f"{rests}: {FEW_MEANS}"
    ]


def _word_coding(name: str, form: Summand) -> str:
    """What the words of a secure sum hold of a tensor, however the update is kept here."""
    return "steps" if name in form.quantized else "fixed point"


def _coding(kind: Kind, layout: Layout) -> str:
    return kind.name.lower() if layout is Layout.ALL else f"sparse {kind.name.lower()}"


def _values(array: NDArray[np.float32]) -> dict[str, Any]:
    return {
        "shape": list(array.shape),
        "rms": float(np.sqrt(np.mean(np.square(array, dtype=np.float64)))),
        "largest": float(np.abs(array).max()),
        "zeros": float(np.mean(array == 0)),
    }


def print_explanation(facts: dict[str, Any]) -> None:
    """As a table on standard output."""
    console = PrintedConsole(markup=False)  # names of metrics are free text
    table = Table(
        title=f"update of {facts['site']}, round {facts['round']} ({facts['task']}),"
        f" from model version {facts['base']}",
        caption=_compressed(facts) if facts["travels"] is None else None,
    )
    table.add_column("tensor", overflow="fold")
    for column in ("shape", "weight (cases)", "coded as", "zeros", "rms", "largest"):
        table.add_column(column, justify="right")
    for tensor in facts["tensors"]:
        table.add_row(
            tensor["name"],
            "x".join(map(str, tensor["shape"])),
            str(tensor["weight"]),
            tensor["coding"],
            f"{tensor['zeros']:.0%}",
            f"{tensor['rms']:.2e}",
            f"{tensor['largest']:.2e}",
        )
    console.print(f"It tells {facts['tells']}.")
    if (travels := facts["travels"]) is not None:
        console.print(
            f"What travels are {travels['words']:,} masked words, {travels['bytes'] / 1e3:,.1f} KB, which say nothing"
            f" by themselves. They open as part of a sum over {travels['least_sites']} sites or more; below is this"
            " site's part of it, weight times value, which nobody else sees."
        )
        if any(tensor["coding"] == "steps" for tensor in facts["tensors"]):
            console.print(
                "Of what is coded as steps the numbers are whole steps of weight times value, the same at all sites."
            )
    console.print(table)
    for warning in facts["warnings"]:
        console.print(f"warning: {warning}")
    for name, value in facts["metrics"].items():
        console.print(f"metric {plain_text(name)}: {value:.6g}")


def _compressed(facts: dict[str, Any]) -> str:
    raw, bytes_ = 4 * facts["values"], facts["bytes"]
    return (
        f"{facts['values']:,} values in {bytes_ / 1e3:,.1f} KB; as float32 they would take {raw / 1e3:,.1f} KB"
        f" ({raw / bytes_:.1f} times as much)"
    )
