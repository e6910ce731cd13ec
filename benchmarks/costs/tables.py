"""The report's tables, each with the command that makes it; one whose step has not run is left out."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from benchmarks.costs.figures import (
    FLOAT32,
    ONCE,
    PUBLISHED_ROUNDS,
    Results,
    both_ways,
    default_case,
    rivals,
    total,
    until,
    year,
)
from benchmarks.costs.power import power
from benchmarks.costs.prices import Prices
from benchmarks.page.numbers import amount

LAYERS = ("payload", "mqtt", "tls", "tcp")


@dataclass(frozen=True)
class Table:
    """`command` makes the figures; `note`: what they are."""

    key: str
    title: str
    step: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    names: int = 1  # columns that name the row

    @property
    def command(self) -> str:
        """Into a folder of its own."""
        return f"fedfin bench all --only {self.step}"


def tables(results: Results, prices: Prices) -> list[Table]:
    """In the order of the report."""
    makers: Sequence[Callable[[Results], Table]] = (
        _ratios, _alone, _encoders, _round, _wire, _once, _secure, _presets, _until, _rivals, _framing, _phases,
        lambda found: _year(found, prices),
    )  # fmt: skip
    found = []
    for make in makers:
        with suppress(KeyError):
            found.append(make(results))
    return found


def _ms(samples: Sequence[float]) -> str:
    return _short(1e3 * statistics.median(samples))


def _short(value: float) -> str:
    """In three digits, or whole."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _ratios(results: Results) -> Table:
    rows = [
        [
            f"{one['ours']['title']}, beside: {one['theirs']['title']}",
            f"{one['ours']['threads']}",
            amount(one["ours"]["multiply_adds"]),
            amount(one["theirs"]["multiply_adds"]),
            _ms(one["ours"]["samples"]),
            _ms(one["theirs"]["samples"]),
            _short(one["times"]["median"]),
            f"{_short(one['times']['low'])} to {_short(one['times']['high'])}",
        ]
        for one in _values(results["ratios"])
    ]
    head = [
        "first, beside: second",
        "threads",
        "multiply-adds",
        "of the second",
        "ms",
        "of the second",
        "times longer",
        "95 %",
    ]
    note = "By turns in one process, so that what disturbs one disturbs both; medians, with 95 % intervals."
    return Table("ratios", "Ratios, measured by turns", "ratios", head, rows, note)


def _values(step: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The parts of a step's result that are measurements."""
    return (one for one in step.values() if isinstance(one, dict) and "versions" not in one)


def _alone(results: Results) -> Table:
    rows = [
        [
            one["title"],
            f"{one['cases']}",
            amount(one["multiply_adds"]) if one["multiply_adds"] else "0",
            f"{one['int8'] / one['multiply_adds']:.0%}" if one["multiply_adds"] else "-",
            amount(one["parameters"]) if one["parameters"] else "0",
            _ms(one["samples"]),
            f"{one['peak_mb'] - one['before_mb']:,.0f}",
        ]
        for one in _values(results["alone"])
    ]
    head = ["what", "cases", "multiply-adds", "in int8", "parameters", "ms", "MB above the start"]
    note = (
        "Each in a process of its own, one thread; peak memory above that before torch or onnxruntime is loaded."
        " What numpy multiplies, in a site's two moments, is not counted."
    )
    return Table("alone", "Multiply-adds, time and memory", "alone", head, rows, note)


def _encoders(results: Results) -> Table:
    rows = []
    for modality, one in results["materials"]["encoders"].items():
        pair = results["ratios"][f"{modality} int8/1"]
        cosine = one["parity"]["cosine"]
        rows.append([
            modality, f"{one['float'] / 1e6:.1f}", f"{one['int8'] / 1e6:.1f}", f"{one['int8'] / one['float']:.0%}",
            _ms(pair["theirs"]["samples"]), _ms(pair["ours"]["samples"]), f"{pair['times']['median']:.2f}",
            f"{cosine['mean']:.4f}", f"{cosine['worst']:.4f}", f"{cosine['centred_mean']:.4f}",
        ])  # fmt: skip
    head = [
        "encoder",
        "MB float",
        "MB int8",
        "share",
        "ms float",
        "ms int8",
        "times faster",
        "cosine, mean",
        "worst",
        "centred",
    ]
    slow = [row[0] for row in rows if float(row[6]) < 1]
    note = (
        f"int8 is slower here for {', '.join(slow)}: this processor has no int8 dot product that onnxruntime uses."
        " A float bundle would be quicker here, at four times the size; every site must hold the same one."
        if slow
        else "int8 is no slower than float here, so int8 is recommended."
    )
    return Table("encoders", "Encoders, int8 beside float", "materials --only ratios", head, rows, note)


def _round(results: Results) -> Table:
    rows = []
    for name in ("task-train", "train-encoders"):
        one = results["alone"][name]
        each = statistics.median(one["samples"]) / one["cases"]
        rows.append([
            one["title"], amount(one["multiply_adds"] / one["cases"]), _short(1e3 * each),
            f"{one['peak_mb'] - one['before_mb']:,.0f}", amount(FLOAT32 * one["parameters"], "B"),
        ])  # fmt: skip
    head = ["a round of training", "multiply-adds a case", "ms a case", "MB", "its values as float32"]
    note = "One epoch. A site of ours trains on kept features; the paper's trains ResNet-50 and BERT-base through."
    return Table(
        "round", "A round on kept features, beside one that trains encoders", "alone", head, rows, note
    )


def _wire(results: Results) -> Table:
    rows = []
    for case, one in results["wire"].items():
        if "/" not in case:
            continue
        for label, task in one["tasks"].items():
            rows.append([case, label, *_layers(task["mean"]), f"{total(task['largest']['up']):,.0f}"])
    head = [
        "level / columns",
        "task",
        *(f"{layer} up" for layer in LAYERS),
        *(f"{layer} down" for layer in LAYERS),
        "most up",
    ]
    note = (
        "Bytes of a site in the mean, ten sites, counted on the wire over TLS;"
        " last, all layers of the site that sends most."
    )
    return Table("wire", "Bytes by task, level of privacy and columns", "wire", head, rows, note, names=2)


def _layers(both: Mapping[str, Mapping[str, float]]) -> list[str]:
    return [f"{both[way][layer]:,.0f}" for way in ("up", "down") for layer in LAYERS]


def _once(results: Results) -> Table:
    """One exchange without training: what closed forms alone take."""
    rows = []
    for case, one in results["wire"].items():
        if "/" in case:
            sizes = [both_ways(one["tasks"][task]) if task in one["tasks"] else 0.0 for task in ONCE]
            rows.append([case, *(f"{size:,.0f}" for size in (*sizes, sum(sizes)))])
    head = ["level / columns", *(task.replace("_", " ") for task in ONCE), "all"]
    note = (
        "Bytes of a site, both ways, every layer: joining, and one exchange. With noise there are no moments."
    )
    return Table("once", "The closed forms alone", "wire", head, rows, note)


def _secure(results: Results) -> Table:
    """What secure sums cost: beside the open run of as many columns."""
    rows = []
    wire = results["wire"]
    for case in [name for name in wire if name.startswith("secure/")]:
        other = wire.get(f"open/{case.partition('/')[2]}")
        if other is None:
            continue
        for label, task in wire[case]["tasks"].items():
            beside = other["tasks"].get(label)
            if beside is not None:
                rows.append([
                    case.partition("/")[2], label, f"{both_ways(beside):,.0f}", f"{both_ways(task):,.0f}",
                    f"{both_ways(task) / both_ways(beside):.2f}",
                ])  # fmt: skip
    if not rows:
        raise KeyError("secure")
    head = ["columns", "task", "open", "secure", "times"]
    note = "Bytes of a site, both ways, every layer; training exact in both."
    return Table("secure", "What secure sums cost", "wire", head, rows, note, names=2)


def _presets(results: Results) -> Table:
    tasks = results["presets"]["tasks"]
    rows = [
        [label.removeprefix("train "), *_layers(task["mean"]), f"{both_ways(task):,.0f}"]
        for label, task in tasks.items()
        if label.startswith("train ")
    ]
    head = ["preset", *(f"{layer} up" for layer in LAYERS), *(f"{layer} down" for layer in LAYERS), "all"]
    note = "One round of training of a site in the mean, at the level open, in 64 columns: headers count."
    return Table("presets", "Bytes of a round by codec preset", "presets", head, rows, note)


def _until(results: Results) -> Table:
    rounds = results["learning"]["rounds"]
    rows = []
    for way, size in until(results).items():
        preset = way.rpartition(", ")[2]
        needed = "0" if way.endswith("alone") else str(rounds.get(preset) or "-")
        rows.append([way, needed, "not reached" if size is None else f"{size:,.0f}"])
    head = ["FedFIN", "rounds of training", "bytes of a site"]
    note = (
        "Both ways, every layer, joining included: bytes of the tasks as counted on the wire in the demo's columns,"
        " times the rounds that UCI mfeat takes."
    )
    return Table(
        "until", "Bytes until 99 % of the final AUC", "learning --only wire --only presets", head, rows, note
    )


def _rivals(results: Results) -> Table:
    ways = {
        name: size for name, size in until(results).items() if size is not None and name.startswith("secure")
    }
    least, rounds = min(ways.values()), results["learning"]["rounds"]["exact"]
    rows = []
    for name, (values, published) in rivals(results).items():
        a_round = 2 * FLOAT32 * values
        rows.append([
            name, f"{values:,}", amount(a_round, "B"), amount(a_round * rounds, "B"), f"{a_round / least:,.0f}",
            f"{a_round * rounds / least:,.0f}", f"{a_round * published / least:,.0f}",
        ])  # fmt: skip
    head = [
        "federation", "values sent", "a round", f"in {rounds} rounds", "times ours, one round", f"in {rounds} rounds",
        f"in {PUBLISHED_ROUNDS}",
    ]  # fmt: skip
    note = (
        f"float32 values both ways, without a byte of framing. Ours: {least:,.0f} bytes, all layers, under secure sums,"
        f" the cheapest way of the table above. {rounds} rounds is what our own training takes uncompressed;"
        f" in the last column rivals take the published {PUBLISHED_ROUNDS}."
    )
    return Table("rivals", "Beside other federations", "sizes --only learning --only wire", head, rows, note)


def _framing(results: Results) -> Table:
    lines, float32 = results["sizes"]["framing"], results["sizes"]["framing"][0]["bytes"]
    rows = [[one["name"], f"{one['bytes']:,}", f"{float32 / one['bytes']:.2f}", one["how"]] for one in lines]
    update = results["sizes"]["update"]
    note = f"One update of FIN mlp over 1280 + 384 features: {update['values']:,} values, {update['tensors']} tensors."
    head = ["who sends it", "bytes", "times smaller", "how"]
    return Table("framing", "The same tensors, framed by others", "sizes", head, rows, note)


def _phases(results: Results) -> Table:
    alone = results["alone"]
    cases = alone["task-train"]["cases"]
    rows = []
    for name, title, times in (
        ("encode-image", "encode its images", cases), ("encode-text", "encode its reports", cases),
        ("task-moments", "moments", 1), ("task-second_moments", "second moments", 1), ("task-train", "train", 20),
        ("task-calibrate", "calibrate", 1), ("task-evaluate", "evaluate", 1),
    ):  # fmt: skip
        if name in alone:
            rows.append([title, f"{times}", f"{times * statistics.median(alone[name]['samples']):.3g}"])
    waiting = [one["seconds_waiting"] for one in _of_default(results)["costs"].values()]
    rows.append(
        ["idle: joining and waiting, ten sites on one machine", "-", f"{statistics.fmean(waiting):.3g}"]
    )
    note = (
        f"Of a site of {cases} cases. Idle is that of the federation on the wire, of one round of training."
    )
    return Table("phases", "A study, by phase", "alone --only wire", ["phase", "times", "s"], rows, note)


def _of_default(results: Results) -> Mapping[str, Any]:
    found: Mapping[str, Any] = results["wire"][default_case()]
    return found


def _year(results: Results, prices: Prices) -> Table:
    here = power(prices.energy.watts_a_core)
    rows = [
        [
            name, amount(one["core_hours"]), here.how, amount(one["gb"] * 1e9, "B"), amount(one["kwh_compute"]),
            here.how, f"{one['kwh_line']:.3g}", "estimated", f"{one['money']:,.2f}",
        ]
        for name, one in year(results, prices, here.watts).items()
    ]  # fmt: skip
    use = prices.use
    head = [
        "a year",
        "core hours",
        "energy is",
        "bytes",
        "kWh of computing",
        "how",
        "kWh of the line",
        "how",
        prices.currency,
    ]
    note = (
        f"{use.sites} sites, {use.cases_a_site:,.0f} cases each, {use.studies_a_year:g} studies. Power: {here.method}."
        " Core hours of rivals are as if they ran on these cores; who has GPUs spends less. Bytes are no watts:"
        " what matters of them is the line, its price and its time."
    )
    return Table("year", "Energy and money of a year", "alone --only wire --only sizes", head, rows, note)
