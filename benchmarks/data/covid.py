"""The public COVID-19 image data collection: frontal X-rays with clinical notes, six labels, some unknown.

Cohen et al., arXiv 2006.11988. Small, and 4 of 5 cases are COVID-19: a trial of images and text together, not
a measure of either. The names of the diseases are taken out of the notes.
"""

from pathlib import Path

from benchmarks.cases.covid_cxr import make_table
from benchmarks.cases.tables import write_table
from benchmarks.data import table
from benchmarks.data.bundles import image_bundle, text_bundle
from benchmarks.data.cases import Cases


def load(data: Path, cache: Path, step: table.Step) -> Cases:
    """The cases of the folder `data` (frontal.csv, frontal_256/) with their features.

    Raises InputError when the folder is not the data set's or an encoder cannot be exported.
    """
    out = cache / "covid-cxr.csv"
    write_table(out, make_table(data, keep_names=False))
    bundles = {"image": image_bundle(cache, "covid-cxr", data / "frontal_256"), "text": text_bundle(cache)}
    return table.load(out, bundles, cache, step)
