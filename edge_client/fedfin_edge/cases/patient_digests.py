"""Which patients a data set holds, and with what: a later one can be compared with it, and nothing be read from it.

What patients' cases say is digested as a plan cuts it. Under a plan of one column more each digest is another, and yet
sums of both plans can be subtracted in the columns that both have. So who gives to which sums is digested, too.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.cases.floor import Mask
from fedfin_edge.cases.moment_cases import moment_cases

KEY_BYTES = 32
_DIGEST_BYTES = 16


@dataclass(frozen=True)
class PatientDigests:
    """BLAKE2b under this site's key, in hex.

    contents: of all that each patient's cases say, in whatever order they stand. given: who gives to sums, and with how
    many cases, by the kind of these; alike whatever the plan. None: an earlier version did not write it down.
    """

    contents: Counter[str]
    given: dict[str, frozenset[str]] | None = None


def patient_digests(dataset: Dataset, key: bytes) -> PatientDigests:
    """Of all patients of a data set."""
    cases: dict[int, list[bytes]] = defaultdict(list)
    for row, patient in enumerate(dataset.patient_numbers):
        cases[int(patient)].append(_case_digest(dataset, row))
    return PatientDigests(
        Counter(_digest(b"".join(sorted(own)), key) for own in cases.values()),
        {kind: _givers(dataset, held, key) for kind, held in _kinds(dataset) if held.any()},
    )


def too_few_changed(now: PatientDigests, former: PatientDigests, least: int) -> str:
    """Of what a sum less a former one would be of fewer patients than `least`, in words; "": of nothing."""
    if 0 < changed_patients(now.contents, former.contents) < least:
        return "cases, labels or features"
    if former.given is None or now.given is None:
        # Under another plan no contents are alike. How many patients there are is all that is known.
        another = not now.contents & former.contents
        few = another and 0 < abs(now.contents.total() - former.contents.total()) < least
        return "cases" if few else ""
    for kind in sorted(now.given.keys() & former.given.keys()):
        if 0 < changed_patients(Counter(now.given[kind]), Counter(former.given[kind])) < least:
            return kind
    return ""


def changed_patients(one: Counter[str], other: Counter[str]) -> int:
    """How many patients the difference of two sums is of, at least: those that came, or those that went."""
    return max((one - other).total(), (other - one).total())


def _kinds(dataset: Dataset) -> Iterator[tuple[str, Mask]]:
    """Kinds of sums that can be subtracted whatever the plan, in words, and which cases they are of, bool [n].

    By modality: a plan without one of them must not seem to have lost who has that one alone. Who has a modality, on
    either side; and whose features are in its moments, without those that the floor withholds beside other modalities.
    """
    in_moments = moment_cases(dataset)
    for modality, held in dataset.present.items():
        yield f"cases with {modality}", held & dataset.floor.allows(held)
        yield f"training cases with {modality}", in_moments[modality]


def _givers(dataset: Dataset, cases: Mask, key: bytes) -> frozenset[str]:
    """Whose cases these are, bool [n], and how many of each: a patient who gives one more is another."""
    numbers, counts = np.unique(dataset.patient_numbers[cases], return_counts=True)
    names = (dataset.patient_id(int(number)) for number in numbers)
    return frozenset(
        _digest(f"{count} cases of {name}".encode(), key) for name, count in zip(names, counts, strict=True)
    )


def _digest(data: bytes, key: bytes) -> str:
    return hashlib.blake2b(data, key=key, digest_size=_DIGEST_BYTES).hexdigest()


def _case_digest(dataset: Dataset, row: int) -> bytes:
    total = hashlib.sha256()
    for modality in sorted(dataset.features):
        total.update(f"{modality} {bool(dataset.present[modality][row])}\n".encode())
        total.update(np.ascontiguousarray(dataset.features[modality][row]).data)
    total.update(np.ascontiguousarray(dataset.labels[row]).data)
    total.update(b"held out" if dataset.held_out[row] else b"train")
    return total.digest()
