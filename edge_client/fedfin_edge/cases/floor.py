"""The floor: what too few patients tell together does not leave a site by itself. It counts people, not cases."""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
FloatType = TypeVar("FloatType", np.float32, np.float64)


@dataclass(frozen=True)
class Floor:
    """least: patients. patient: int64 [n], whose case each is."""

    least: int
    patient: NDArray[np.int64]

    def patients(self, cases: Mask) -> int:
        """How many are behind these cases, bool [n]."""
        return len(np.unique(self.patient[cases]))

    def allows(self, cases: Mask) -> bool:
        """Whether there is any case, and enough patients are behind them."""
        return bool(cases.any()) and self.patients(cases) >= self.least

    def of(self, cases: Mask) -> "Floor":
        """The same among these cases."""
        return Floor(self.least, self.patient[cases])

    def withheld(self, labels: NDArray[np.floating[Any]]) -> Mask:
        """Of [n, labels] those of whose two answers one is that of some patients, but too few, bool [labels]."""
        answers = ((column == 0, column == 1) for column in labels.T)
        return np.array([any(c.any() and not self.allows(c) for c in pair) for pair in answers], np.bool_)

    def below(self, labels: NDArray[np.floating[Any]]) -> Mask:
        """Of [n, labels] those that are withheld, or unknown of some patients, but too few, bool [labels]."""
        few = [bool(unknown.any()) and not self.allows(unknown) for unknown in np.isnan(labels).T]
        return np.asarray(self.withheld(labels) | np.array(few, np.bool_))

    def unfamiliar(self, labels: NDArray[np.floating[Any]]) -> Mask:
        """Of [n, labels] those that too few patients have any value of, or none, bool [labels]."""
        return np.array([not self.allows(~np.isnan(column)) for column in labels.T])

    def without_unfamiliar(self, labels: NDArray[FloatType]) -> NDArray[FloatType]:
        """The same labels, [n, labels], with those as if they were not known: NaN."""
        kept = labels.copy()
        kept[:, self.unfamiliar(labels)] = np.nan
        return kept

    def without_withheld(self, labels: NDArray[FloatType]) -> NDArray[FloatType]:
        """The same labels, [n, labels], with those that are withheld as if they were not known: NaN."""
        kept = labels.copy()
        kept[:, self.withheld(labels)] = np.nan
        return kept
