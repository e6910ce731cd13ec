"""Which patients a data set holds, and with what: a later one can be compared with it, and nothing be read from it."""

import hashlib
from collections import Counter, defaultdict

import numpy as np

from fedfin_edge.cases.dataset import Dataset

KEY_BYTES = 32
_DIGEST_BYTES = 16


def patient_digests(dataset: Dataset, key: bytes) -> Counter[str]:
    """BLAKE2b under this site's key, in hex, of all that each patient's cases say, in whatever order they stand."""
    cases: dict[int, list[bytes]] = defaultdict(list)
    for row, patient in enumerate(dataset.patient_numbers):
        cases[int(patient)].append(_case_digest(dataset, row))
    return Counter(
        hashlib.blake2b(b"".join(sorted(own)), key=key, digest_size=_DIGEST_BYTES).hexdigest()
        for own in cases.values()
    )


def changed_patients(one: Counter[str], other: Counter[str]) -> int:
    """How many patients the difference of two sums is of, at least: those that came, or those that went."""
    return max((one - other).total(), (other - one).total())


def _case_digest(dataset: Dataset, row: int) -> bytes:
    total = hashlib.sha256()
    for modality in sorted(dataset.features):
        total.update(f"{modality} {bool(dataset.present[modality][row])}\n".encode())
        total.update(np.ascontiguousarray(dataset.features[modality][row]).data)
    total.update(np.ascontiguousarray(dataset.labels[row]).data)
    total.update(b"held out" if dataset.held_out[row] else b"train")
    return total.digest()
