"""Case table of R2Gen's annotation.json: X-rays with reports, in the split that report generators are compared on.

    python -m benchmarks.cases.r2gen DATA_FOLDER OUT_TABLE [--reports FOLDER] [--labels SET] [--val WHAT]

DATA_FOLDER holds annotation.json and images/. **Its Open-I split leaks**: many reports in test stand word for word in
train, as radiologists dictate from templates. They are counted, told on stderr, and dropped.
The file has no labels; --reports takes them, indications and impressions from Open-I's XMLs.
Source: Chen et al., EMNLP 2020, arXiv 2010.16056.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.cases import mesh_labels, splits
from benchmarks.cases.command import make_parser, run
from benchmarks.cases.leaks import SIDES
from benchmarks.cases.open_i import read_reports
from benchmarks.cases.open_i_reports import Report
from benchmarks.cases.tables import Row, choose, with_files
from fedfin.errors import InputError

FILE = "annotation.json"


def make_table(
    data: Path, *, reports: Path | None = None, labels: str = "mesh", images: str = "one", val: str = "train"
) -> list[Row]:
    """Rows of the case table; `reports` is Open-I's folder of XMLs. Raises InputError.

    The views are not told; of each case's two images the first is usually the frontal one.
    """
    rows: list[Row] = []
    for side, entry in _entries(data / FILE):
        paths = choose([(data / "images" / path, None) for path in entry["image_path"]], images)
        for number, path in enumerate(paths):
            case = {"case": entry["id"] + (f"-{number}" if number else ""), "patient": _patient(entry)}
            text = " ".join(entry["report"].split())
            rows.append(case | {"split": side, "image": str(path), "findings": text})
    if reports is not None:
        rows = _with_labels(rows, reports, labels)
    return splits.keep(with_files(rows), val)


def _patient(entry: Mapping[str, Any]) -> str:
    """MIMIC-CXR's entries have a subject_id; Open-I's id, CXR2384_IM-0942, begins with the report's number."""
    return str(entry.get("subject_id") or entry["id"].partition("_")[0])


def _entries(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Side and entry. Raises InputError for a file that is not of R2Gen's layout."""
    try:
        sides = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot read it ({error.strerror}); give the data set's folder") from None
    except (ValueError, RecursionError) as error:
        place = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise InputError(f"{path}: is not valid JSON{place}; download it again") from None
    if not isinstance(sides, dict) or not all(isinstance(sides.get(side), list) for side in SIDES):
        raise InputError(f"{path}: has no lists {', '.join(SIDES)}; is it R2Gen's {FILE}?")
    for side in SIDES:
        for number, entry in enumerate(sides[side], start=1):
            _check(entry, side, f"{path}: entry {number} of {side}")
            yield side, entry


def _check(entry: Any, side: str, place: str) -> None:
    if not isinstance(entry, dict):
        raise InputError(f"{place} is not an object")
    for key in ("id", "report"):
        if not isinstance(entry.get(key), str):
            raise InputError(f"{place} has no text {key!r}")
    paths = entry.get("image_path")
    if not isinstance(paths, list) or not paths or not all(isinstance(path, str) for path in paths):
        raise InputError(f"{place} has no list of file names 'image_path'")
    if any(path.startswith("/") or ".." in Path(path).parts for path in paths):
        raise InputError(f"{place} has an 'image_path' that leaves images/")
    if entry.get("split", side) != side:
        raise InputError(f"{place} says that it is of another split")


def _with_labels(rows: list[Row], folder: Path, labels: str) -> list[Row]:
    """Rows with what Open-I's XMLs say of the same report."""
    known: dict[str, Report] = {f"CXR{report.number}": report for report in read_reports(folder, Path(), {})}
    missing = len({row["patient"] for row in rows} - set(known))
    if missing:
        raise InputError(f"{folder}: has no report for {missing} patients of {FILE}; is it ecgen-radiology?")
    return [row | _of(known[row["patient"]], labels) for row in rows]


def _of(report: Report, labels: str) -> Row:
    texts = {section: report.texts[section] for section in ("impression", "indication")}
    return texts | mesh_labels.read_labels(report.headings, labels)


def main() -> int:
    """Run the command."""
    parser = make_parser(
        "r2gen",
        f"Make a case table of R2Gen's {FILE} and images/; test reports that stand in train are dropped.",
        "iu_xray cases.csv --reports ecgen-radiology --labels chexpert",
    )
    parser.add_argument("--reports", type=Path, metavar="FOLDER", help="Open-I's *.xml, for labels")
    parser.add_argument("--labels", choices=mesh_labels.SETS, default="mesh", help="which, with --reports")
    parser.add_argument("--images", choices=("one", "all"), default="one", help="the first of each, or all")
    splits.add_keep(parser)
    return run(
        parser,
        lambda args: make_table(
            args.data, reports=args.reports, labels=args.labels, images=args.images, val=args.val
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
