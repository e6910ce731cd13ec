"""Exact AUC of an exported model on encoded cases, by what it is shown of them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from fedfin.model.metrics import macro_auc, per_label_auc
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.predict.predictor import Predictor

Present = dict[str, NDArray[np.bool_]]


def score(predictor: Predictor, dataset: Dataset, *, every_case: bool) -> dict[str, Any]:
    """For each scenario of `fedfin.model.model_spec.scenarios`: number of cases, macro AUC and AUC by label.

    The scenarios `all` and `only-...` share the complete cases, so that they differ in what is shown alone.
    """
    chosen = np.ones(len(dataset), np.bool_) if every_case else dataset.held_out
    scores: dict[str, Any] = {}
    for name, rows, present in _scenarios(dataset, chosen):
        if not rows.any():
            scores[name] = {"cases": 0, "macro_auc": None, "labels": {}}
            continue
        features = {modality: values[rows] for modality, values in dataset.features.items()}
        shown = {modality: mask[rows] for modality, mask in present.items()}
        probability = predictor.predict(features, shown).probability
        labels = dataset.labels[rows]
        by_label = per_label_auc(probability, labels)
        scores[name] = {
            "cases": int(rows.sum()),
            "macro_auc": macro_auc(probability, labels),
            "labels": dict(zip(predictor.plan.labels, by_label, strict=True)),
        }
    return scores


def _scenarios(
    dataset: Dataset, chosen: NDArray[np.bool_]
) -> Iterator[tuple[str, NDArray[np.bool_], Present]]:
    present = dataset.present
    complete = chosen & np.logical_and.reduce(list(present.values()))
    yield "all", complete, present
    for shown in present:
        nothing = np.zeros(len(dataset), np.bool_)
        yield (
            f"only-{shown}",
            complete,
            {name: mask if name == shown else nothing for name, mask in present.items()},
        )
    yield "as-is", chosen & np.logical_or.reduce(list(present.values())), present


def print_scores(scores: dict[str, Any]) -> None:
    """As a table: a column for each scenario, a row for each label, AUC x 100."""
    table = Table(title="AUC x 100")
    table.add_column("label")
    for name, facts in scores.items():
        table.add_column(f"{name}\n{facts['cases']} cases", justify="right")
    labels = next(iter(scores.values()))["labels"]
    for label in labels:
        table.add_row(label, *(_auc(facts["labels"].get(label)) for facts in scores.values()))
    table.add_section()
    table.add_row("macro", *(_auc(facts["macro_auc"]) for facts in scores.values()))
    Console().print(table)


def _auc(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
