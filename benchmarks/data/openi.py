"""Open-I: chest X-ray reports of Indiana University as two modalities, indication and findings.

Demner-Fushman et al., JAMIA 2016, doi 10.1093/jamia/ocv080; CC BY-NC-ND 4.0: read, never passed on. The XMLs come
with the PyPI package torchxrayvision. A report is a patient. Labels are the major MeSH headings that the reports
were indexed with, without their qualifiers.
"""

import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
from numpy.typing import NDArray

from benchmarks.data.cases import Cases, group
from benchmarks.data.packages import fetch
from fedfin.errors import InputError

PACKAGE = "torchxrayvision==1.5.7"
MEMBER = "torchxrayvision/data/NLMCXR_reports.tgz"
SECTIONS = ("findings", "indication")
# The findings with at least 60 reports each; "normal", anatomy and remarks on the technique left out.
LABELS = (
    "airspace disease",
    "atherosclerosis",
    "calcified granuloma",
    "calcinosis",
    "cardiomegaly",
    "cicatrix",
    "deformity",
    "emphysema",
    "granulomatous disease",
    "nodule",
    "opacity",
    "pleural effusion",
    "pulmonary atelectasis",
    "scoliosis",
)

# One text to its features, float32 [dim].
Encode = Callable[[str], NDArray[np.float32]]
Step = Callable[[int, int], None]


@dataclass(frozen=True)
class Report:
    """One patient's report: text by section (blank where absent) and the MeSH headings, in lower case."""

    sections: dict[str, str]
    headings: frozenset[str]


def load(cache: Path, make_encode: Callable[[], Encode], encoder: str, step: Step) -> Cases:
    """The cases with their features, which are kept in `cache` per `encoder` (its digest).

    `make_encode` is called only when they are not there yet; `step` is told the texts done of all.
    Raises InputError when the reports cannot be had.
    """
    reports = read(fetch(PACKAGE, MEMBER, cache))
    path = cache / f"open-i-{encoder[:16]}.npz"
    if not path.is_file():
        features = encode(reports, make_encode(), step)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, findings=features["findings"], indication=features["indication"])
        partial.replace(path)
    with np.load(path) as kept:
        return to_cases(reports, {section: kept[section] for section in SECTIONS})


def read(archive: Path) -> list[Report]:
    """Every report that has one of the sections, by file name. Raises InputError for a damaged archive."""
    try:
        with tarfile.open(archive) as tar:
            members = sorted((m for m in tar if m.isfile() and m.name.endswith(".xml")), key=lambda m: m.name)
            reports = [_parse(tar, member) for member in members]
    except (OSError, tarfile.TarError, ET.ParseError) as error:
        raise InputError(f"{archive}: is not the archive of Open-I reports ({error})") from None
    kept = [report for report in reports if any(report.sections.values())]
    if not kept:
        raise InputError(f"{archive}: holds no report")
    return kept


def encode(reports: Sequence[Report], encode_text: Encode, step: Step) -> dict[str, NDArray[np.float32]]:
    """Section -> features float32 [reports, dim], zero where the section is blank; equal texts are encoded once."""
    texts = sorted({text for report in reports for text in report.sections.values() if text})
    known = {}
    for done, text in enumerate(texts, 1):
        known[text] = encode_text(text)
        step(done, len(texts))
    blank = np.zeros_like(known[texts[0]])
    return {
        section: np.stack([known.get(report.sections[section], blank) for report in reports])
        for section in SECTIONS
    }


def to_cases(reports: Sequence[Report], features: dict[str, NDArray[np.float32]]) -> Cases:
    """Raises InputError when the features are of other reports."""
    if any(len(values) != len(reports) for values in features.values()):
        raise InputError(
            "the kept features of Open-I are of other reports; delete them from the cache folder"
        )
    labels = [[label in report.headings for label in LABELS] for report in reports]
    present = {s: np.array([bool(report.sections[s]) for report in reports], np.bool_) for s in SECTIONS}
    texts = {section: [report.sections[section] for report in reports] for section in SECTIONS}
    return Cases(features, present, np.array(labels, np.float32), _groups(reports), texts, LABELS)


def _parse(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Report:
    file = tar.extractfile(member)
    assert file is not None, "only files are asked for"
    root = ET.parse(file).getroot()  # noqa: S314 - a published archive, pinned by version
    texts = {
        (part.get("Label") or "").lower(): (part.text or "").strip() for part in root.iter("AbstractText")
    }
    majors = (major.text for major in root.iter("major") if major.text)
    headings = frozenset(text.split("/")[0].strip().lower() for text in majors)
    return Report({section: texts.get(section, "") for section in SECTIONS}, headings)


def _groups(reports: Sequence[Report]) -> NDArray[np.int64]:
    """Reports with the same findings word for word are one group: many normal ones are dictated from a template."""
    keys = [report.sections["findings"].lower() or f"report {row}" for row, report in enumerate(reports)]
    return np.array([group(key) for key in keys], np.int64)
