"""The benchmark's results as Markdown tables, which terminals show and documents take."""

from collections.abc import Sequence
from typing import Any


def print_study(lines: Sequence[dict[str, Any]]) -> None:
    """Lines as `summary.Line`: one table per data set and participation."""
    for data, part in dict.fromkeys((line["data"], line["taking_part"]) for line in lines):
        chosen = [line for line in lines if (line["data"], line["taking_part"]) == (data, part)]
        print(f"\n{data}, {part} of 8 sites each round, {max(line['seeds'] for line in chosen)} seeds\n")
        print_table(
            ["", "AUC", "to exact", "worst", "complete", "alone", "up, bytes", "ratio", "down, bytes", "ratio",
             "bytes to 99 %", "ratio"],
            [_study_row(line) for line in chosen],
        )  # fmt: skip


def _study_row(line: dict[str, Any]) -> list[str]:
    return [
        line["preset"],
        f"{line['auc']:.2f} ± {line['spread']:.2f}",
        _number(line["difference"], "+.2f"),
        _number(line["worst"], "+.2f"),
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
