"""The check of pixels finds what is wrong, also where it was noted."""

import numpy as np
import pytest
from PIL import Image

from benchmarks import pixels
from fedfin.encoders.picture import Picture


@pytest.fixture
def transparent(tmp_path):
    """A picture that is noted: shades of red, each at another opacity."""
    path = tmp_path / "a.png"
    shades = np.zeros((16, 16, 4), np.uint8)
    shades[:, :, 0] = np.arange(256).reshape(16, 16)
    shades[:, :, 3] = 255 - shades[:, :, 0]
    Image.fromarray(shades).save(path)
    return path


def test_a_noted_file_is_compared(transparent):
    """It is near the reference, so it counts as noted."""
    verdict = pixels.judge(transparent)
    assert (verdict.verdict, "transparent" in verdict.reason) == ("noted", True)


def test_a_noted_file_whose_pixels_differ_is_different(transparent, monkeypatch):
    """A note is no licence: here the opacity was ignored."""
    wrong = Picture(Image.open(transparent).convert("RGB"), ("is transparent in places",))
    monkeypatch.setattr(pixels, "read_image", lambda _: wrong)
    verdict = pixels.judge(transparent)
    assert (verdict.verdict, verdict.reason) == ("different", "is transparent in places; 255 levels")
