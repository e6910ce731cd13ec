"""What is said of two versions of onnxruntime is what their answers are."""

import csv
from pathlib import Path

import numpy as np
import pytest

from benchmarks import encoder_versions

TRUTH = np.array([[0, 1], [1, 0], [0, np.nan], [1, 1], [0, 0]], np.float32)


def answered(version: str, far: float) -> dict[str, np.ndarray]:
    """Of five cases; the text's are so far from those of another version."""
    rng = np.random.default_rng(1)
    found = {f"features {name}": rng.normal(size=(5, 8)).astype(np.float32) for name in ("image", "text")}
    found |= {name: np.linspace(0, 1, 10, dtype=np.float32).reshape(5, 2) for name in encoder_versions.GIVEN}
    found["text"] = found["text"] + np.float32(far) * (np.arange(10).reshape(5, 2) == 0)
    found["features text"][0, 0] += far
    return found | {"version": np.array(version)}


def test_a_difference_is_shown_where_it_is_and_nowhere_else(capsys: pytest.CaptureFixture[str]) -> None:
    """Of texts alone; their AUC falls."""
    encoder_versions.show("2", TRUTH, answered("1", 0.0), answered("2", 0.8))
    shown = capsys.readouterr().out
    assert shown.startswith("5 cases, onnxruntime 1 beside 2\n")
    assert "| image | 1.0000 | 1.0000 |" in shown
    assert "| text | 1.0000 | 1.0000 |" not in shown
    assert "| image and text | 37.50 | 37.50 | 0.0000 | 0.000 |" in shown
    assert "| text | 37.50 | 20.83 | 0.0800 | 0.800 |" in shown


def test_cases_with_both_modalities_are_taken_with_their_labels(tmp_path: Path) -> None:
    """A blank label is unknown."""
    (tmp_path / "split/holdout").mkdir(parents=True)
    with (tmp_path / "split/holdout/cases.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(
            [
                ["case", "patient", "image", "text", "effusion", "mass"],
                ["a", "p", "a.png", "clear", "1", ""],
                ["b", "q", "b.png", "", "0", "1"],
            ]
        )
    (row,) = encoder_versions.cases(tmp_path)
    assert row["case"] == "a"
    np.testing.assert_array_equal(encoder_versions.labels([row]), [[1, np.nan]])
