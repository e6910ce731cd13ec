"""What the demo ends with: two tables for people; run.json holds the same and more."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from fedfin.demo.stages import UP_IN_SUMS

TITLES = {
    "fedfin": "FedFIN",
    "open": "FedFIN without secure sums",
    "zero-fill": "zero-fill",
    "image-only": "image-only training",
}


def print_results(result: Mapping[str, Any], console: Console) -> None:
    """Accuracy on the common hold-out, then what it cost each site."""
    console.print(_accuracy(result))
    console.print(_costs(result))
    if "open" in result["federations"]:
        console.print(_beside_open(result["federations"]))


def _accuracy(result: Mapping[str, Any]) -> Table:
    holdout = result["federations"]["fedfin"]["holdout"]
    cases = holdout["all"]["cases"]
    table = Table(
        title=f"macro AUC x 100 on {cases} held-out complete cases"
        f" of patients that no site saw ({result['cases_kind']} cases)"
    )
    table.add_column("training")
    for title in ("all modalities", "image only", "text only"):
        table.add_column(title, justify="right")
    for name, title in TITLES.items():
        if name not in result["federations"]:
            continue
        scores = result["federations"][name]["holdout"]
        cells = [_auc(scores, scenario) for scenario in ("all", "only-image", "only-text")]
        if name == "image-only":  # it reads nothing but the image, whatever the case has
            cells = [_auc(scores, "only-image"), _auc(scores, "only-image"), "-"]
        table.add_row(title, *cells)
    return table


def _beside_open(federations: Mapping[str, Any]) -> str:
    """What secure sums cost, beside the same federation without them."""
    secure, plain = federations["fedfin"], federations["open"]
    up, down = (
        " against ".join(f"{_mean(one, way) / 1e3:,.0f}" for one in (secure, plain))
        for way in ("bytes_up", "bytes_down")
    )
    return (
        f"secure sums beside none: {len(secure['rounds'])} against {len(plain['rounds'])} rounds, {up} KB up and"
        f" {down} KB down a site, {secure['seconds']:.0f} against {plain['seconds']:.0f} s"
    )


def _mean(federation: Mapping[str, Any], cost: str) -> float:
    sites = federation["sites"].values()
    return float(sum(costs[cost] for costs in sites) / len(sites))


def _auc(scores: Mapping[str, Any], scenario: str) -> str:
    value = scores.get(scenario, {}).get("macro_auc")
    return "-" if value is None else f"{100 * value:.1f}"


def _costs(result: Mapping[str, Any]) -> Table:
    fedfin, settings = result["federations"]["fedfin"], result["settings"]
    table = Table(
        title=f"FedFIN's costs per site: {len(fedfin['rounds'])} rounds in {fedfin['seconds']:.0f} s,"
        f" {settings['up'] if settings['level'] == 'open' else f'{UP_IN_SUMS} masked'} up, {settings['down']} down"
    )
    table.add_column("site")
    for column in (
        "cases",
        "images",
        "reports",
        "KB up",
        "KB down",
        "s encoding",
        "s training",
        "s waiting",
        "MB RSS",
    ):
        table.add_column(column, justify="right")
    for name, costs in sorted(fedfin["sites"].items()):
        site = result["sites"][name]
        table.add_row(
            name,
            str(site["cases"]),
            str(site["images"]),
            str(site["texts"]),
            f"{costs['bytes_up'] / 1e3:,.0f}",
            f"{costs['bytes_down'] / 1e3:,.0f}",
            f"{site['seconds_encoding']:.1f}",
            f"{costs['seconds_training']:.1f}",
            f"{costs['seconds_waiting']:.1f}",
            f"{costs['peak_rss_mb']:.0f}",
        )
    table.caption = (
        "bytes: MQTT topics and payloads, without packet headers, TCP or TLS;"
        " waiting: everything between joining and leaving that is not training"
        + (_not_private(settings["dims"]) if settings["level"] != "open" else "")
    )
    return table


def _not_private(dims: int) -> str:
    """What of the demo's secure sums is not as a plan for patients has it."""
    return (
        f"; secure sums here are of sites without a floor, in up to {dims} columns of each modality: more than hide"
        " so few patients"
    )
