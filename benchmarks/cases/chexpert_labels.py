"""The 14 CheXpert labels, as CheXpert and MIMIC-CXR-JPG write them, into a case table's 1, 0 and blank.

A cell is 1.0 (present), 0.0 (absent), -1.0 (the report is uncertain) or blank (the report does not mention it).

What becomes of "uncertain" (Irvin et al. 2019, arXiv 1901.07031, "Uncertainty Approaches"):

    ignore  unknown, U-Ignore there: no loss on this label of this case
    zeros   absent, U-Zeros
    ones    present, U-Ones
    mixed   present for Atelectasis and Edema, for which the paper's final model takes U-Ones, otherwise unknown.
            For Cardiomegaly, Consolidation and Pleural Effusion it takes U-MultiClass and U-SelfTrained, which
            are ways to train and no labels; of the other nine labels it says nothing.

Blank is unknown, or absent where asked for: the paper does not tell how it trained on blanks, and most work after
it takes them for absent.
"""

import argparse
from collections.abc import Mapping

from benchmarks.cases.tables import Row
from fedfin.errors import InputError

NAMES = (
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)
LABELS = {name.lower().replace(" ", "_"): name for name in NAMES}  # column of the case table -> official name
UNCERTAIN = ("ignore", "zeros", "ones", "mixed")
UNMENTIONED = ("unknown", "zero")
_MIXED_ONES = ("Atelectasis", "Edema")
_VALUES = {"1.0": "1", "1": "1", "0.0": "0", "0": "0", "-1.0": "-1", "-1": "-1", "": ""}


def read_labels(cells: Mapping[str, str], uncertain: str, unmentioned: str, where: str) -> Row:
    """The label columns from `cells` by official name. Raises InputError, which names `where`, for any other value.

    No Finding is never 0 in the files. It is read as absent where a finding other than Support Devices is present:
    the labeler would have written 1 otherwise (its section "Mention Aggregation").
    """
    try:
        values = {name: _VALUES[cells[name].strip()] for name in NAMES}
    except KeyError:
        raise InputError(
            f"{where}: a label is not 1.0, 0.0, -1.0 or blank; download the table again"
        ) from None
    if not values["No Finding"] and any(values[name] == "1" for name in NAMES[1:-1]):
        values["No Finding"] = "0"
    blank = "0" if unmentioned == "zero" else ""
    return {
        label: {"-1": _certain(name, uncertain), "": blank}.get(values[name], values[name])
        for label, name in LABELS.items()
    }


def _certain(name: str, policy: str) -> str:
    """What an uncertain label of this name becomes."""
    if policy == "mixed":
        return "1" if name in _MIXED_ONES else ""
    return {"ignore": "", "zeros": "0", "ones": "1"}[policy]


def add_policies(parser: argparse.ArgumentParser) -> None:
    """Options for what uncertain and unmentioned labels become."""
    parser.add_argument(
        "--uncertain",
        choices=UNCERTAIN,
        default="ignore",
        help="uncertain labels (-1): unknown (ignore, the default), 0, 1, or 1 for atelectasis and edema only",
    )
    parser.add_argument(
        "--unmentioned",
        choices=UNMENTIONED,
        default="unknown",
        help="blank labels: unknown (the default), or 0 as most papers read them",
    )
