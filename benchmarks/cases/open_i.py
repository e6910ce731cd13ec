"""Case table of Open-I as the National Library of Medicine gives it out: X-rays with reports and MeSH headings.

    python -m benchmarks.cases.open_i DATA_FOLDER OUT_TABLE [--labels SET] [--images WHICH]

DATA_FOLDER holds ecgen-radiology/*.xml and NLMCXR_png/*.png. Which view an image is, these do not tell; Kaggle's
indiana_projections.csv does, if it is put beside them. Without it one image means the first that the report names.
Source: Demner-Fushman et al., JAMIA 2016, doi 10.1093/jamia/ocv080; CC BY-NC-ND 4.0.
"""

import sys
from pathlib import Path
from xml.etree import ElementTree as ET

from benchmarks.cases.command import make_parser
from benchmarks.cases.open_i_reports import SECTIONS, Report, make_rows, run_maker
from benchmarks.cases.tables import Row, read_csv
from fedfin.errors import InputError

REPORTS = "ecgen-radiology"
IMAGES = "NLMCXR_png"
PROJECTIONS = "indiana_projections.csv"
Views = dict[
    tuple[str, str], bool
]  # number of the report and part of the image's name -> is it a frontal view?


def make_table(
    data: Path, *, images: str = "one", labels: str = "mesh", share: float = 0.2, seed: int = 0
) -> list[Row]:
    """Rows of the case table. Raises InputError."""
    if not (data / IMAGES).is_dir():
        raise InputError(f"{data / IMAGES}: there is no such folder; unpack NLMCXR_png.tgz into it")
    reports = read_reports(data / REPORTS, data / IMAGES, _read_views(data / PROJECTIONS))
    return make_rows(reports, images=images, labels=labels, share=share, seed=seed)


def read_reports(folder: Path, images: Path, frontal: Views) -> list[Report]:
    """Every report in `folder`, by number; its images are looked for in `images`.

    Raises InputError when there is none, or one is damaged.
    """
    files = sorted(folder.glob("*.xml"), key=lambda path: (len(path.stem), path.stem))
    if not files:
        raise InputError(f"{folder}: has no report (*.xml); unpack NLMCXR_reports.tgz here")
    return [_parse(path, images, frontal) for path in files]


def _parse(path: Path, images: Path, frontal: Views) -> Report:
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
        [(images / f"{name}.png", frontal.get((path.stem, _part(name)))) for name in names],
    )


def _read_views(path: Path) -> Views:
    """Empty where the file is not there."""
    if not path.is_file():
        return {}
    rows = read_csv(path, ("uid", "filename", "projection"))
    return {(row["uid"], _part(row["filename"])): row["projection"] == "Frontal" for row in rows}


def _part(name: str) -> str:
    """0652-1001 of CXR2_IM-0652-1001 and of Kaggle's 2_IM-0652-1001.dcm.png; report 1's begin with CXR1_1_IM."""
    return name.partition("_IM-")[2].partition(".")[0]


def main() -> int:
    """Run the command."""
    parser = make_parser(
        "open_i",
        f"Make a case table of Open-I ({REPORTS}/*.xml, {IMAGES}/*.png, and {PROJECTIONS} if there).",
        "open-i cases.csv --labels chexpert",
    )
    return run_maker(parser, make_table)


if __name__ == "__main__":
    sys.exit(main())
