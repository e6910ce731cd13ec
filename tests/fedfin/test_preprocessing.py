"""Recipes turn images and texts into exactly the tensors that they state."""

import numpy as np
import pytest
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers

from fedfin.encoders.bundle import ImageRecipe, TextRecipe
from fedfin.encoders.preprocessing import image_tensor, scale_to_eight_bits, text_tensors
from fedfin.errors import BundleError

RECIPE = ImageRecipe(8, 8, 3, "bilinear", 1.0, (10.0, 20.0, 30.0), (2.0, 2.0, 2.0))


def test_image_tensor_is_scaled_shifted_and_channels_first():
    """(x * scale - mean) / std per channel, as float32."""
    tensor = image_tensor(RECIPE, Image.new("RGB", (8, 8), (12, 24, 36)))
    assert tensor.dtype == np.float32
    assert tensor.shape == (3, 8, 8)
    np.testing.assert_array_equal(tensor[:, 0, 0], [1, 2, 3])


def test_shorter_side_is_resized_and_the_centre_kept():
    """A wide image with a bright middle third: after the crop, only the middle is left."""
    pixels = np.zeros((8, 24), np.uint8)
    pixels[:, 8:16] = 200
    tensor = image_tensor(ImageRecipe(8, 8, 1, "bilinear", 1.0, (0.0,), (1.0,)), Image.fromarray(pixels))
    assert tensor.shape == (1, 8, 8)
    assert (tensor == 200).all()


def test_all_zero_and_negative_grey_is_black():
    """No division by an empty range, no wrap-around below zero."""
    assert scale_to_eight_bits(np.array([[-5, 0]])).tolist() == [[0, 0]]


def test_crop_larger_than_resize_is_refused():
    """PIL would fill the rest with black without a word."""
    with pytest.raises(BundleError, match="crop"):
        image_tensor(ImageRecipe(8, 9, 1, "bilinear", 1.0, (0.0,), (1.0,)), Image.new("L", (9, 9)))


def test_texts_are_cut_padded_and_named():
    """Cut at max_tokens, padded with pad_id, only the inputs that the recipe names."""
    tokenizer = Tokenizer(models.WordLevel({"a": 1, "b": 2}, unk_token="a"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    recipe = TextRecipe("tokenizer.json", 8, 7, ("input_ids", "attention_mask"))
    tensors = text_tensors(recipe, tokenizer, ["a b", "b " * 20])
    assert list(tensors) == ["input_ids", "attention_mask"]
    assert tensors["input_ids"].tolist() == [[1, 2, 7, 7, 7, 7, 7, 7], [2] * 8]
    assert tensors["attention_mask"].tolist() == [[1, 1, 0, 0, 0, 0, 0, 0], [1] * 8]
    assert tensors["input_ids"].dtype == np.int64
