"""Exact AUC of an exported model on encoded cases, by what it is shown of them."""

from itertools import chain
from typing import Any

import numpy as np
from rich.table import Table

from fedfin.command_line.standard_output import PrintedConsole
from fedfin.model.metrics import macro_auc, per_label_auc
from fedfin.model.model_spec import SCENARIOS_MEAN
from fedfin.plain_text import plain_text
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.cases.scenarios import scenarios
from fedfin_edge.predict.predictor import Predictor


def score(predictor: Predictor, dataset: Dataset, *, every_case: bool) -> dict[str, Any]:
    """For each scenario of `fedfin.model.model_spec.scenarios`: number of cases, macro AUC and AUC by label.

    `every_case`: not only the held-out ones.
    """
    chosen = np.ones(len(dataset), np.bool_) if every_case else dataset.held_out
    scores: dict[str, Any] = {}
    for scenario in scenarios(dataset.present):
        rows = scenario.cases & chosen
        if not rows.any():
            scores[scenario.name] = {"cases": 0, "macro_auc": None, "labels": {}}
            continue
        features = {modality: values[rows] for modality, values in dataset.features.items()}
        shown = {modality: mask[rows] for modality, mask in scenario.present.items()}
        probability = predictor.predict(features, shown).probability
        labels = dataset.labels[rows]
        by_label = per_label_auc(probability, labels)
        scores[scenario.name] = {
            "cases": int(rows.sum()),
            "macro_auc": macro_auc(probability, labels),
            "labels": dict(zip(predictor.plan.labels, by_label, strict=True)),
        }
    return scores


def print_scores(scores: dict[str, Any]) -> None:
    """As a table: a column for each scenario, a row for each label of any of them, AUC x 100."""
    table = Table(title="AUC x 100", caption=SCENARIOS_MEAN)
    table.add_column("label")
    for name, facts in scores.items():
        table.add_column(f"{name}\n{facts['cases']} cases", justify="right")
    for label in dict.fromkeys(chain.from_iterable(facts["labels"] for facts in scores.values())):
        table.add_row(plain_text(label), *(_auc(facts["labels"].get(label)) for facts in scores.values()))
    table.add_section()
    table.add_row("macro", *(_auc(facts["macro_auc"]) for facts in scores.values()))
    PrintedConsole(markup=False).print(table)  # labels are free text


def _auc(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
