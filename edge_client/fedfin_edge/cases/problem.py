"""What is wrong with one row, input or label of a case table, and what was done about it."""

from dataclasses import dataclass
from typing import Literal

Effect = Literal["row skipped", "input left out", "label unknown", "noted"]


@dataclass(frozen=True)
class Problem:
    """One finding. It names the place and the reason, never what the cell holds.

    row: as a spreadsheet shows it (the header is row 1), or the line number in JSON lines;
    column: "" when the whole row is meant.
    """

    row: int
    column: str
    reason: str
    effect: Effect
