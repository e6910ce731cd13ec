"""`fedfin edge intake --dry-run`: what the rules make of real studies. Nothing is kept, nothing is encoded."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fedfin.errors import InputError
from fedfin.files import read_at_most, why
from fedfin_edge.intake.dicom_header import Header, read_header
from fedfin_edge.intake.reception import MAX_OBJECT
from fedfin_edge.intake.rules import judge
from fedfin_edge.intake_settings import Take

_CODE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ .")  # of DICOM's code strings, and UIDs


@dataclass
class DryRun:
    """taken: images by rule, from 0; left_out: images by reason and what they say; studies: those that have an image.

    without_patient: of those taken, how many do not say whose they are.
    """

    files: int = 0
    taken: Counter[int] = field(default_factory=Counter)
    left_out: Counter[tuple[str, str]] = field(default_factory=Counter)
    studies: set[str] = field(default_factory=set)
    without_patient: int = 0


def dry_run(folder: Path, rules: Sequence[Take]) -> DryRun:
    """Every file in a folder and below. Raises InputError when there is none."""
    found = DryRun()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        found.files += 1
        try:
            header = read_header(read_at_most(path, MAX_OBJECT))
        except (InputError, OSError) as error:
            found.left_out[why(error), ""] += 1
            continue
        _add(found, header, rules)
    if not found.files:
        raise InputError(f"{folder}: holds no file; name a folder with studies")
    return found


def _add(found: DryRun, header: Header, rules: Sequence[Take]) -> None:
    verdict = judge(header, rules)
    if verdict.rule is not None:
        found.taken[verdict.rule] += 1
        found.without_patient += not header.patient
        found.studies.add(header.accession or header.study or header.sop_instance)
        return
    # What is no code may have been typed by anybody, about anybody.
    value = verdict.value if set(verdict.value) <= _CODE and len(verdict.value) <= 64 else "no code"  # noqa: PLR2004
    found.left_out[verdict.reason, value] += 1
