"""From the steps' results to the figures that claims, budgets and documents quote; what lacks its step is absent."""

import statistics
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from benchmarks.costs.prices import Prices
from benchmarks.costs.steps import STEPS
from benchmarks.costs.wire.federation import demo_settings
from fedfin.codec import PRESETS

Results = Mapping[str, Mapping[str, Any]]
FLOAT32 = 4
PUBLISHED_ROUNDS = 30  # of the paper's experiments, as CAR-MFL's code has it
DEFAULT = "secure"
ONCE = ("joining", "moments", "second_moments")  # tasks before any training
ENDS = ("calibrate",)
SMALL = ("small", "tiny", "minimal")  # presets that README's figures are of
PROMISED_S = (900.0, 120.0)  # of all steps on two cores, in full and quick


def figures(results: Results) -> dict[str, float]:
    """All of them by name. Bytes are of one site, both ways, every layer; times are of one thread."""
    makers = (
        _compute, _encoders, _second_moments, _until, _papers_count, _rounds_of_encoders,
        _codec, _codec_loss, _install, _duration,
    )  # fmt: skip
    found: dict[str, float] = {}
    for make in makers:
        with suppress(KeyError):  # the step has not run
            found |= make(results)
    return found


def _compute(results: Results) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, pair in (("imputation", "imputation/1"), ("end_to_end", "end to end/1")):
        measured = results["ratios"][pair]
        ours, theirs = measured["ours"], measured["theirs"]
        found |= {
            f"{name}_multiply_adds": ours["multiply_adds"],
            f"{name}_r2gen_multiply_adds": theirs["multiply_adds"],
            f"{name}_multiply_adds_ratio": theirs["multiply_adds"] / ours["multiply_adds"],
            f"{name}_ms": 1e3 * statistics.median(ours["samples"]),
            f"{name}_r2gen_ms": 1e3 * statistics.median(theirs["samples"]),
            f"{name}_time_ratio": measured["times"]["median"],
        }
    return found


def _encoders(results: Results) -> dict[str, float]:
    encoders, ratios = results["materials"]["encoders"], results["ratios"]
    found = {
        "int8_size_share": max(one["int8"] / one["float"] for one in encoders.values()),
        "int8_cosine": min(one["parity"]["cosine"]["mean"] for one in encoders.values()),
        "int8_speed": min(ratios[f"{m} int8/1"]["times"]["median"] for m in encoders),
    }
    for modality in encoders:
        found[f"int8_{modality}_speed"] = ratios[f"{modality} int8/1"]["times"]["median"]
    return found


def _second_moments(results: Results) -> dict[str, float]:
    """Of the site that sends most, at the demo's level and columns."""
    case = results["wire"][default_case()]
    return {"second_moments_mb": total(case["tasks"]["second_moments"]["largest"]["up"]) / 1e6}


def default_case() -> str:
    """Of the wire's: the demo's level and columns."""
    return f"{DEFAULT}/{demo_settings().dims}"


def total(layers: Mapping[str, float]) -> float:
    """Bytes of all layers."""
    return sum(layers[name] for name in ("payload", "mqtt", "tls", "tcp"))


def both_ways(task: Mapping[str, Any]) -> float:
    """Of a site in the mean."""
    return total(task["mean"]["up"]) + total(task["mean"]["down"])


def until(results: Results) -> dict[str, float | None]:
    """Bytes of a site, both ways, until 99 % of the final AUC, by way of training; None: it does not get there."""
    columns, learning = demo_settings().dims, results["learning"]
    found: dict[str, float | None] = {}
    for level in ("open", DEFAULT, "private"):
        case = results["wire"].get(f"{level}/{columns}")
        if case is None:
            continue
        once = sum(both_ways(case["tasks"][task]) for task in ONCE if task in case["tasks"])
        reach = learning["closed_forms_reach"] and level != "private"
        if level != "private":
            found[f"{level}, closed forms alone"] = once if reach else None
            exact = once + sum(both_ways(case["tasks"][task]) for task in ENDS)
            train = next(task for name, task in case["tasks"].items() if name.startswith("train"))
            found[f"{level}, training, exact"] = exact + learning["rounds"]["exact"] * both_ways(train)
    if "presets" in results:
        found |= _until_by_preset(results)
    return found


def _until_by_preset(results: Results) -> dict[str, float | None]:
    tasks, rounds = results["presets"]["tasks"], results["learning"]["rounds"]
    once = sum(both_ways(tasks[task]) for task in (*ONCE, *ENDS))
    return {
        f"open, training, {preset}": once + rounds[preset] * both_ways(tasks[f"train {preset}"])
        if rounds[preset]
        else None
        for preset in PRESETS
        if preset in rounds and preset != "exact"
    }


def rivals(results: Results) -> dict[str, tuple[int, int]]:
    """Values that a rival's federation sends each way in a round, and how many rounds it publishes."""
    sizes = results["sizes"]
    return {
        "R2Gen, trained and sent, 60 words": (sizes["r2gen-60"], PUBLISHED_ROUNDS),
        "R2Gen, trained and sent, 100 words": (sizes["r2gen-100"], PUBLISHED_ROUNDS),
        "the paper: encoders and FIN": (sizes["paper"], PUBLISHED_ROUNDS),
        "the encoders alone": (sizes["paper-encoders"], PUBLISHED_ROUNDS),
        "the paper's FIN alone": (sizes["paper-fin"], PUBLISHED_ROUNDS),
        "our FIN mlp, float32, 1280 + 384": (sizes["fins"]["mlp"], PUBLISHED_ROUNDS),
    }


def _until(results: Results) -> dict[str, float]:
    """Each side at its best: ours by the cheapest way at the default level; rivals in as many rounds as ours took."""
    ways = {
        name: value
        for name, value in until(results).items()
        if value is not None and name.startswith(DEFAULT)
    }
    least = min(ways.values())
    rounds = results["learning"]["rounds"]["exact"]
    sizes = results["sizes"]
    generative, paper = (2 * FLOAT32 * rounds * sizes[key] for key in ("r2gen-60", "paper"))
    return {
        "until_bytes": least,
        "until_bytes_mb": least / 1e6,
        "until_rounds": rounds,
        "until_r2gen_ratio": generative / least,
        "until_paper_ratio": paper / least,
        "until_r2gen_published_ratio": generative / rounds * PUBLISHED_ROUNDS / least,
        "until_paper_published_ratio": paper / rounds * PUBLISHED_ROUNDS / least,
    }


def _codec(results: Results) -> dict[str, float]:
    """How many times smaller than float32 one update of our FIN `mlp` is, by the first and last of README's presets."""
    sizes = results["sizes"]
    framed = {line["name"]: line["bytes"] for line in sizes["framing"]}
    values = FLOAT32 * sizes["update"]["values"]
    return {
        f"{preset}_times_smaller": values / framed[f"FedFIN, {preset}"] for preset in (SMALL[0], SMALL[-1])
    }


def _codec_loss(results: Results) -> dict[str, float]:
    """AUC x 100 of the finished model below that of `exact` and the same seed: in the mean, and of the worst seed."""
    finals = {
        (course["preset"], course["seed"]): course["final"] for course in results["learning"]["courses"]
    }
    exact = {seed: final for (preset, seed), final in finals.items() if preset == "exact"}
    lost = {preset: [final - finals[preset, seed] for seed, final in exact.items()] for preset in SMALL}
    return {
        "small_loss": statistics.fmean(lost["small"]),
        "small_loss_of_a_seed": max(lost["small"]),
        "smallest_loss_of_a_seed": max(map(max, lost.values())),
    }


def _install(results: Results) -> dict[str, float]:
    """MB of what `pip install fedfin` brings."""
    return {"install_mb": sum(results["install"]["packages"].values())}


def _duration(results: Results) -> dict[str, float]:
    """All steps' time as a share of what is promised; nothing where steps are lacking, or are of both kinds."""
    quick = results["sizes"]["quick"]
    names = [step.name for step in STEPS if step.seconds[quick]]
    if any(results[name]["quick"] != quick for name in names):
        return {}
    return {"bench_time_share": sum(results[name]["seconds"] for name in names) / PROMISED_S[quick]}


def _papers_count(results: Results) -> dict[str, float]:
    """Values of the imputer that a site is sent: the generator's beside the FIN's."""
    sizes = results["sizes"]
    return {"papers_count_ratio": sizes["r2gen-60"] / sizes["paper-fin"]}


def _rounds_of_encoders(results: Results) -> dict[str, float]:
    """A case in one epoch: encoders that train beside kept features."""
    alone = results["alone"]
    ours, theirs = (
        statistics.median(alone[name]["samples"]) / alone[name]["cases"]
        for name in ("task-train", "train-encoders")
    )
    adds = [alone[name]["multiply_adds"] / alone[name]["cases"] for name in ("task-train", "train-encoders")]
    return {"round_time_ratio": theirs / ours, "round_multiply_adds_ratio": adds[1] / adds[0]}


def year(results: Results, prices: Prices, watts: float) -> dict[str, dict[str, float]]:
    """Of all sites: core hours, bytes, kWh and money, for ours, and for rivals as if on these cores."""
    alone, use = results["alone"], prices.use
    cases = use.sites * use.cases_a_site
    encode, predict, writes, paper = (
        _seconds(alone, name) for name in ("encode-image", "predict-image", "r2gen-60", "train-encoders")
    )
    case = results["wire"][default_case()]["tasks"]
    train = next(task for name, task in case.items() if name.startswith("train"))
    ours = sum(both_ways(case[task]) for task in (*ONCE, *ENDS, "evaluate"))
    ours += demo_settings().rounds * both_ways(train)
    tasks = demo_settings().rounds * _seconds(alone, "task-train") + 2 * _seconds(
        alone, "task-second_moments"
    )
    epochs = 3 * PUBLISHED_ROUNDS
    sizes, rounds = results["sizes"], PUBLISHED_ROUNDS
    studies = use.studies_a_year
    spent = {
        "FedFIN": (cases * (encode + predict + studies * tasks), studies * use.sites * ours),
        "R2Gen's federation, without its training": (
            cases * writes,
            studies * use.sites * 2 * FLOAT32 * rounds * sizes["r2gen-60"],
        ),
        "the paper's federation": (
            cases * studies * epochs * paper,
            studies * use.sites * 2 * FLOAT32 * rounds * sizes["paper"],
        ),
    }
    return {name: _money(seconds, size, prices, watts) for name, (seconds, size) in spent.items()}


def _seconds(alone: Mapping[str, Any], name: str) -> float:
    """Of one case."""
    return float(statistics.median(alone[name]["samples"]) / alone[name]["cases"])


def _money(seconds: float, size: float, prices: Prices, watts: float) -> dict[str, float]:
    hours, gigabytes = seconds / 3600, size / 1e9
    compute, line = hours * watts / 1e3, gigabytes * prices.energy.kwh_a_gb
    return {
        "core_hours": hours,
        "gb": gigabytes,
        "kwh_compute": compute,
        "kwh_line": line,
        "money": hours * prices.use.core_hour
        + gigabytes * prices.line.a_gb
        + (compute + line) * prices.energy.a_kwh,
    }
