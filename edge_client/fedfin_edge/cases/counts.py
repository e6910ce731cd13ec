"""How many cases a site has, by modality and label, as people and monitoring may see it: small counts are suppressed.

A count that fewer patients than the floor (`policy.least_patients`) are behind is None, and so is one from which,
beside the others, such a count would follow. None is never shown as zero: nothing here tells none from few.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np

from fedfin.decoding import UNDECODABLE
from fedfin.files import write_atomically
from fedfin.utc import timestamp
from fedfin_edge.cases.floor import Floor, Mask
from fedfin_edge.cases.table import Case
from fedfin_edge.site import COUNTS, Site


class LabelCounts(msgspec.Struct, frozen=True):
    """Cases with either answer; None: suppressed."""

    yes: int | None
    no: int | None


class CaseCounts(msgspec.Struct, frozen=True):
    """Cases with features at a time (UTC): in all, of each modality, of each label; None: suppressed."""

    time: str
    least_patients: int
    cases: int | None
    modalities: dict[str, int | None]
    labels: dict[str, LabelCounts]


def count_cases(site: Site, cases: Sequence[Case], rows: Mapping[str, set[int]]) -> CaseCounts:
    """`rows`: by modality, those of the table that have features of it."""
    usable = [case for case in cases if any(case.row in each for each in rows.values())]
    patients = np.unique([case.patient for case in usable], return_inverse=True)[1]
    floor = Floor(site.settings.policy.least_patients, patients)
    present = {name: _mask(case.row in each for case in usable) for name, each in rows.items()}
    answers = {
        label: [_mask(case.labels.get(label) == answer for case in usable) for answer in (1.0, 0.0)]
        for label in site.labels
    }
    return CaseCounts(
        time=timestamp(),
        least_patients=floor.least,
        cases=_shown(floor, _mask(True for _ in usable)),
        modalities={name: _part(floor, mask) for name, mask in present.items()},
        labels={label: _answers(floor, yes, no) for label, (yes, no) in answers.items()},
    )


def _mask(flags: Iterable[bool]) -> Mask:
    return np.fromiter(flags, np.bool_)


def _shown(floor: Floor, mask: Mask) -> int | None:
    return int(mask.sum()) if floor.allows(mask) else None


def _part(floor: Floor, mask: Mask) -> int | None:
    """Of all cases: few that lack it would follow from how many have it."""
    few_lack_it = not mask.all() and not floor.allows(~mask)
    return None if few_lack_it else _shown(floor, mask)


def _answers(floor: Floor, yes: Mask, no: Mask) -> LabelCounts:
    """Both, or neither."""
    if floor.allows(yes) and floor.allows(no):
        return LabelCounts(int(yes.sum()), int(no.sum()))
    return LabelCounts(None, None)


def keep_counts(site: Site, counts: CaseCounts) -> None:
    """For `status`. Raises StateError."""
    write_atomically(site.folder / COUNTS, msgspec.json.encode(counts))


def kept_counts(site: Site) -> CaseCounts | None:
    """None: nobody has counted yet, or another version did."""
    try:
        return msgspec.json.decode((site.folder / COUNTS).read_bytes(), type=CaseCounts)
    except (FileNotFoundError, *UNDECODABLE):
        return None
