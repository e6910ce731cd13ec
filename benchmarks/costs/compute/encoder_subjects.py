"""Encoders: the graph alone, float and int8, and from a case's file or text to its features."""

import numpy as np

from benchmarks.costs.compute.graph_session import open_graph
from benchmarks.costs.compute.materials import IMAGE, Materials
from benchmarks.costs.compute.subject import Subject
from benchmarks.costs.onnx_nodes import Arrays, count

WORDS = 128  # of a report, for encoders of texts


def encoder_inputs(materials: Materials, modality: str) -> Arrays:
    """Pixels of the phantom, or its report's words, repeated to WORDS."""
    from fedfin.encoders.bundle import ImageRecipe, TextRecipe, read_manifest
    from fedfin.encoders.images import read_image
    from fedfin.encoders.preprocessing import image_tensor

    recipe = read_manifest(materials.bundle(modality)).recipe
    if isinstance(recipe, ImageRecipe):
        return {recipe.input_name: image_tensor(recipe, read_image(materials.image).image)[np.newaxis]}
    assert isinstance(recipe, TextRecipe)
    words = np.arange(1000, 1000 + WORDS, dtype=np.int64)[np.newaxis]
    return {name: np.ones_like(words) if name == "attention_mask" else words for name in recipe.inputs}


def case_inputs(materials: Materials, modality: str) -> Arrays:
    """Of the case itself: pixels of the phantom, or its report's own words."""
    if modality == IMAGE:
        return encoder_inputs(materials, modality)
    from tokenizers import Tokenizer

    from fedfin.encoders.bundle import TextRecipe, read_manifest
    from fedfin.encoders.preprocessing import text_windows

    recipe = read_manifest(materials.bundle(modality)).recipe
    assert isinstance(recipe, TextRecipe)
    tokenizer = Tokenizer.from_file(str(materials.bundle(modality) / recipe.tokenizer))
    (window,) = text_windows(recipe, tokenizer, materials.text)  # phantoms' reports are short
    return dict(window.feeds)


def encoder(modality: str, kind: str, materials: Materials, threads: int) -> Subject:
    """The graph alone; kind: `float` or `int8`."""
    path = materials.float_graph(modality) if kind == "float" else materials.bundle(modality) / "encoder.onnx"
    inputs = encoder_inputs(materials, modality)
    session, counted = open_graph(path, threads), count(path, inputs)
    return Subject(lambda: session.run(None, inputs), counted.total, counted.values, counted.int8)


def encode(modality: str, materials: Materials, _: int) -> Subject:
    """From the file or the text to features, as `fedfin edge encode` does."""
    from fedfin_edge.cases.encoder import open_encoder

    encoder = open_encoder(materials.bundle(modality))
    value = materials.image if modality == IMAGE else materials.text
    counted = count(materials.bundle(modality) / "encoder.onnx", case_inputs(materials, modality))
    return Subject(lambda: encoder.encode_noted(value), counted.total, counted.values, counted.int8)
