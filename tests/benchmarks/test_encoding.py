"""The benchmark of encoding runs the real workers."""

from pathlib import Path

import pytest

from benchmarks import encoding, encoding_inputs


@pytest.fixture
def small(monkeypatch):
    """Its inputs, of fewer pixels, and a tiny encoder."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "edge_client")
    from edge_sites import make_image_bundle

    monkeypatch.setattr(encoding_inputs, "ROWS", 300)
    monkeypatch.setattr(encoding_inputs, "COLUMNS", 260)
    monkeypatch.setattr(encoding, "make_bundle", lambda folder: make_image_bundle(folder / "bundle"))


def test_every_kind_is_measured_with_one_process_and_with_several(small, tmp_path):
    """And none of its images is refused, which would be quick."""
    speeds, splits = encoding.measure(tmp_path, count=1, runs=1, processes=2)
    assert [(each.kind, each.processes) for each in speeds] == [
        (kind, processes) for kind in encoding_inputs.TIMES for processes in (1, 2)
    ]
    assert all(each.images_per_s > 0 and each.peak_memory_mb > 0 for each in speeds)
    assert [each.kind for each in splits] == list(encoding_inputs.TIMES)
    assert all(each.decode_ms > 0 for each in splits)
