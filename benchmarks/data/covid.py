"""The public COVID-19 image data collection: frontal X-rays with clinical notes, six labels, some unknown.

Cohen et al., arXiv 2006.11988. Small, and 4 of 5 cases are COVID-19: a trial of images and text together, not
a measure of either. The names of the diseases are taken out of the notes.
"""

import dataclasses
from pathlib import Path
from typing import Any

from benchmarks.cases.covid_cxr import make_table
from benchmarks.cases.nih_sample import make_table as make_nih_table
from benchmarks.cases.tables import Row, write_table
from benchmarks.data import table
from benchmarks.data.bundles import image_bundle, text_bundle
from benchmarks.data.cases import Cases
from fedfin.encoders.bundle import TextRecipe, read_manifest
from fedfin.encoders.preprocessing import open_tokenizer


def load(data: Path, cache: Path, step: table.Step) -> Cases:
    """The cases of the folder `data` (frontal.csv, frontal_256/) with their features.

    Raises InputError when the folder is not the data set's or an encoder cannot be exported.
    """
    return _load(make_table(data, keep_names=False), "covid-cxr", data, cache, step)


def load_cut(data: Path, cache: Path, step: table.Step) -> Cases:
    """The cases of `load`, in its groups, but with features of what fits the text encoder's first window alone.

    What it costs to cut a note; sites read notes whole. Raises what `load` raises.
    """
    rows = make_table(data, keep_names=False)
    whole = _load(rows, "covid-cxr", data, cache, step)
    cut = _load(first_windows(text_bundle(cache), rows), "covid-cxr-cut", data, cache, step)
    return dataclasses.replace(whole, features=cut.features)


def with_public(cases: Cases, nih: Path, data: Path, reports: Cases, cache: Path) -> Cases:
    """The cases of `load(data, ...)` with public ones beside, for axes: images of NIH's sample, Open-I's findings.

    They pass through the same encoders, and no patient is in both. Raises what `load` raises.
    """
    out = cache / "nih-sample.csv"
    write_table(out, make_nih_table(nih))
    bundles = {"image": image_bundle(cache, "covid-cxr", data / "frontal_256")}
    images = table.load(out, bundles, cache, lambda _done, _total: None)
    public = {
        "image": images.features["image"][images.present["image"]],
        "text": reports.features["findings"][reports.present["findings"]],
    }
    return dataclasses.replace(cases, public=public)


def first_windows(bundle: Path, rows: list[Row]) -> list[Row]:
    """The rows with each text up to the last word, or part of one, of its first window.

    WordPiece takes the longest piece first, so what is left gives the tokens of the first window again.
    """
    recipe = read_manifest(bundle).recipe
    assert isinstance(recipe, TextRecipe), "the study's own text bundle"
    tokenizer = open_tokenizer(bundle / recipe.tokenizer)
    tokenizer.enable_truncation(max_length=recipe.max_tokens)
    return [row | {"text": _up_to_last_token(tokenizer, row["text"])} for row in rows]


def _up_to_last_token(tokenizer: Any, text: str) -> str:
    return text[: max((end for _, end in tokenizer.encode(text).offsets), default=0)]


def _load(rows: list[Row], name: str, data: Path, cache: Path, step: table.Step) -> Cases:
    out = cache / f"{name}.csv"
    write_table(out, rows)
    bundles = {"image": image_bundle(cache, "covid-cxr", data / "frontal_256"), "text": text_bundle(cache)}
    return table.load(out, bundles, cache, step)
