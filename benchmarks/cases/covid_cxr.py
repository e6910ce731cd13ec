"""Case table of the public COVID-19 image data collection: real frontal X-rays with clinical notes.

    python -m benchmarks.cases.covid_cxr DATA_FOLDER OUT_TABLE [--keep-names]

DATA_FOLDER is the collection as it is given out (metadata.csv, images/), of which the frontal X-rays are taken, or
its small copy (frontal.csv, frontal_256/). Text is `clinical_notes`; `other_notes` often state the diagnosis and stay
out. Many notes name the disease, and a model would read the answer there, so its names are removed unless
--keep-names is given.
Source: Cohen et al., arXiv 2006.11988; licences differ per image.
"""

import re
import sys
from pathlib import Path

from benchmarks.cases.command import make_parser, run
from benchmarks.cases.tables import Row, read_csv, with_files

# label -> values of `finding` in which it is present; groups have about ten patients or more
LABELS = {
    "covid_19": ("COVID-19", "COVID-19, ARDS"),
    "ards": ("ARDS", "COVID-19, ARDS"),
    "bacterial": (
        "Bacterial",
        "E.Coli",
        "Klebsiella",
        "Legionella",
        "Mycoplasma Bacterial Pneumonia",
        "Streptococcus",
    ),
    "pneumocystis": ("Pneumocystis",),
    "sars": ("SARS",),
    "no_finding": ("No Finding",),
}
# The same as today's metadata.csv names them, from the general to the special; ARDS is no longer told there.
PATHS = {
    "covid_19": "Pneumonia/Viral/COVID-19",
    "bacterial": "Pneumonia/Bacterial",
    "pneumocystis": "Pneumonia/Fungal/Pneumocystis",
    "sars": "Pneumonia/Viral/SARS",
    "no_finding": "No Finding",
}
NO_PATH = ("", "todo", "Unknown")
FRONTAL = ("PA", "AP")  # with what may follow, as in "AP Supine"
CAUSES = ("covid_19", "bacterial", "pneumocystis", "sars")
CAUSE_UNKNOWN = ("Pneumonia", "ARDS")  # values of `finding` that leave every cause open

NAMES = re.compile(
    r"(?:severe acute respiratory syndrome|acute respiratory distress syndrome)"
    r"|(?:novel\s+)?[\w-]*(?:covid|corona\s?virus|n-?cov)[\w-]*"
    r"|\b(?:hcov-|anti-)?sars[\w-]*|\bards\b|\bcdmards\b|\bpcp\b|\bpjp\b"
    r"|(?:\bp\.\s?)?\b(?:pneumocyst|jiroveci|carinii|legionell|mycoplasm|klebsiell)[\w-]*"
    r"|\b(?:strep|pneumo)(?:tococc|cocc)[\w-]*(?:\s+pneumoniae)?|\be\.?\s?coli\b|\bescherichia(?:\s+coli)?\b",
    re.IGNORECASE,
)


def redact(note: str) -> str:
    """Remove the names of the labelled diseases and their germs, and the brackets that this empties."""
    return re.sub(r"\s+", " ", re.sub(r"\(\s*\)", " ", NAMES.sub(" ", note))).strip()


def make_table(data: Path, *, keep_names: bool) -> list[Row]:
    """Rows of the case table from the data set's folder. Raises InputError.

    A file that is listed again, under another patient, is dropped, and the two are taken for one person.
    """
    source = _read_metadata(data) if (data / "metadata.csv").is_file() else _read_copy(data)
    paths = any("/" in row["finding"] for row in source)
    first: dict[str, str] = {}  # file -> patient
    same: dict[str, str] = {}  # patient -> the one that had the same file before
    rows = []
    for row in source:
        if row["image"] in first:
            same[row["patientid"]] = first[row["image"]]
            continue
        first[row["image"]] = row["patientid"]
        note = " ".join(row["clinical_notes"].split())
        case = {"case": row["case"], "patient": row["patientid"], "image": row["image"]}
        case["text"] = note if keep_names else redact(note)
        finding = row["finding"].strip()
        rows.append(case | (_labels_of_path(finding) if paths else _labels(finding)))
    return with_files([row | {"patient": same.get(row["patient"], row["patient"])} for row in rows])


def _read_metadata(data: Path) -> list[Row]:
    columns = ("folder", "filename", "modality", "view", "patientid", "finding", "clinical_notes")
    return [
        row | {"case": row["filename"], "image": str(data / row["folder"] / Path(row["filename"]).name)}
        for row in read_csv(data / "metadata.csv", columns)
        if row["modality"] == "X-ray" and row["view"].startswith(FRONTAL)
    ]


def _read_copy(data: Path) -> list[Row]:
    return [
        row | {"case": Path(row["png"]).stem, "image": str(data / "frontal_256" / row["png"])}
        for row in read_csv(data / "frontal.csv", ("png", "patientid", "finding", "clinical_notes"))
    ]


def _labels_of_path(finding: str) -> Row:
    """A finding more general than a label's leaves the label open."""
    labels = dict.fromkeys(LABELS, "")
    if finding in NO_PATH:
        return labels
    for label, path in PATHS.items():
        if not path.startswith(f"{finding}/"):
            labels[label] = str(int(f"{finding}/".startswith(f"{path}/")))
    return labels


def _labels(finding: str) -> Row:
    labels = {label: str(int(finding in values)) for label, values in LABELS.items()}
    if finding in CAUSE_UNKNOWN:
        labels |= dict.fromkeys(CAUSES, "")
    return labels if finding else dict.fromkeys(LABELS, "")


def main() -> int:
    """Run the command."""
    parser = make_parser(
        "covid_cxr",
        "Make a case table of the COVID-19 image data collection (metadata.csv, images/).",
        "covid-cxr cases.csv",
    )
    parser.add_argument("--keep-names", action="store_true", help="leave the disease's names in the notes")
    parser.add_argument("--redact", dest="keep_names", action="store_false", help="remove them (the default)")
    return run(parser, lambda args: make_table(args.data, keep_names=args.keep_names))


if __name__ == "__main__":
    sys.exit(main())
