"""The study's data sets by name, from a cache folder that fills itself."""

import os
from pathlib import Path

from benchmarks.data import mfeat, openi
from benchmarks.data.bundles import text_bundle
from benchmarks.data.cases import Cases
from fedfin.encoders.bundle import read_manifest
from fedfin.errors import InputError

NAMES = ("mfeat", "open-i", "covid", "covid-cut")
COVID_FOLDER = "FEDFIN_COVID_CXR"  # environment variable


def default_cache() -> Path:
    """Where data files, the encoders and their features are kept between studies."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fedfin-bench"


def load_cases(
    name: str, cache: Path, step: openi.Step = lambda _done, _total: None, *, folder: Path | None = None
) -> Cases:
    """A data set of `NAMES`. `step` is told the inputs encoded of all, where any are to be.

    `folder` has the files of "covid" and "covid-cut", which cannot be fetched; without it the environment variable
    FEDFIN_COVID_CXR names it. Raises InputError when the files or the encoders cannot be had.
    """
    if name not in NAMES:
        raise InputError(f"there is no data set {name!r}; it is one of {', '.join(NAMES)}")
    if name == "mfeat":
        return mfeat.load(cache)
    if name in ("covid", "covid-cut"):
        from benchmarks.data import covid  # with edge_client's readers of images

        load = covid.load if name == "covid" else covid.load_cut
        return load(folder or _covid_folder(), cache, step)
    bundle = text_bundle(cache)

    def make_encode() -> openi.Encode:
        from fedfin_edge.cases.encoder import open_encoder

        encoder = open_encoder(bundle)
        return lambda text: encoder.encode([text])[0]

    return openi.load(cache, make_encode, read_manifest(bundle).digest(), step)


def _covid_folder() -> Path:
    named = os.environ.get(COVID_FOLDER)
    if not named:
        raise InputError(
            f"this data set cannot be fetched: set {COVID_FOLDER} to the folder with its frontal.csv"
            " and frontal_256/ (docs/datasets.md)"
        )
    return Path(named)
