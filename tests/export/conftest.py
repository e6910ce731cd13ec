"""Real exports, made once for all tests of this folder."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedfin.command_line.main import main

IMAGES = 24


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """A folder of smooth, made-up grey images, each different, like radiographs in their range."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for index in range(IMAGES):
        coarse = rng.integers(0, 256, (6 + index % 5, 7)).astype(np.uint8)
        Image.fromarray(coarse).resize((260, 240), Image.Resampling.BICUBIC).save(folder / f"{index:02}.png")
    return folder


@pytest.fixture(scope="session")
def image_bundle(tmp_path_factory, images):
    """The image preset's bundle, of an early layer: the exports are alike and this one is quick."""
    out = tmp_path_factory.mktemp("bundles") / "image"
    preset = ("--preset", "efficientnet-lite0", "--layer", "block:4")
    assert main(["export", "encoder", *preset, "--calibrate", str(images), str(out)]) == 0
    return out


@pytest.fixture(scope="session")
def text_bundle(tmp_path_factory):
    """The text preset's bundle."""
    out = tmp_path_factory.mktemp("bundles") / "text"
    assert main(["export", "encoder", "--preset", "minilm-l6", str(out)]) == 0
    return out


TINY = """
import torch

def make():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3, stride=4), torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(1))

def make_unpooled():
    return torch.nn.Conv2d(1, 8, 3)
"""


@pytest.fixture
def tiny(tmp_path):
    """A user's own module file and recipe; returns the command's options."""
    (tmp_path / "tiny.py").write_text(TINY)
    recipe = {
        "kind": "image",
        "resize": 40,
        "crop": 32,
        "channels": 1,
        "interpolation": "bilinear",
        "scale": 1 / 255,
        "mean": [0.5],
        "std": [0.25],
    }
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    return ["--torch", f"{tmp_path / 'tiny.py'}:make", "--recipe", str(tmp_path / "recipe.json")]


@pytest.fixture
def export(images, capsys):
    """Run `fedfin export encoder`, calibrated on the images; returns exit code, output, errors."""

    def run(out: Path, *options):
        calibrate = () if "--calibrate" in options or "--hf" in options else ("--calibrate", str(images))
        code = main(["export", "encoder", *options, *calibrate, str(out)])
        return code, *capsys.readouterr()

    return run
