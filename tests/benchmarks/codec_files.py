"""Invented data in the layouts of the study's data sets, small enough to train on at once."""

import io
import tarfile

import numpy as np

from benchmarks.data import mfeat, openi


def write_mfeat(folder, digits=100, seed=0):
    """Six views of two features, of which the class shows in every one."""
    folder.mkdir(parents=True, exist_ok=True)
    draws = np.random.default_rng(seed)
    classes = np.arange(digits) % mfeat.CLASSES
    for view in mfeat.VIEWS:
        angles = 2 * np.pi * classes[:, None] / mfeat.CLASSES + [0, np.pi / 2]
        features = 3 * np.cos(angles) + draws.normal(size=(digits, 2))
        lines = [f"{a:.4f},{b:.4f},{c}" for (a, b), c in zip(features, classes, strict=True)]
        (folder / f"mfeat-{view}.csv").write_text("\n".join(["0,1,2", *lines]) + "\n")
    return folder


def mfeat_cache(cache, digits=100):
    """A cache folder that already has invented mfeat files where the package's would be."""
    write_mfeat(cache / mfeat.PACKAGE.replace("==", "-") / mfeat.FOLDER, digits)
    return cache


def report(findings="", indication="", majors=()):
    """One report's XML, as Open-I has it."""
    headings = "".join(f"<major>{major}</major>" for major in majors)
    return (
        "<?xml version='1.0' encoding='utf-8'?><eCitation><MedlineCitation><Article><Abstract>"
        f"<AbstractText Label='INDICATION'>{indication}</AbstractText>"
        f"<AbstractText Label='FINDINGS'>{findings}</AbstractText>"
        "<AbstractText Label='IMPRESSION'>not read</AbstractText>"
        f"</Abstract></Article></MedlineCitation><MeSH>{headings}<automatic>not read</automatic></MeSH></eCitation>"
    )


def write_reports(path, reports):
    """An archive of reports, by number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for number, text in enumerate(reports, 1):
            info = tarfile.TarInfo(f"ecgen-radiology/{number}.xml")
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return path


def open_i_cache(cache, reports):
    """A cache folder that already has invented reports where the package's would be."""
    write_reports(cache / openi.PACKAGE.replace("==", "-") / openi.MEMBER, reports)
    return cache
