"""Open-I's reports, whichever way they were downloaded, as rows of a case table.

Each report is a patient of its own: in the collection's DICOM headers its number is the patient's id.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cases import mesh_labels, splits
from benchmarks.cases.command import add_images, run
from benchmarks.cases.tables import Image, Row, choose, with_files

SECTIONS = ("findings", "impression", "indication")


@dataclass(frozen=True)
class Report:
    """number: as in "CXR2384"; texts: by section, blank where absent; headings: major MeSH, as written."""

    number: str
    texts: dict[str, str]
    headings: Sequence[str]
    images: Sequence[Image]


def make_rows(reports: Sequence[Report], *, images: str, labels: str, share: float, seed: int) -> list[Row]:
    """A row for each image, or one without for a report that has none, in a split of its own."""
    rows = []
    for report in reports:
        labels_of = mesh_labels.read_labels(report.headings, labels)
        chosen: list[Path | None] = [*choose(report.images, images)]
        for path in chosen or [None]:
            case = {"case": f"CXR{report.number}" if path is None else _name(path)}
            case |= {"patient": f"CXR{report.number}", "split": "", "image": str(path or "")}
            rows.append(case | report.texts | labels_of)
    return splits.draw(with_files(rows), share, seed)


def _name(path: Path) -> str:
    """CXR2_IM-0652-1001, whatever the file's suffixes."""
    name = path.name.partition(".")[0]
    return name if name.startswith("CXR") else f"CXR{name}"


def run_maker(parser: argparse.ArgumentParser, make_table: Callable[..., list[Row]]) -> int:
    """The command of either maker, with the options of both; the exit code."""
    parser.add_argument(
        "--labels",
        choices=mesh_labels.SETS,
        default="mesh",
        help="14 MeSH headings (the default), or the 14 CheXpert labels, mapped from MeSH by us",
    )
    add_images(parser)
    splits.add_draw(parser)
    return run(
        parser,
        lambda args: make_table(
            args.data, images=args.images, labels=args.labels, share=args.test, seed=args.seed
        ),
    )
