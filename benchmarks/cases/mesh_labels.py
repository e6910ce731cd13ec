"""Labels of Open-I reports from the MeSH headings that indexers gave them.

A heading is a path, "Opacity/lung/base/left". Two sets of labels: the headings themselves (`mesh`, the 14 findings
that at least 60 reports have), or the 14 CheXpert labels (`chexpert`). **That mapping is ours**: it follows which words
CheXpert's labeler counts for each label (Irvin et al. 2019, arXiv 1901.07031), nobody has checked it against
radiologists, and what a report says but the indexers left out is missed. What is not indexed is absent; only of a
report that was not indexed at all ("no indexing") are all labels unknown.
"""

from collections.abc import Iterable

from benchmarks.cases import chexpert_labels
from benchmarks.cases.tables import Row
from benchmarks.data.openi import LABELS as HEADINGS

SETS = ("mesh", "chexpert")
NOT_INDEXED = "no indexing"

# Each entry is a heading, or a heading and a part of its path that must be there, too.
CHEXPERT = {
    "no_finding": ("normal",),
    "enlarged_cardiomediastinum": ("mediastinum/enlarged", "mediastinum/prominent"),
    "cardiomegaly": ("cardiomegaly", "cardiac shadow/enlarged"),
    "lung_opacity": ("opacity", "airspace disease", "infiltrate", "density/lung"),
    "lung_lesion": ("nodule", "mass/lung", "cavitation/lung"),
    "edema": ("pulmonary edema", "pulmonary congestion", "heart failure"),
    "consolidation": ("consolidation",),
    "pneumonia": ("pneumonia",),
    "atelectasis": ("pulmonary atelectasis",),
    "pneumothorax": ("pneumothorax", "hydropneumothorax", "hemopneumothorax"),
    "pleural_effusion": ("pleural effusion", "hydropneumothorax", "hemothorax"),
    "pleural_other": ("thickening/pleura", "cicatrix/pleura", "pleura"),
    "fracture": ("fractures, bone",),
    "support_devices": (
        "catheters, indwelling",
        "implanted medical device",
        "medical device",
        "stents",
        "tube, inserted",
    ),
}
assert set(CHEXPERT) == set(chexpert_labels.LABELS)
MESH = {heading.replace(" ", "_"): (heading,) for heading in HEADINGS}


def read_labels(headings: Iterable[str], which: str) -> Row:
    """The label columns of the set `which` from a report's headings, as they are written."""
    paths = [[part.strip() for part in heading.lower().split("/")] for heading in headings]
    wanted = CHEXPERT if which == "chexpert" else MESH
    if not paths or any(path[0] == NOT_INDEXED for path in paths):
        return dict.fromkeys(wanted, "")
    return {label: str(int(_is_there(entries, paths))) for label, entries in wanted.items()}


def _is_there(entries: Iterable[str], paths: list[list[str]]) -> bool:
    return any(
        path[0] == heading and (not part or part in path[1:])
        for heading, _, part in (entry.partition("/") for entry in entries)
        for path in paths
    )
