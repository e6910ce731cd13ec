"""Case table of CheXpert: X-rays with 14 labels and their uncertainty, no text.

    python -m benchmarks.cases.chexpert DATA_FOLDER OUT_TABLE [--uncertain POLICY] [--unmentioned POLICY]

CheXpert-v1.0, CheXpert-v1.0-small, or the folder with the unpacked archives "CheXpert-v1.0 batch ...", as which the
large one comes today. train.csv is labelled by a program, valid.csv by three radiologists: it becomes the test side.
Source: Irvin et al. 2019, arXiv 1901.07031.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.cases import chexpert_labels
from benchmarks.cases.command import add_images, make_parser, run
from benchmarks.cases.tables import Row, choose, read_csv, with_files
from fedfin.errors import InputError

SIDES = {"train.csv": "train", "valid.csv": "test"}
# The archives of today's download: in the first train.csv, valid.csv and valid/, in the others folders of patients.
FIRST_BATCH = "CheXpert-v1.0 batch 1 (validate & csv)"
TRAIN_BATCHES = "CheXpert-v1.0 batch * (train *)"
# CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg; the first folder may have been renamed.
PATH = re.compile(r"[^/]+/(train|valid)/(patient\d+)/(study\d+)/(view\d+_(frontal|lateral)\.(?:jpg|png))")


def make_table(
    data: Path, *, uncertain: str = "ignore", unmentioned: str = "unknown", images: str = "one"
) -> list[Row]:
    """Rows of the case table from the folder with train.csv and valid.csv, or the archives. Raises InputError."""
    home = data / FIRST_BATCH if (data / FIRST_BATCH).is_dir() else data
    batch_of = {patient.name: batch for batch in data.glob(TRAIN_BATCHES) for patient in batch.iterdir()}
    rows: list[Row] = []
    for name, side in SIDES.items():
        studies: dict[tuple[str, str], list[tuple[Path, bool, Row]]] = {}
        for place, match, cells in _read(home / name):
            labels = chexpert_labels.read_labels(cells, uncertain, unmentioned, place)
            folder = batch_of.get(match[2], home / match[1])
            view = (folder / match[2] / match[3] / match[4], match[5] == "frontal", labels)
            studies.setdefault((match[2], match[3]), []).append(view)
        for (patient, study), views in studies.items():
            labels_of = {path: labels for path, _, labels in views}
            for path in choose([(path, frontal) for path, frontal, _ in views], images):
                case = f"{patient}-{study}-{path.stem}"
                rows.append(
                    {"case": case, "patient": patient, "split": side, "image": str(path)} | labels_of[path]
                )
    return with_files(rows)


def _read(path: Path) -> Iterator[tuple[str, re.Match[str], Row]]:
    """Where each row is, the parts of its path, and its cells."""
    for number, cells in enumerate(read_csv(path, ("Path", *chexpert_labels.NAMES)), start=1):
        match = PATH.fullmatch(cells["Path"])
        if match is None:
            raise InputError(f"{path}: row {number} has a Path that is not like CheXpert's")
        yield f"{path}: row {number}", match, cells


def main() -> int:
    """Run the command."""
    parser = make_parser(
        "chexpert",
        "Make a case table of CheXpert (train.csv, valid.csv, train/, valid/).",
        "CheXpert-v1.0-small cases.csv --uncertain mixed",
    )
    chexpert_labels.add_policies(parser)
    add_images(parser)
    return run(
        parser,
        lambda args: make_table(
            args.data, uncertain=args.uncertain, unmentioned=args.unmentioned, images=args.images
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
