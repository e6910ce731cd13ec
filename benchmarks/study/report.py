"""`fedfin study report`: a page, a table in the terminal, or JSON, from a file of results."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.codec.tables import print_table
from benchmarks.rows import Row, read_rows
from benchmarks.study.grid import COMMAND
from benchmarks.study.roles import DEFAULT
from benchmarks.study.scores import Scores
from benchmarks.study.summary import coverage, main_table
from benchmarks.study.verdict import judge
from benchmarks.study.words import (
    AT_ITS_BEST,
    BEHIND,
    SAME_RECIPE,
    auc_text,
    gain_line,
    harm_line,
    is_reported,
    same_recipe_lines,
    verdict_lines,
)
from fedfin.errors import InputError, StateError

PARTS = ("covered", "least", "most")  # of a line of `coverage`


def read_scores(path: Path, default: str = DEFAULT, *, best: bool | None = None) -> Scores:
    """best: rows of each method at its best, or those by the same recipe; None: the first, where there is any.

    Raises InputError for a file that is not of the study, or in which no such run ended well.
    """
    rows = read_rows(path, COMMAND)
    best = has_best(rows) if best is None else best
    scores = Scores([row for row in rows if row.get("best", False) == best], default)
    if not scores.rows:
        raise InputError(f"{path}: no run of it ended well; {len(scores.failed)} failed")
    return scores


def has_best(rows: Sequence[Row]) -> bool:
    """Whether methods were run at their best, which the verdict then goes by."""
    return any(row.get("best") and "views" in row for row in rows)


def read_same_recipe(path: Path, default: str = DEFAULT) -> Scores | None:
    """The rows by the same recipe, where the file holds methods at their best, too. Raises as `read_scores`."""
    rows = read_rows(path, COMMAND)
    has_both = has_best(rows) and any("best" not in row and "views" in row for row in rows)
    return read_scores(path, default, best=False) if has_both else None


def write_page(scores: Scores, out: Path, same_recipe: Scores | None = None) -> None:
    """same_recipe: of methods that are at their best in scores.

    Raises StateError when it cannot be written, ModuleNotFoundError without matplotlib.
    """
    from benchmarks.study.page import page

    try:
        out.write_text(page(scores, same_recipe), encoding="utf-8")
    except OSError as error:
        raise StateError(f"{out}: cannot write it ({error.strerror}); give another --out") from None


def print_markdown(scores: Scores, same_recipe: Scores | None = None) -> None:
    """The main table, a part for each data set, and the verdict; if given, the same recipe's table before it.

    And what the rule says of that, after it.
    """
    if same_recipe is not None:
        print(SAME_RECIPE)
        print_tables(same_recipe)
        print(f"\n{AT_ITS_BEST}")
    print_tables(scores)
    _print_coverage(scores)
    verdict = judge(scores)
    print()
    for line in verdict_lines(verdict):
        print(line)
    for text in [*map(harm_line, verdict.harms), *(gain_line(g) for g in verdict.gains if is_reported(g))]:
        print(f"- {text}")
    if verdict.behind:
        _print_list(BEHIND, map(harm_line, verdict.behind))
    if same_recipe is not None:
        outcome, only, *harms = same_recipe_lines(judge(same_recipe), verdict)
        print(f"\n{outcome}")
        _print_list(only, harms)


def _print_list(title: str, lines: Iterable[str]) -> None:
    """A title, and a line for each."""
    print(f"\n{title}\n")
    for line in lines:
        print(f"- {line}")


def _print_coverage(scores: Scores) -> None:
    """Nothing where no variance is claimed of imputed features."""
    rows = [
        [line["data"], line["setting"], f"{line['claimed']:.2f}", *(f"{line[key]:.0%}" for key in PARTS)]
        for line in coverage(scores)
    ]
    if rows:
        print("\nImputed features: error / claimed variance, and the share within intervals of 90 %\n")
        print_table(["data", "setting", "error / claimed", "in 90 %", *PARTS[1:]], rows)


def print_tables(scores: Scores) -> None:
    """The main table, a part for each data set."""
    for data in scores.data:
        lines = [line for line in main_table(scores) if line["data"] == data]
        methods = [m for m in scores.methods if any(line["methods"][m] for line in lines)]
        print(f"\n{data}\n")
        rows = [
            [f"{line['setting']}, {line['kind']}", *(auc_text(line["methods"][m]) for m in methods)]
            for line in lines
        ]
        print_table(["macro AUC x 100", *methods], rows)
