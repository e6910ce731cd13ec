"""The study's data sets by name, from a cache folder that fills itself."""

import os
from pathlib import Path

from benchmarks.data import hancock, heart, mfeat, openi
from benchmarks.data.bundles import text_bundle
from benchmarks.data.cases import Cases
from fedfin.encoders.bundle import read_manifest
from fedfin.errors import InputError

# What cannot be fetched: the environment variable that names its folder, and what lies in that.
COVID_FOLDER, NIH_FOLDER = "FEDFIN_COVID_CXR", "FEDFIN_NIH_SAMPLE"
COVID = (COVID_FOLDER, "its frontal.csv and frontal_256/")
FOLDERS = {
    "covid": COVID,
    "covid-cut": COVID,
    "covid-public": COVID,
    "hancock": ("FEDFIN_HANCOCK", "its clinical.csv, targets.csv and tma_tile_dtr_256_*.npz"),
    "uci-heart": ("FEDFIN_UCI_HEART", "its processed.*.data"),
}
NAMES = ("mfeat", "open-i", *FOLDERS)


def default_cache() -> Path:
    """Where data files, the encoders and their features are kept between studies."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fedfin-bench"


def load_cases(
    name: str, cache: Path, step: openi.Step = lambda _done, _total: None, *, folder: Path | None = None
) -> Cases:
    """A data set of `NAMES`. `step` is told the inputs encoded of all, where any are to be.

    `folder` has the files of one that cannot be fetched (`FOLDERS`); without it an environment variable names it.
    Raises InputError when the files or the encoders cannot be had.
    """
    if name not in NAMES:
        raise InputError(f"there is no data set {name!r}; it is one of {', '.join(NAMES)}")
    if name in FOLDERS:
        return _load_from(folder or _named(*FOLDERS[name]), name, cache, step)
    return mfeat.load(cache) if name == "mfeat" else _open_i(cache, step)


def _load_from(folder: Path, name: str, cache: Path, step: openi.Step) -> Cases:
    if name == "hancock":
        return hancock.load(folder)
    if name == "uci-heart":
        return heart.load(folder)
    from benchmarks.data import covid  # with edge_client's readers of images

    if name == "covid-public":
        images = _named(NIH_FOLDER, "its labels.csv and images_256/")
        return covid.with_public(covid.load(folder, cache, step), images, folder, _open_i(cache, step), cache)
    return (covid.load if name == "covid" else covid.load_cut)(folder, cache, step)


def _open_i(cache: Path, step: openi.Step) -> Cases:
    bundle = text_bundle(cache)

    def make_encode() -> openi.Encode:
        from fedfin_edge.cases.encoder import open_encoder

        encoder = open_encoder(bundle)
        return lambda text: encoder.encode([text])[0]

    return openi.load(cache, make_encode, read_manifest(bundle).digest(), step)


def _named(variable: str, files: str) -> Path:
    named = os.environ.get(variable)
    if not named:
        raise InputError(
            f"this data set cannot be fetched: set {variable} to the folder with {files} (docs/datasets.md)"
        )
    return Path(named)
