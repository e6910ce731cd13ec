"""What a bundle's encoder makes of a known input."""

from pathlib import Path

import numpy as np
import pytest

from fedfin.encoders.bundle import ImageRecipe, VectorRecipe
from fedfin.encoders.golden import GOLDEN, cosine, golden_parts, read_golden
from fedfin.errors import BundleError

IMAGE = ImageRecipe(8, 8, 1, "bilinear", 1.0, (0.0,), (1.0,))


def test_the_input_is_the_same_everywhere_and_not_flat() -> None:
    """It follows from the recipe alone."""
    for recipe in (IMAGE, VectorRecipe(length=5)):
        (feeds, weight), (again, _) = golden_parts(Path(), recipe)[0], golden_parts(Path(), recipe)[0]
        (values,) = feeds.values()
        assert weight == 1
        assert np.array_equal(values, next(iter(again.values())))
        assert values.std() > 0.1


def test_the_cosine_of_what_cannot_be_compared_is_nothing() -> None:
    """Other lengths, nothing, not finite: none of them passes."""
    one = np.array([1.0, 2.0], np.float32)
    assert cosine(one, 3 * one) == pytest.approx(1.0)
    for other in (one[:1], 0 * one, np.array([np.nan, 1.0], np.float32), np.array([np.inf, 1.0], np.float32)):
        assert cosine(one, other) == 0.0


def test_a_bundle_of_before_has_none_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    """The bundle works all the same."""
    assert read_golden(tmp_path) is None
    for bad in (b"", b'{"features": ["x"]}', b"\xff"):
        (tmp_path / GOLDEN).write_bytes(bad)
        with pytest.raises(BundleError, match=r"golden\.json: is damaged"):
            read_golden(tmp_path)
