"""What sites' summed histograms of scores say of the model."""

from collections.abc import Mapping

from fedfin import limits
from fedfin.model.metrics import both_classes, macro_histogram_auc
from fedfin_aggregator.fold.fold import FoldedMeans, Sum


def evaluation(sums: Mapping[str, Sum], shared: Mapping[str, Sum]) -> dict[str, float]:
    """`auc.{scenario}`, the pooled macro AUC, `labels.{scenario}`, over how many, and `cases.{scenario}`, on how many.

    None of fewer cases than limits.LEAST_CASES: they would tell of single ones. `shared`: the same sums, in which no
    site's part is larger than the plan lets it be.
    """
    results: dict[str, float] = {}
    means = FoldedMeans(shared)
    for name, sum_ in sums.items():
        if sum_.weight < limits.LEAST_CASES:
            continue
        scenario, auc = name.removeprefix("eval."), macro_histogram_auc(means[name])
        results[f"cases.{scenario}"] = float(sum_.weight)
        if auc is not None:
            results[f"auc.{scenario}"] = auc
            results[f"labels.{scenario}"] = float(both_classes(means[name]).sum())
    return results
