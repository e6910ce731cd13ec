"""Raw deltas as files."""

from pathlib import Path

import numpy as np
import pytest

from fedfin.errors import StateError
from fedfin_edge.agent.raw_deltas import keep_deltas


def test_kept_deltas_read_back_bit_for_bit(tmp_path: Path) -> None:
    """By tensor name, whatever its dots; one file per round, nothing else in the folder."""
    deltas = {
        "head.real.image.bias": np.float32([0.1, -3e-9]),
        "head.output.weight": np.ones((2, 3), np.float32),
    }
    path = keep_deltas(tmp_path / "deep" / "er", "st-mary", 7, deltas)
    with np.load(path) as read:
        assert {name: read[name].tobytes() for name in read} == {n: a.tobytes() for n, a in deltas.items()}
    assert [p.name for p in path.parent.iterdir()] == ["st-mary-0007.npz"]


def test_a_folder_that_cannot_be_made_is_a_plain_error(tmp_path: Path) -> None:
    """It names the folder."""
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="file/x"):
        keep_deltas(tmp_path / "file" / "x", "s0", 1, {})
