"""The benchmark's results as Markdown tables, which terminals show and documents take."""

from collections.abc import Sequence
from typing import Any

LEAST_SHARE = 0.03  # of a part's time, for a function to have a line
STUDY_HEAD = (
    "preset",
    "seeds",
    "AUC",
    "to exact",
    "worst seed",
    "last model",
    "complete",
    "alone",
    "up, bytes",
    "ratio",
    "down, bytes",
    "ratio",
    "bytes to 99 %",
    "ratio",
)


def print_study(lines: Sequence[dict[str, Any]]) -> None:
    """Lines as `summary.Line`: one table per data set and participation."""
    for data, part in dict.fromkeys((line["data"], line["taking_part"]) for line in lines):
        chosen = [line for line in lines if (line["data"], line["taking_part"]) == (data, part)]
        print(f"\n{data}, {part} of 8 sites each round\n")
        print_table(STUDY_HEAD, [_study_row(line) for line in chosen])


def _study_row(line: dict[str, Any]) -> list[str]:
    return [
        line["preset"],
        str(line["seeds"]),
        f"{line['auc']:.2f} ± {line['spread']:.2f}",
        _number(line["difference"], "+.2f"),
        _number(line["worst"], "+.2f"),
        _number(line["last"], "+.2f"),
        f"{line['complete']:.2f}",
        f"{line['alone']:.2f}",
        f"{line['up']:,.0f}",
        f"{line['up_ratio']:.0f}",
        f"{line['down']:,.0f}",
        f"{line['down_ratio']:.0f}",
        _number(line["paid"], ",.0f"),
        _number(line["paid_ratio"], ".0f"),
    ]


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A Markdown table: the first column to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    rules = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    for cells in (head, rules, *rows):
        padded = [
            cells[0].ljust(widths[0]),
            *(c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True)),
        ]
        print(f"| {' | '.join(padded)} |")


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def print_speed(figures: dict[str, Any]) -> None:
    """Figures as `measure.measure` gives them."""
    print(f"{figures['deltas']}: {figures['tensors']} tensors, {figures['float32']:,} bytes as float32")
    print(f"{figures['machine']}; MB/s of float32 on one core, CPU time, the best of several runs")
    print(
        "entropy: order 0, each tensor's own frequencies (for floats: each of their bytes'), known for free\n"
    )
    head = ["preset", "bytes", "ratio", "over entropy", "encode MB/s", "decode MB/s"]
    print_table(
        [*head, "peak memory to encode", "to decode"],
        [
            [*_speed_row(line, "preset"), f"{line['encode_peak']:.1f} x", f"{line['decode_peak']:.1f} x"]
            for line in figures["presets"]
        ],
    )
    for preset in dict.fromkeys(line["preset"] for line in figures["coders"]):
        print(f"\nother coders on the symbols of {preset}\n")
        chosen = [line for line in figures["coders"] if line["preset"] == preset]
        print_table(["coder", *head[1:]], [_speed_row(line, "coder") for line in chosen])
    _print_stages(figures["stages"])
    for library in figures["not_installed"]:
        print(f"\n{library} is not installed, so it is not in the tables")


def _speed_row(line: dict[str, Any], name: str) -> list[str]:
    speeds = [f"{line[key]:,.0f}" for key in ("encode_mb_s", "decode_mb_s")]
    return [line[name], f"{line['bytes']:,}", f"{line['ratio']:.1f}", f"{line['over_entropy']:+.1%}", *speeds]


def _print_stages(stages: dict[str, Any]) -> None:
    print(f"\nCPU milliseconds of {stages['preset']}, by the codec's functions\n")
    rows: list[list[str]] = []
    for part, spent in stages.items():
        if part != "preset":
            whole = sum(spent.values())
            rows.append([part, f"{whole:.2f}"])
            rows += [[f"- {name}", f"{ms:.2f}"] for name, ms in _most(spent) if ms >= LEAST_SHARE * whole]
    print_table(["part", "ms"], rows)


def _most(spent: dict[str, float]) -> list[tuple[str, float]]:
    """The dearest first."""
    return sorted(((name, ms) for name, ms in spent.items() if name), key=lambda item: -item[1])
