"""Case table of Open-I as Kaggle gives it out, in two CSV files: X-rays with reports and MeSH headings.

    python -m benchmarks.cases.indiana_csv DATA_FOLDER OUT_TABLE [--labels SET] [--images WHICH]

DATA_FOLDER holds indiana_reports.csv, indiana_projections.csv and images/images_normalized/*.png.
Source: as `open_i`; Kaggle data set raddar/chest-xrays-indiana-university.
"""

import sys
from pathlib import Path

from benchmarks.cases.command import make_parser
from benchmarks.cases.open_i_reports import SECTIONS, Report, make_rows, run_maker
from benchmarks.cases.tables import Image, Row, read_csv
from fedfin.errors import InputError

REPORTS = "indiana_reports.csv"
PROJECTIONS = "indiana_projections.csv"
IMAGES = Path("images") / "images_normalized"
VIEWS = {"Frontal": True, "Lateral": False}


def make_table(
    data: Path, *, images: str = "one", labels: str = "mesh", share: float = 0.2, seed: int = 0
) -> list[Row]:
    """Rows of the case table. Raises InputError."""
    images_of = _read_images(data)
    reports = [
        Report(
            row["uid"],
            {section: " ".join(row[section].split()) for section in SECTIONS},
            [heading for heading in row["MeSH"].split(";") if heading],
            images_of.get(row["uid"], ()),
        )
        for row in read_csv(data / REPORTS, ("uid", "MeSH", *SECTIONS))
    ]
    return make_rows(reports, images=images, labels=labels, share=share, seed=seed)


def _read_images(data: Path) -> dict[str, list[Image]]:
    """Report number -> its images in the file's order."""
    images: dict[str, list[Image]] = {}
    rows = read_csv(data / PROJECTIONS, ("uid", "filename", "projection"))
    for number, row in enumerate(rows, start=1):
        if row["projection"] not in VIEWS:
            raise InputError(f"{data / PROJECTIONS}: row {number} is neither {' nor '.join(VIEWS)}")
        path = data / IMAGES / Path(row["filename"]).name
        images.setdefault(row["uid"], []).append((path, VIEWS[row["projection"]]))
    return images


def main() -> int:
    """Run the command."""
    parser = make_parser(
        "indiana_csv",
        f"Make a case table of Open-I as Kaggle gives it out ({REPORTS}, {PROJECTIONS}, {IMAGES}/).",
        "indiana cases.csv --images all",
    )
    return run_maker(parser, make_table)


if __name__ == "__main__":
    sys.exit(main())
