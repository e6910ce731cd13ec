"""What sites see, against a reference: every image below the folders.

    python -m benchmarks.pixels FOLDER ...

The reference is pydicom's own processing, and dcmtk's where it is installed (apt-get install dcmtk).

    equal      within one grey level of 255, without a note
    noted      the file leaves something open, a note says what was decided, and it is as near or without a reference
    refused    with the reason
    different  none of these: a fault
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pydicom

from benchmarks.pixel_reference import Pixels, dcmtk, reference
from fedfin.encoders.images import read_image
from fedfin.errors import InputError

VERDICTS = ("equal", "noted", "refused", "different")
NO_REFERENCE = "no reference"
NEAR = 1.5  # one grey level, and half of one for rounding


@dataclass(frozen=True)
class Verdict:
    """One file. `reason`: the notes, why it was refused, or how far it is; `dcmtk`: near, far or none."""

    path: str
    kind: str
    verdict: str
    reason: str
    dcmtk: str


def judge(path: Path) -> Verdict:
    """Read one file in both ways and compare."""
    kind = _kind(path)
    try:
        picture = read_image(path)
    except InputError as error:
        return Verdict(str(path), kind, "refused", str(error), "none")
    seen = np.asarray(picture.image, np.float64)
    dicom = kind.partition(",")[0] not in ("PNG", "JPEG")
    other = _nearness(seen, dcmtk(path) if dicom else None)
    notes = "; ".join(picture.notes)
    near = _nearness_to_reference(seen, path)
    if near == "near" or other == "near":
        return Verdict(str(path), kind, "noted" if picture.notes else "equal", notes, other)
    if picture.notes and near.startswith(NO_REFERENCE):
        return Verdict(str(path), kind, "noted", f"{notes} ({near})", other)
    return Verdict(str(path), kind, "different", "; ".join(filter(None, (notes, near))), other)


def _nearness_to_reference(seen: Pixels, path: Path) -> str:
    try:
        return _nearness(seen, reference(path))
    except Exception as error:  # noqa: BLE001  the reference refuses what it likes
        return f"{NO_REFERENCE} ({type(error).__name__})"


def _nearness(seen: Pixels, right: Pixels | None) -> str:
    if right is None:
        return "none"
    if right.shape != seen.shape:
        return f"shape {right.shape}"
    far = float(np.nanmax(np.abs(seen - right)))  # what is no number in the reference has none to compare
    return "near" if far <= NEAR else f"{far:.0f} levels"


def _kind(path: Path) -> str:
    head = path.open("rb").read(8)
    if head.startswith(b"\x89PNG"):
        return "PNG"
    if head.startswith(b"\xff\xd8"):
        return "JPEG"
    try:
        dataset = pydicom.dcmread(path, force=True, stop_before_pixels=True)
        photometric = dataset.PhotometricInterpretation
    except Exception:  # noqa: BLE001  no DICOM image
        return "no image"
    syntax = dataset.get("file_meta", {}).get("TransferSyntaxUID")
    return f"{photometric}, {syntax.name if syntax else 'no meta header'}"


def files_below(folders: list[Path]) -> Iterator[Path]:
    """Every file, sorted."""
    for folder in folders:
        yield from (path for path in sorted(folder.rglob("*")) if path.is_file())


def as_table(verdicts: list[Verdict]) -> str:
    """Counts by kind, then the notes and reasons, as Markdown."""
    counts = Counter((each.kind, each.verdict) for each in verdicts)
    lines = [f"| kind | {' | '.join(VERDICTS)} |", "|---|" + "---|" * len(VERDICTS)]
    kinds = sorted({each.kind for each in verdicts})
    lines += [
        f"| {kind} | " + " | ".join(str(counts[kind, each]) for each in VERDICTS) + " |" for kind in kinds
    ]
    sums = Counter(each.verdict for each in verdicts)
    lines.append("| **all** | " + " | ".join(str(sums[each]) for each in VERDICTS) + " |")
    for verdict in VERDICTS[1:]:
        lines += ["", f"| {verdict} because | files |", "|---|---|"]
        reasons = Counter(each.reason for each in verdicts if each.verdict == verdict)
        lines += [f"| {reason} | {count} |" for reason, count in reasons.most_common()]
    checked = Counter(each.dcmtk == "near" for each in verdicts if each.dcmtk != "none")
    lines += [
        "",
        f"dcmtk could show {checked.total()} of those read: {checked[True]} are within one grey level.",
    ]
    return "\n".join(lines)


def main() -> int:
    """Print the table; 1 when a file is different."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", metavar="FOLDER", type=Path, nargs="+")
    parser.add_argument("--json", action="store_true", help="print every file's verdict as JSON")
    args = parser.parse_args()
    verdicts = [judge(path) for path in files_below(args.folders)]
    print(json.dumps([asdict(each) for each in verdicts]) if args.json else as_table(verdicts))
    return int(any(each.verdict == "different" for each in verdicts))


if __name__ == "__main__":
    raise SystemExit(main())
