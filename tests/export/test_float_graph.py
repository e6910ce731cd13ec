"""The float graph that a bundle was quantized from can be kept, for who compares the two."""

import pytest

pytest.importorskip("onnxruntime")

from fedfin_export.bundle_writer import write_bundle
from fedfin_export.quantize.calibration import read_calibration
from fedfin_export.quantize.parity import agreement, float_features, onnx_features
from fedfin_export.sources import torch_module


def test_the_kept_graph_gives_the_modules_own_features(tiny, images, tmp_path):
    encoder = torch_module.load(tiny[1], None, tmp_path / "recipe.json")
    calibration, kept = read_calibration(encoder, images), tmp_path / "float.onnx"
    write_bundle(encoder, calibration, tmp_path / "bundle", force=False, keep_float=kept)
    own = float_features(encoder, calibration.hold_out)
    assert agreement(own, onnx_features(kept, calibration.hold_out)).worst > 0.99999
    assert kept.read_bytes() != (tmp_path / "bundle" / "encoder.onnx").read_bytes()
