"""Case table of a sample of NIH ChestX-ray14: real frontal X-rays, no text.

    python -m benchmarks.cases.nih_sample DATA_FOLDER OUT_TABLE

`No Finding` is not a label of its own: it says that all fourteen are 0. Labels were mined from reports
and are wrong at times. Source: Wang et al., CVPR 2017.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.cases.tables import Row, read_csv, run, with_files
from fedfin.errors import InputError

FINDINGS = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Hernia",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pleural_Thickening",
    "Pneumonia",
    "Pneumothorax",
)
LABELS = {finding.lower(): finding for finding in FINDINGS}


def make_table(data: Path) -> list[Row]:
    """Rows of the case table from the data set's folder (labels.csv, images_256/). Raises InputError."""
    rows = []
    source = read_csv(data / "labels.csv", ("Image Index", "Finding Labels", "Patient ID"))
    for number, row in enumerate(source, start=1):
        found = set(row["Finding Labels"].split("|"))
        if not found <= {*FINDINGS, "No Finding"}:
            raise InputError(
                f"{data / 'labels.csv'}: row {number} has a label that is not one of ChestX-ray14"
            )
        case = {"case": Path(row["Image Index"]).stem, "patient": row["Patient ID"]}
        case["image"] = str(data / "images_256" / row["Image Index"])
        rows.append(case | {label: str(int(finding in found)) for label, finding in LABELS.items()})
    return with_files(rows)


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cases.nih_sample",
        description="Make a case table of an NIH ChestX-ray14 sample (labels.csv, images_256/).",
    )
    return run(parser, lambda args: make_table(args.data), list(LABELS))


if __name__ == "__main__":
    sys.exit(main())
