"""Which images count: the rules of [[intake.take]], in their order; the first that fits says as what."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fedfin_edge.intake.dicom_header import Header
from fedfin_edge.intake_settings import Take


@dataclass(frozen=True)
class Verdict:
    """rule: the number of the one that fits, from 0; None: the image does not count, for this reason.

    reason: the same words for every image, so that it can be logged; value: what the image says, for `--dry-run`.
    """

    rule: int | None
    reason: str = ""
    value: str = ""


def judge(header: Header, rules: Sequence[Take]) -> Verdict:
    """By the first rule that fits; where none does, why not: the mismatch of the rule that came furthest."""
    if not header.has_pixels:
        return Verdict(None, "has no pixels")
    furthest = (-1, Verdict(None, "there is no rule in [[intake.take]]"))
    for number, rule in enumerate(rules):
        mismatch = next(((step, each) for step, each in enumerate(_mismatches(header, rule)) if each), None)
        if mismatch is None:
            return Verdict(number)
        if mismatch[0] > furthest[0] and mismatch[1] is not None:
            furthest = (mismatch[0], mismatch[1])
    return furthest[1]


def _mismatches(header: Header, rule: Take) -> Iterator[Verdict | None]:
    """What a rule asks, one after the other: None where the image has it."""
    yield _compare("modality", header.modality, rule.dicom_modality)
    yield _compare("SOP class", header.sop_class, rule.sop_class)
    yield _compare("body part", header.body_part, rule.body_part)
    yield _compare("view position", header.view_position, rule.view_position)
    secondary = header.secondary_capture and not rule.secondary_capture
    yield Verdict(None, "is a secondary capture") if secondary else None
    burned = header.burned_in and not rule.burned_in
    yield Verdict(None, "has burned-in annotation") if burned else None


def _compare(what: str, value: str, wanted: Sequence[str]) -> Verdict | None:
    if not wanted or value.casefold() in {each.casefold() for each in wanted}:
        return None
    return Verdict(None, f"{what} is in no rule" if value else f"has no {what}", value)
