"""A public data set as arrays, before it is dealt out to sites."""

import hashlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Cases:
    """n cases in every modality that they have.

    features: modality -> float32 [n, dim], any value where absent; present: modality -> bool [n];
    labels: float32 [n, labels], 1, 0 or NaN (unknown); groups: int64 [n], cases of one group stay on one side
    of every split; texts: text modality -> n raw texts, blank where absent, empty where they are not kept;
    label_names: what the labels' columns are called, empty where they have no names;
    hospitals: whose each of the n cases is, "" where that is not known, empty where nothing is known of hospitals;
    public: modality -> float32 [any number, dim], features of public cases that are none of these: for axes alone.
    """

    features: dict[str, NDArray[np.float32]]
    present: dict[str, NDArray[np.bool_]]
    labels: NDArray[np.float32]
    groups: NDArray[np.int64]
    texts: dict[str, list[str]] = field(default_factory=dict)
    label_names: tuple[str, ...] = ()
    hospitals: tuple[str, ...] = ()
    public: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def dims(self) -> dict[str, int]:
        """Feature dimension by modality, in a fixed order."""
        return {modality: values.shape[1] for modality, values in sorted(self.features.items())}


def group(key: str) -> int:
    """The number of a group: the same in every run and for every data set, and no patient's id."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:7], "big")
