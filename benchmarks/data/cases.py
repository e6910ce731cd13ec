"""A public data set as arrays, before it is dealt out to sites."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Cases:
    """n cases in every modality that they have.

    features: modality -> float32 [n, dim], any value where absent; present: modality -> bool [n];
    labels: float32 [n, labels], 1 or 0; groups: int64 [n], cases of one group stay on one side of every split.
    """

    features: dict[str, NDArray[np.float32]]
    present: dict[str, NDArray[np.bool_]]
    labels: NDArray[np.float32]
    groups: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def dims(self) -> dict[str, int]:
        """Feature dimension by modality, in a fixed order."""
        return {modality: values.shape[1] for modality, values in sorted(self.features.items())}
