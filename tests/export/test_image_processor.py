"""The preprocessing of a Hugging Face folder: the processor's own pixels, or a refusal that names the key."""

import json

import numpy as np
import pytest
import transformers
from PIL import Image

from fedfin.encoders.preprocessing import image_tensor
from fedfin.errors import InputError
from fedfin_export.sources.image_processor import ImageProcessor

PROCESSORS = {
    "ViTImageProcessorPil": [{}, {"size": 96}, {"do_normalize": False}, {"do_rescale": False}]
    + [{"resample": number} for number in range(6)],
    "DeiTImageProcessorPil": [{}, {"rescale_factor": 1 / 127.5}],
    "BeitImageProcessorPil": [{}, {"do_center_crop": True, "size": 256}],
    "ConvNextImageProcessorPil": [{}, {"size": {"shortest_edge": 224}}, {"size": 200, "crop_pct": 0.9}],
    "BitImageProcessorPil": [{}, {"size": {"shortest_edge": 256}}],
    "CLIPImageProcessorPil": [{}, {"crop_size": 200}],
    "EfficientNetImageProcessorPil": [{}, {"rescale_offset": True}, {"include_top": False}],
}
CASES = [(name, options) for name, choices in PROCESSORS.items() for options in choices]
# Oblong both ways, with a longer side that no proportion makes whole, smaller and larger than the input.
SIZES = [(301, 200), (97, 130), (640, 641)]


def picture(size):
    """An RGB image, rough enough to show another filter or a shift by a pixel."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8))


@pytest.mark.parametrize(("name", "options"), CASES)
def test_recipe_gives_the_pixels_of_transformers_own_processor(name, options, tmp_path):
    """Within a hundredth of a grey level, for any shape of image."""
    processor = getattr(transformers, name)(**options)
    processor.save_pretrained(tmp_path)
    recipe = ImageProcessor(tmp_path).recipe()
    level = recipe.scale / np.array(recipe.std)[:, None, None]
    for size in SIZES:
        own = np.asarray(processor(picture(size))["pixel_values"][0])
        np.testing.assert_allclose(image_tensor(recipe, picture(size)) / level, own / level, atol=0.01)


def stated(tmp_path, **settings):
    """The image processor of a preprocessor_config.json with these settings."""
    settings = {"image_processor_type": "ViTImageProcessor"} | settings
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    return ImageProcessor(tmp_path)


def test_height_and_width_squash_and_the_shorter_edge_does_not(tmp_path):
    """A wide image keeps its margins in the one, and loses them in the other."""
    square = {"size": {"height": 8, "width": 8}}
    edge = {"size": {"shortest_edge": 8}, "crop_size": 8, "image_processor_type": "CLIPImageProcessor"}
    wide = Image.new("RGB", (24, 8))
    wide.paste((255, 255, 255), (0, 0, 8, 8))
    squashed, cropped = (
        image_tensor(stated(tmp_path, **keys).recipe(), wide).max() for keys in (square, edge)
    )
    assert squashed > 0 > cropped


def test_a_folder_of_before_processor_types_is_read_by_its_model(tmp_path):
    """ResNet's configuration names the processor, which crops less than it resizes."""
    transformers.ResNetConfig().save_pretrained(tmp_path)
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps({"size": 224, "resample": 3}))
    recipe = ImageProcessor(tmp_path).recipe()
    assert (recipe.resize, recipe.crop, recipe.fit) == (256, 224, "shorter side")


def test_mean_and_std_that_are_left_out_are_the_processor_s_own(tmp_path):
    """Not a KeyError, and not 0 and 1."""
    recipe = stated(tmp_path, do_normalize=True).recipe()
    assert (recipe.mean, recipe.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.mark.parametrize(
    ("key", "settings"),
    [
        ("size", {"size": {"height": 224, "width": 200}}),
        ("size", {"size": {"longest_edge": 224}}),
        ("size", {"size": {"shortest_edge": 224}}),
        ("crop_size", {"do_center_crop": True, "crop_size": {"height": 200, "width": 180}}),
        ("crop_size", {"do_center_crop": True, "crop_size": 256}),
        ("crop_pct", {"crop_pct": 0.9}),
        ("size", {"size": {"height": 64, "width": 64}, "image_processor_type": "ConvNextImageProcessor"}),
        ("resample", {"resample": 6}),
        ("do_resize", {"do_resize": False}),
        ("image_std", {"image_std": [0.5, 0, 0.5]}),
        ("image_mean", {"image_mean": [0.5]}),
        ("do_flip_channel_order", {"do_flip_channel_order": True}),
        ("do_pad", {"do_pad": True, "pad_size": {"height": 256, "width": 256}}),
        ("do_thumbnail", {"do_thumbnail": True}),
        ("apply_ocr", {"apply_ocr": True}),
    ],
)
def test_what_a_recipe_cannot_keep_is_refused_by_name(key, settings, tmp_path):
    """With the file, the value, and what to do instead."""
    with pytest.raises(InputError, match=rf"preprocessor_config.json: `{key}`: .*--recipe"):
        stated(tmp_path, **settings).recipe()


def test_a_processor_that_transformers_cannot_make_is_refused(tmp_path):
    """A name that it does not know, with the file."""
    with pytest.raises(InputError, match=r"preprocessor_config.json: .*no image processor.*--recipe"):
        stated(tmp_path, image_processor_type="NoSuchImageProcessor")


def test_a_key_that_this_processor_ignores_is_caught_by_its_pixels(tmp_path):
    """A ViT's processor adds no offset, so a recipe with one is not its recipe."""
    processor = stated(tmp_path, rescale_offset=True)
    recipe = processor.recipe()
    with pytest.raises(InputError, match=r"other pixels than the recipe made of .*rescale_offset"):
        processor.check(recipe, picture((60, 50)), image_tensor(recipe, picture((60, 50))))


def test_a_processor_that_fails_is_refused(tmp_path):
    """Two means for three channels, which transformers takes until the first image."""
    processor = stated(tmp_path)
    recipe = processor.recipe()
    with pytest.raises(InputError, match=r"preprocessor_config.json: its image processor fails"):
        stated(tmp_path, image_mean=[0.5, 0.5]).check(
            recipe, picture((60, 50)), image_tensor(recipe, picture((60, 50)))
        )
