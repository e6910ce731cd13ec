"""Case table of MIMIC-CXR-JPG 2.x: X-rays with reports, 14 labels with their uncertainty, the official split.

    python -m benchmarks.cases.mimic_cxr DATA_FOLDER OUT_TABLE [--reports FOLDER] [--labeler NAME] [--uncertain POLICY]

DATA_FOLDER holds files/p10/... and the tables mimic-cxr-2.0.0-*.csv, as they come (.gz) or unpacked. The reports are in
another archive, mimic-cxr-reports.zip of MIMIC-CXR: unpack it here, or name its folder. Validation goes to train or
stays out; test reports that stand word for word in train are dropped and counted.
Source: Johnson et al. 2019, arXiv 1901.07042; doi 10.13026/jsn5-t979 (2.1.0).
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.cases import chexpert_labels, splits
from benchmarks.cases.command import add_images, make_parser, run
from benchmarks.cases.report_sections import HEADINGS, read_sections
from benchmarks.cases.tables import Row, choose, find_csv, read_csv, with_files
from fedfin.errors import InputError

LABELERS = ("chexpert", "negbio")
FRONTAL = ("PA", "AP")  # a study with both shows the first: it was taken standing, in better conditions
SIDES = {"train": "train", "validate": "val", "test": "test"}
KEYS = ("subject_id", "study_id")
Labels = dict[str, Row]  # by study


def make_table(
    data: Path,
    *,
    reports: Path | None,
    labeler: str = "chexpert",
    uncertain: str = "ignore",
    unmentioned: str = "unknown",
    images: str = "one",
    val: str = "train",
) -> list[Row]:
    """Rows of the case table; `reports` None: without texts. Raises InputError."""
    labels = _read_labels(data, labeler, uncertain, unmentioned)
    unknown = dict.fromkeys(chexpert_labels.LABELS, "")
    rows: list[Row] = []
    report_of: dict[str, Path] = {}  # by case
    for (patient, study, side), views in _studies(data).items():
        folder = Path(f"p{patient[:2]}") / f"p{patient}"
        files = [
            (data / "files" / folder / f"s{study}" / f"{name}.jpg", view in FRONTAL) for name, view in views
        ]
        for path in choose(files, images):
            report_of[path.stem] = folder / f"s{study}.txt"
            case = {"case": path.stem, "patient": patient, "split": side, "image": str(path)}
            rows.append(case | labels.get(study, unknown))
    rows = with_files(rows)
    if reports is not None:
        rows = _with_reports(rows, reports, report_of)
    return splits.keep(rows, val)


def _studies(data: Path) -> dict[tuple[str, str, str], list[tuple[str, str]]]:
    """(patient, study, side) -> its images' names and views, PA before AP before others."""
    path = find_csv(data / "mimic-cxr-2.0.0-metadata.csv")
    view = {row["dicom_id"]: row["ViewPosition"] for row in read_csv(path, ("dicom_id", "ViewPosition"))}
    path = find_csv(data / "mimic-cxr-2.0.0-split.csv")
    studies: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    for number, row in enumerate(read_csv(path, ("dicom_id", *KEYS, "split")), start=1):
        if row["split"] not in SIDES:
            raise InputError(f"{path}: row {number} is in none of the splits {', '.join(SIDES)}")
        if row["dicom_id"] not in view:
            raise InputError(
                f"{path}: row {number} is an image that the metadata lack; are they of one version?"
            )
        key = (row["subject_id"], row["study_id"], SIDES[row["split"]])
        studies.setdefault(key, []).append((row["dicom_id"], view[row["dicom_id"]]))
    return {key: sorted(found, key=lambda one: _rank(one[1])) for key, found in studies.items()}


def _rank(view: str) -> int:
    return FRONTAL.index(view) if view in FRONTAL else len(FRONTAL)


def _read_labels(data: Path, labeler: str, uncertain: str, unmentioned: str) -> Labels:
    """By study. A few studies have no row there: all their labels are unknown."""
    path = find_csv(data / f"mimic-cxr-2.0.0-{labeler}.csv")
    return {
        row["study_id"]: chexpert_labels.read_labels(row, uncertain, unmentioned, f"{path}: row {number}")
        for number, row in enumerate(read_csv(path, (*KEYS, *chexpert_labels.NAMES)), start=1)
    }


def _with_reports(rows: list[Row], folder: Path, report_of: Mapping[str, Path]) -> list[Row]:
    """Rows with their reports' sections. How many lack their report is told on stderr."""
    files = folder / "files"
    if not files.is_dir():
        raise InputError(
            f"{files}: there is no such folder; unpack mimic-cxr-reports.zip, or use --no-reports"
        )
    names = {report_of[row["case"]] for row in rows}
    sections = {name: read_sections(text) for name in names if (text := _read(files, name)) is not None}
    missing = sum(report_of[row["case"]] not in sections for row in rows)
    if missing:
        print(f"{missing} rows have no report: its file is not there", file=sys.stderr)
    blank = dict.fromkeys(HEADINGS, "")
    return [row | sections.get(report_of[row["case"]], blank) for row in rows]


def _read(folder: Path, name: Path) -> str | None:
    """A report's text, None where it is not there. The error does not name it: the name tells a patient."""
    try:
        return (folder / name).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"{folder}: a report cannot be read ({error.strerror})") from None


def _make(args: argparse.Namespace) -> list[Row]:
    reports = None if args.no_reports else args.reports or args.data / "mimic-cxr-reports"
    options = {name: getattr(args, name) for name in ("labeler", "uncertain", "unmentioned", "images", "val")}
    return make_table(args.data, reports=reports, **options)


def main() -> int:
    """Run the command."""
    parser = make_parser(
        "mimic_cxr",
        "Make a case table of MIMIC-CXR-JPG 2.x (files/, mimic-cxr-2.0.0-*.csv[.gz], mimic-cxr-reports/files/).",
        "mimic-cxr-jpg cases.csv --reports mimic-cxr-reports --unmentioned zero",
    )
    parser.add_argument("--reports", type=Path, metavar="FOLDER", help="the unpacked mimic-cxr-reports.zip")
    parser.add_argument("--no-reports", action="store_true", help="images and labels only")
    parser.add_argument(
        "--labeler", choices=LABELERS, default="chexpert", help="whose labels (default: chexpert)"
    )
    chexpert_labels.add_policies(parser)
    add_images(parser)
    splits.add_keep(parser)
    return run(parser, _make)


if __name__ == "__main__":
    sys.exit(main())
