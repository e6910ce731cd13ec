"""The study's data sets by name, from a cache folder that fills itself."""

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.data import mfeat, openi
from benchmarks.data.cases import Cases
from fedfin.bundle import read_manifest
from fedfin.errors import InputError


def default_cache() -> Path:
    """Where data files, the text encoder and its features are kept between studies."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fedfin-bench"


def load_cases(name: str, cache: Path, step: openi.Step = lambda _done, _total: None) -> Cases:
    """A data set of `federation.SCALES`. `step` is told the texts encoded of all, where any are to be.

    Raises InputError when the files or the encoder cannot be had.
    """
    if name == "mfeat":
        return mfeat.load(cache)
    bundle = _text_bundle(cache)

    def make_encode() -> openi.Encode:
        from edge_client.encoders import open_encoder

        encoder = open_encoder(bundle)
        return lambda text: encoder.encode([text])[0]

    return openi.load(cache, make_encode, read_manifest(bundle).digest(), step)


def _text_bundle(cache: Path) -> Path:
    """The project's own export of MiniLM, made once."""
    bundle = cache / "minilm-l6"
    if not bundle.is_dir():
        command = [sys.executable, "-m", "fedfin", "export", "encoder", "--preset", "minilm-l6", str(bundle)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise InputError(f"could not export the text encoder: {done.stderr.strip().splitlines()[-1:]}")
    return bundle
