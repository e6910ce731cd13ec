"""Case table of Open-I as the National Library of Medicine gives it out: X-rays with reports and MeSH headings.

    python -m benchmarks.cases.open_i DATA_FOLDER OUT_TABLE [--labels SET] [--images WHICH]

DATA_FOLDER holds ecgen-radiology/*.xml and NLMCXR_png/*.png. Which view an image is, these do not tell; Kaggle's
indiana_projections.csv does, if it is put beside them. Without it one image means the first that the report names.
Source: Demner-Fushman et al., JAMIA 2016, doi 10.1093/jamia/ocv080; CC BY-NC-ND 4.0.
"""

import sys
from pathlib import Path
from xml.etree import ElementTree as ET

from benchmarks.cases.command import make_parser, run
from benchmarks.cases.open_i_reports import SECTIONS, Report, add_options, make_rows
from benchmarks.cases.tables import Row, read_csv
from fedfin.errors import InputError

REPORTS = "ecgen-radiology"
IMAGES = "NLMCXR_png"
PROJECTIONS = "indiana_projections.csv"


def make_table(
    data: Path, *, images: str = "one", labels: str = "mesh", share: float = 0.2, seed: int = 0
) -> list[Row]:
    """Rows of the case table. Raises InputError."""
    if not (data / IMAGES).is_dir():
        raise InputError(f"{data / IMAGES}: there is no such folder; unpack NLMCXR_png.tgz into it")
    reports = read_reports(data / REPORTS, data / IMAGES, _read_views(data / PROJECTIONS))
    return make_rows(reports, images=images, labels=labels, share=share, seed=seed)


def read_reports(folder: Path, images: Path, frontal: dict[str, bool]) -> list[Report]:
    """Every report in `folder`, by number. `frontal`: image name without suffix -> whether it is a frontal view.

    Raises InputError when there is none, or one is damaged.
    """
    files = sorted(folder.glob("*.xml"), key=lambda path: (len(path.stem), path.stem))
    if not files:
        raise InputError(f"{folder}: has no report (*.xml); unpack NLMCXR_reports.tgz here")
    return [_parse(path, images, frontal) for path in files]


def _parse(path: Path, images: Path, frontal: dict[str, bool]) -> Report:
    try:
        root = ET.parse(path).getroot()  # noqa: S314 - a published archive that the user has downloaded
    except (OSError, ET.ParseError) as error:
        reason = (
            f"malformed XML, line {error.position[0]}" if isinstance(error, ET.ParseError) else error.strerror
        )
        raise InputError(f"{path}: cannot be read ({reason}); unpack the reports again") from None
    texts = {
        part.get("Label", "").lower(): " ".join((part.text or "").split())
        for part in root.iter("AbstractText")
    }
    if not texts:
        raise InputError(f"{path}: is not a report of Open-I: it has no AbstractText")
    names = [Path(image.get("id", "")).name for image in root.iter("parentImage")]
    return Report(
        path.stem,
        {section: texts.get(section, "") for section in SECTIONS},
        [major.text for major in root.iter("major") if major.text],
        [(images / f"{name}.png", frontal.get(name)) for name in names],
    )


def _read_views(path: Path) -> dict[str, bool]:
    """Image name as Open-I writes it -> whether it is a frontal view; empty where the file is not there."""
    if not path.is_file():
        return {}
    rows = read_csv(path, ("filename", "projection"))
    return {f"CXR{row['filename'].partition('.')[0]}": row["projection"] == "Frontal" for row in rows}


def main() -> int:
    """Run the command."""
    parser = make_parser(
        "open_i",
        f"Make a case table of Open-I ({REPORTS}/*.xml, {IMAGES}/*.png, and {PROJECTIONS} if there).",
        "open-i cases.csv --labels chexpert",
    )
    add_options(parser)
    return run(
        parser,
        lambda args: make_table(
            args.data, images=args.images, labels=args.labels, share=args.test, seed=args.seed
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
