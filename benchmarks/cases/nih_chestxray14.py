"""Case table of NIH ChestX-ray14: frontal X-rays, no text, in their official split.

    python -m benchmarks.cases.nih_chestxray14 DATA_FOLDER OUT_TABLE [--draw-split]

`No Finding` is not a label of its own: it says that all fourteen are 0. Labels were mined from reports
and are wrong at times. Source: Wang et al., CVPR 2017, doi 10.1109/CVPR.2017.369.
"""

import sys
from pathlib import Path

from benchmarks.cases import splits
from benchmarks.cases.command import make_parser, run
from benchmarks.cases.tables import Row, read_csv, with_files
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
TABLE = "Data_Entry_2017.csv"
TABLE_2020 = "Data_Entry_2017_v2020.csv"  # what today's download calls it
LISTS = {"train_val_list.txt": "train", "test_list.txt": "test"}


def read_entries(path: Path, images: dict[str, Path] | Path) -> list[Row]:
    """Rows of the case table from the data set's own one. Raises InputError.

    images: where each image is, by name, or the folder of all.
    """
    rows = []
    source = read_csv(path, ("Image Index", "Finding Labels", "Patient ID"))
    for number, row in enumerate(source, start=1):
        found = set(row["Finding Labels"].split("|"))
        if not found <= {*FINDINGS, "No Finding"}:
            raise InputError(f"{path}: row {number} has a label that is not one of ChestX-ray14")
        name = row["Image Index"]
        image = images / name if isinstance(images, Path) else images.get(name, path.parent / "images" / name)
        case = {"case": Path(name).stem, "patient": row["Patient ID"], "image": str(image)}
        rows.append(case | {label: str(int(finding in found)) for label, finding in LABELS.items()})
    return rows


def make_table(data: Path, *, share: float | None = None, seed: int = 0) -> list[Row]:
    """Rows of the case table, in the official split unless a `share` of test is given. Raises InputError."""
    table = TABLE_2020 if (data / TABLE_2020).is_file() else TABLE
    rows = with_files(read_entries(data / table, _find_images(data)))
    if share is not None:
        return splits.draw(rows, share, seed)
    side = _read_lists(data)
    unlisted = sum(row["case"] not in side for row in rows)
    if unlisted:
        raise InputError(
            f"{data}: {unlisted} images are on neither {' nor '.join(LISTS)}; download the lists again,"
            " or use --draw-split"
        )
    return [row | {"split": side[row["case"]]} for row in rows]


def _find_images(data: Path) -> dict[str, Path]:
    """Every image by name, in images/ or in the twelve folders that the archives make."""
    folders = [data / "images", *sorted(data.glob("images_[0-9]*/images"))]
    found = {path.name: path for folder in folders if folder.is_dir() for path in folder.iterdir()}
    if not found:
        raise InputError(f"{data}: has no image in images/ or images_001/images/; unpack the archives here")
    return found


def _read_lists(data: Path) -> dict[str, str]:
    """Case -> side."""
    side: dict[str, str] = {}
    for name, value in LISTS.items():
        try:
            names = (data / name).read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError):
            raise InputError(
                f"{data / name}: cannot read it; it comes with the data set; or use --draw-split"
            ) from None
        side |= dict.fromkeys((Path(image).stem for image in names), value)
    return side


def main() -> int:
    """Run the command."""
    parser = make_parser(
        "nih_chestxray14",
        f"Make a case table of NIH ChestX-ray14 ({TABLE}, images/ or images_001/images/ to images_012/images/,"
        f" {', '.join(LISTS)}).",
        "ChestXray-NIHCC cases.csv",
    )
    parser.add_argument("--draw-split", action="store_true", help="draw a split instead of the official one")
    splits.add_draw(parser)
    return run(
        parser,
        lambda args: make_table(args.data, share=args.test if args.draw_split else None, seed=args.seed),
    )


if __name__ == "__main__":
    sys.exit(main())
