"""A site's encoded cases as arrays: what training and evaluation see."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Dataset:
    """n cases. A row of `features[m]` is zero where `present[m]` is False.

    features: modality -> float32 [n, dim]; present: modality -> bool [n];
    labels: float32 [n, labels], 1, 0 or NaN (unknown); held_out: bool [n], never trained on.
    """

    features: dict[str, NDArray[np.float32]]
    present: dict[str, NDArray[np.bool_]]
    labels: NDArray[np.float32]
    held_out: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.labels)
