"""The presets export to bundles whose int8 features stay close to float's, smaller than float."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest

from fedfin.encoders.bundle import read_manifest
from fedfin.encoders.golden import cosine, golden_parts, read_golden
from fedfin.encoders.images import read_image
from fedfin.encoders.preprocessing import image_tensor, open_tokenizer, text_windows
from fedfin_edge.cases.encoder import open_encoder


def features(bundle, inputs):
    """The bundle's features [n, dim] as any onnxruntime gives them."""
    session = onnxruntime.InferenceSession(bundle / "encoder.onnx", providers=["CPUExecutionProvider"])
    return session.run(["features"], inputs)[0]


@pytest.mark.parametrize("name", ["image_bundle", "text_bundle"])
def test_parity_report_holds_the_bound_and_shows_the_gain(name, request):
    """Cosine within the stated bound, and the file smaller."""
    report = json.loads((request.getfixturevalue(name) / "parity.json").read_text())
    assert report["cosine"]["mean"] >= 0.99
    assert report["cosine"]["worst"] >= 0.97
    assert report["hold_out"] >= 8
    assert report["after"]["bytes"] < 0.8 * report["before"]["bytes"]
    assert report["after"]["latency_ms"] > 0


@pytest.mark.parametrize("name", ["image_bundle", "text_bundle"])
def test_a_site_can_compare_its_features_with_those_at_export(name, request):
    """On the machine that exported they are the same."""
    bundle = request.getfixturevalue(name)
    encoder = open_encoder(bundle)
    known = read_golden(bundle)
    assert known.shape == (encoder.manifest.columns,)
    assert cosine(known, encoder.features(golden_parts(bundle, encoder.manifest.recipe))) > 0.9999


@pytest.mark.parametrize("name", ["image_bundle", "text_bundle"])
def test_graph_runs_on_old_onnxruntime_and_names_no_path_of_the_machine(name, request):
    """Onnxruntime 1.23 (Python 3.10, aarch64) reads IR 10 and opset 21; torch notes its source paths."""
    path = request.getfixturevalue(name) / "encoder.onnx"
    model = onnx.load(path)
    assert model.ir_version <= 10
    assert all(entry.version <= 21 for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    assert b"site-packages" not in path.read_bytes()


def test_image_bundle_gives_features_from_the_recipe_alone(image_bundle, images):
    """The manifest is enough to make the input: finite features of the stated length, for any n."""
    manifest = read_manifest(image_bundle)
    batch = np.stack(
        [image_tensor(manifest.recipe, read_image(path).image) for path in sorted(images.iterdir())[:3]]
    )
    found = features(image_bundle, {"pixels": batch})
    assert found.shape == (3, manifest.dim)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


def test_image_preset_pools_after_the_last_layer_by_default():
    """`last` is the 1280 channels after the convolutional head."""
    from fedfin_export.sources import efficientnet

    encoder = efficientnet.load("last", "image")
    import torch

    assert encoder.module(torch.zeros(1, 3, 224, 224)).shape == (1, 1280)


def test_text_features_put_like_with_like(text_bundle):
    """Through the tokenizer and the recipe of the bundle alone, so wrong ids or pooling would show."""
    manifest = read_manifest(text_bundle)
    tokenizer = open_tokenizer(text_bundle / "tokenizer.json")
    texts = ["There is a pleural effusion.", "Fluid is seen in the pleural space.", "The invoice was paid."]
    rows = [
        features(text_bundle, text_windows(manifest.recipe, tokenizer, text)[0].feeds)[0] for text in texts
    ]
    unit = np.stack(rows) / np.linalg.norm(rows, axis=1, keepdims=True)
    assert unit.shape == (3, 384)
    assert unit[0] @ unit[1] > 0.5 > unit[0] @ unit[2]


def test_a_long_report_s_last_sentence_counts(text_bundle):
    """Its negation, 2,000 words into the report, changes what a site trains on."""
    encoder = open_encoder(text_bundle)
    long = "The lungs are clear and the heart is of normal size. " * 182
    found, denied = encoder.encode([long + "There is a mass.", long + "There is no mass."])
    assert len(long.split()) > 2000
    assert np.abs(found - denied).max() > 1e-4


def test_a_short_text_s_features_are_the_graph_s_own(text_bundle):
    """Reading in windows leaves a text of one window as it was, bit by bit."""
    tokenizer = open_tokenizer(text_bundle / "tokenizer.json")
    (window,) = text_windows(read_manifest(text_bundle).recipe, tokenizer, "No effusion.")
    own = features(text_bundle, window.feeds)[0]
    assert open_encoder(text_bundle).encode(["No effusion."])[0].tobytes() == own.tobytes()


def test_manifest_states_source_licence_and_versions(image_bundle, text_bundle):
    """Whoever gets a bundle can see what it is and how it was made."""
    for bundle in (image_bundle, text_bundle):
        manifest = read_manifest(bundle)
        assert manifest.licence == "Apache-2.0"
        assert set(manifest.versions) == {"fedfin", "torch", "onnx", "onnxruntime"}
        assert manifest.digest() in (bundle / "CARD.md").read_text()
