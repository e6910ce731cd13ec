"""Recipes turn images and texts into exactly the tensors that they state."""

import numpy as np
import pytest
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers

from fedfin.encoders.bundle import ImageRecipe, TextRecipe
from fedfin.encoders.preprocessing import image_tensor, pool_windows, scale_to_eight_bits, text_windows
from fedfin.errors import BundleError, InputError

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


def letters() -> Tokenizer:
    """A tokenizer of the words a and b, without special tokens."""
    tokenizer = Tokenizer(models.WordLevel({"a": 1, "b": 2}, unk_token="a"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def test_a_long_text_is_read_to_its_last_word():
    """Windows overlap as the recipe says, and their weights count every token once."""
    recipe = TextRecipe("tokenizer.json", 8, 7, ("input_ids", "attention_mask"), overlap=2)
    windows = text_windows(recipe, letters(), "a " * 8 + "b " * 6 + "a")
    assert [window.feeds["input_ids"].tolist() for window in windows] == [
        [[1] * 8],
        [[1, 1, 2, 2, 2, 2, 2, 2]],
        [[2, 2, 1]],
    ]
    assert [window.weight for window in windows] == [8, 6, 1]
    assert all(list(window.feeds) == ["input_ids", "attention_mask"] for window in windows)
    assert all(feed.dtype == np.int64 for window in windows for feed in window.feeds.values())


@pytest.mark.parametrize("text", ["", "a b", "b " * 8])
def test_a_text_of_one_window_keeps_its_features_bit_by_bit(text):
    """Texts that always fitted lose nothing to pooling."""
    recipe = TextRecipe("tokenizer.json", 8, 7, ("input_ids",), overlap=2)
    (window,) = text_windows(recipe, letters(), text)
    features = np.array([[0.1, -3e-39, 7.7]], np.float32)
    assert pool_windows(features, [window.weight]).tobytes() == features[0].tobytes()


def test_windows_are_weighted_by_what_is_new_in_them():
    """What two windows share counts once."""
    pooled = pool_windows(np.array([[1.0, 0.0], [0.0, 4.0]], np.float32), [6, 2])
    assert pooled.tolist() == [0.75, 1.0]
    assert pooled.dtype == np.float32


def test_a_text_of_too_many_windows_is_refused():
    """One cell cannot keep a site busy for hours, and nothing is cut in silence."""
    recipe = TextRecipe("tokenizer.json", 8, 7, ("input_ids",), max_windows=2)
    with pytest.raises(InputError, match="3 windows, more than the encoder's 2"):
        text_windows(recipe, letters(), "a " * 17)


def test_windows_that_do_not_advance_are_refused():
    """An overlap as wide as the window would never reach the end."""
    with pytest.raises(BundleError, match="do not advance"):
        text_windows(TextRecipe("tokenizer.json", 8, 7, ("input_ids",), overlap=8), letters(), "a")


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(301, 200), (24, 61), (5, 7)])
def test_grey_gives_the_same_bits_as_the_same_grey_in_colour(interpolation, size):
    """It is resized before it becomes RGB, which takes a third of the time and must change nothing."""
    pixels = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    recipe = ImageRecipe(16, 14, 3, interpolation, 1.0, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
    grey = Image.fromarray(pixels)
    np.testing.assert_array_equal(image_tensor(recipe, grey), image_tensor(recipe, grey.convert("RGB")))
