"""Invented Open-I reports in each of the layouts in which the collection is given out."""

import json
from dataclasses import dataclass, field


@dataclass
class Made:
    """An invented report; `images` are the parts of its file names that tell them apart."""

    number: str
    findings: str = ""
    headings: tuple = ("normal",)
    images: tuple = ("0652-1001", "0652-2001")
    indication: str = "Cough."
    views: tuple = field(default=("Lateral", "Frontal"))


MADE = (
    Made("2", "Borderline  cardiomegaly.", ("Cardiomegaly/borderline", "Opacity/lung/base/left")),
    Made("1", "Clear lungs.", images=("0001-3001", "0001-4001"), views=("Lateral", "Frontal")),
    Made("3", "", ("no indexing",), images=(), views=()),
    Made("4", "", ("Thickening/pleura/right",), images=(), indication="", views=()),
)

XML = """<?xml version="1.0" encoding="utf-8"?>
<eCitation><uId id="CXR{made.number}"/><MedlineCitation><Article><Abstract>
<AbstractText Label="COMPARISON">None.</AbstractText>
<AbstractText Label="INDICATION">{made.indication}</AbstractText>
<AbstractText Label="FINDINGS">{made.findings}</AbstractText>
<AbstractText Label="IMPRESSION"/>
</Abstract></Article></MedlineCitation>
<MeSH>{headings}<automatic>not read</automatic></MeSH>{images}</eCitation>"""


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def write_nlm(folder, reports=MADE):
    """ecgen-radiology/ and NLMCXR_png/."""
    (folder / "ecgen-radiology").mkdir()
    for made in reports:
        headings = "".join(f"<major>{heading}</major>" for heading in made.headings)
        prefix = "CXR1_1" if made.number == "1" else f"CXR{made.number}"  # as it is in the collection
        names = [f"{prefix}_IM-{image}" for image in made.images]
        images = "".join(f'<parentImage id="{name}"><caption>PA</caption></parentImage>' for name in names)
        text = XML.format(made=made, headings=headings, images=images)
        (folder / "ecgen-radiology" / f"{made.number}.xml").write_text(text)
        for name in names:
            touch(folder / "NLMCXR_png" / f"{name}.png")
    return folder


def write_projections(folder, reports=MADE):
    """Kaggle's table of views: there the names lack CXR and end on .dcm.png."""
    lines = [
        f"{made.number},{made.number}_IM-{image}.dcm.png,{view}\n"
        for made in reports
        for image, view in zip(made.images, made.views, strict=True)
    ]
    (folder / "indiana_projections.csv").write_text("uid,filename,projection\n" + "".join(lines))


def write_kaggle(folder, reports=MADE):
    """indiana_reports.csv, indiana_projections.csv and images/images_normalized/."""
    write_projections(folder, reports)
    lines = [
        f"{made.number},{';'.join(made.headings)},x,PA,{made.indication},None.,{made.findings},\n"
        for made in reports
    ]
    header = "uid,MeSH,Problems,image,indication,comparison,findings,impression\n"
    (folder / "indiana_reports.csv").write_text(header + "".join(lines))
    for made in reports:
        for image in made.images:
            touch(folder / "images" / "images_normalized" / f"{made.number}_IM-{image}.dcm.png")
    return folder


def entry(number, side, report):
    """One entry of annotation.json."""
    name = f"CXR{number}_IM-0{number}"
    return {"id": name, "report": report, "image_path": [f"{name}/0.png", f"{name}/1.png"], "split": side}


def write_r2gen(folder, sides):
    """annotation.json and images/. sides: side -> {number: report}."""
    entries = {side: [entry(n, side, text) for n, text in made.items()] for side, made in sides.items()}
    (folder / "annotation.json").write_text(json.dumps(entries))
    for one in (one for side in entries.values() for one in side):
        for path in one["image_path"]:
            touch(folder / "images" / path)
    return folder
