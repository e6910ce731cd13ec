"""From the study's rows to its table: AUC and its difference to `exact`, bytes, ratios, what a site pays.

Differences are paired: a preset's run and the `exact` run of the same data, seed and participation.
"""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from benchmarks.rows import Row

REACHED = 0.99  # of the final AUC of `exact`
# Rounds whose models' mean AUC counts as final: from one round to the next it moves by half a point.
LAST = 5


@dataclass(frozen=True)
class Line:
    """One data set, participation and preset, over its seeds.

    auc, spread: mean and sample deviation of the final macro AUC x 100 (see LAST), cases as their sites hold them.
    complete, alone: of the last model, as of `score.Scorer`.
    difference, worst: mean and lowest paired difference of `auc` to `exact`; last: the mean of the last model alone.
    up, down: mean bytes per site and round; up_ratio, down_ratio: float32 to them.
    paid: bytes both ways per site until REACHED, None if a seed never got there; paid_ratio: what `exact` pays to that.
    What compares with `exact` is None without its runs.
    """

    data: str
    taking_part: int
    preset: str
    seeds: int
    auc: float
    spread: float
    complete: float
    alone: float
    difference: float | None
    worst: float | None
    last: float | None
    up: float
    down: float
    up_ratio: float
    down_ratio: float
    paid: float | None
    paid_ratio: float | None


def summarise(rows: Sequence[Row]) -> list[Line]:
    """One line for each combination: by data set, participation (all sites first) and preset (largest first)."""
    exact = {_pair(row): row for row in rows if row["up"] == row["down"] == "exact"}
    grouped: dict[tuple[str, int, str], list[Row]] = {}
    for row in rows:
        grouped.setdefault((row["data"], row["taking_part"], _preset(row)), []).append(row)
    lines = [_line(key, group, exact) for key, group in grouped.items()]
    return sorted(lines, key=lambda line: (line.data, -line.taking_part, -line.up, -line.down))


def _line(key: tuple[str, int, str], rows: list[Row], exact: dict[tuple[object, ...], Row]) -> Line:
    finals = [final_auc(row) for row in rows]
    pairs = [(row, exact[_pair(row)]) for row in rows if _pair(row) in exact]
    whole = len(pairs) == len(rows)
    differences = [final_auc(row) - final_auc(base) for row, base in pairs]
    last = [row["auc"][-1] - base["auc"][-1] for row, base in pairs]
    paid = _mean_or_none(paid_bytes(row, REACHED * final_auc(base)) for row, base in pairs) if whole else None
    base_paid = (
        _mean_or_none(paid_bytes(base, REACHED * final_auc(base)) for _, base in pairs) if whole else None
    )
    return Line(
        *key,
        seeds=len(rows),
        auc=statistics.fmean(finals),
        spread=statistics.stdev(finals) if len(finals) > 1 else 0.0,
        complete=statistics.fmean(row["complete"] for row in rows),
        alone=statistics.fmean(row["alone"] for row in rows),
        difference=statistics.fmean(differences) if whole else None,
        worst=min(differences) if whole else None,
        last=statistics.fmean(last) if whole else None,
        up=_per_round(rows, "up_bytes"),
        down=_per_round(rows, "down_bytes"),
        up_ratio=_per_round(rows, "up_float32") / _per_round(rows, "up_bytes"),
        down_ratio=_per_round(rows, "down_float32") / _per_round(rows, "down_bytes"),
        paid=paid,
        paid_ratio=base_paid / paid if paid and base_paid else None,
    )


def final_auc(row: Row) -> float:
    """The mean of the last rounds'."""
    return statistics.fmean(row["auc"][-LAST:])


def paid_bytes(row: Row, auc: float) -> float | None:
    """Bytes both ways of one site until the model first has `auc`; None if it never has.

    A site fetches every change of the model and sends in the rounds that ask it: in the mean, its share of them.
    """
    share = row["taking_part"] / row["sites"]
    costs = accumulate(share * up + down for up, down in zip(row["up_bytes"], row["down_bytes"], strict=True))
    return next((cost for reached, cost in zip(row["auc"], costs, strict=True) if reached >= auc), None)


def _pair(row: Row) -> tuple[object, ...]:
    return tuple(row[key] for key in ("data", "taking_part", "seed", "rounds"))


def _preset(row: Row) -> str:
    return str(row["up"]) if row["up"] == row["down"] else f"{row['up']} up, {row['down']} down"


def _per_round(rows: Sequence[Row], key: str) -> float:
    return statistics.fmean(value for row in rows for value in row[key])


def _mean_or_none(values: Iterable[float | None]) -> float | None:
    known = list(values)
    return statistics.fmean(v for v in known if v is not None) if known and None not in known else None
