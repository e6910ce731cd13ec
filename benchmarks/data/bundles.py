"""The encoder bundles of the study: the project's own exports, each made once in the cache folder."""

import subprocess
import sys
from pathlib import Path

from fedfin.errors import InputError


def text_bundle(cache: Path) -> Path:
    """MiniLM-L6, 384 features. Raises InputError when it cannot be exported."""
    return _export(cache / "minilm-l6", ["--preset", "minilm-l6"])


def image_bundle(cache: Path, name: str, images: Path) -> Path:
    """EfficientNet-lite0, last layer, 1280 features, quantized on the images of the data set `name`.

    The calibration sees pixels only, never a label. Raises InputError when it cannot be exported.
    """
    options = ["--preset", "efficientnet-lite0", "--layer", "last", "--calibrate", str(images)]
    return _export(cache / f"efficientnet-lite0-{name}", options)


def _export(bundle: Path, options: list[str]) -> Path:
    if not bundle.is_dir():
        bundle.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "fedfin", "export", "encoder", *options, str(bundle)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise InputError(f"could not export the encoder {bundle.name}: {reason}")
    return bundle
