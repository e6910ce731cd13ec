"""Case table of the public COVID-19 image data collection: real frontal X-rays with clinical notes.

    python -m benchmarks.cases.covid_cxr DATA_FOLDER OUT_TABLE [--keep-names]

Text is `clinical_notes`; `other_notes` often state the diagnosis and stay out. Many notes name the disease,
and a model would read the answer there, so its names are removed unless --keep-names is given.
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
    source = read_csv(data / "frontal.csv", ("png", "patientid", "finding", "clinical_notes"))
    first: dict[str, str] = {}  # file -> patient
    same: dict[str, str] = {}  # patient -> the one that had the same file before
    rows = []
    for row in source:
        if row["png"] in first:
            same[row["patientid"]] = first[row["png"]]
            continue
        first[row["png"]] = row["patientid"]
        note = " ".join(row["clinical_notes"].split())
        case = {"case": Path(row["png"]).stem, "patient": row["patientid"]}
        case["image"] = str(data / "frontal_256" / row["png"])
        case["text"] = note if keep_names else redact(note)
        rows.append(case | _labels(row["finding"].strip()))
    return with_files([row | {"patient": same.get(row["patient"], row["patient"])} for row in rows])


def _labels(finding: str) -> Row:
    labels = {label: str(int(finding in values)) for label, values in LABELS.items()}
    if finding in CAUSE_UNKNOWN:
        labels |= dict.fromkeys(CAUSES, "")
    return labels if finding else dict.fromkeys(LABELS, "")


def main() -> int:
    """Run the command."""
    parser = make_parser(
        "covid_cxr",
        "Make a case table of the COVID-19 image data collection (frontal.csv, frontal_256/).",
        "covid-cxr cases.csv",
    )
    parser.add_argument("--keep-names", action="store_true", help="leave the disease's names in the notes")
    parser.add_argument("--redact", dest="keep_names", action="store_false", help="remove them (the default)")
    return run(parser, lambda args: make_table(args.data, keep_names=args.keep_names))


if __name__ == "__main__":
    sys.exit(main())
