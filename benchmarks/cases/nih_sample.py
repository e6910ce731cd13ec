"""Case table of a sample of NIH ChestX-ray14 as small images: real frontal X-rays, no text, no split.

    python -m benchmarks.cases.nih_sample DATA_FOLDER OUT_TABLE

The labels are those of `nih_chestxray14`.
"""

import sys
from pathlib import Path

from benchmarks.cases.command import make_parser, run
from benchmarks.cases.nih_chestxray14 import LABELS, read_entries
from benchmarks.cases.tables import Row, with_files

__all__ = ["LABELS", "make_table"]


def make_table(data: Path) -> list[Row]:
    """Rows of the case table from the sample's folder (labels.csv, images_256/). Raises InputError."""
    return with_files(read_entries(data / "labels.csv", data / "images_256"))


def main() -> int:
    """Run the command."""
    parser = make_parser(
        "nih_sample",
        "Make a case table of an NIH ChestX-ray14 sample (labels.csv, images_256/).",
        "nih-sample cases.csv",
    )
    return run(parser, lambda args: make_table(args.data))


if __name__ == "__main__":
    sys.exit(main())
