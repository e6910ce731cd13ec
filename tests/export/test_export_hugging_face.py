"""A local Hugging Face folder exports with the same command; preprocessing comes from its files."""

import json

import msgspec
import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from fedfin.encoders.bundle import read_manifest
from fedfin.errors import InputError
from fedfin_export.quantize.sentences import SENTENCES
from fedfin_export.sources import hugging_face
from fedfin_export.sources.image_processor import ImageProcessor


@pytest.fixture
def bert(tmp_path):
    """A tiny BERT with random weights and a word tokenizer, saved as Hugging Face saves them."""
    words = sorted({word.strip(".,;:") for sentence in SENTENCES for word in sentence.lower().split()})
    vocabulary = {word: index for index, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=48,
    )
    folder = tmp_path / "Tiny_BERT"
    transformers.BertModel(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def test_text_folder_exports(bert, export, tmp_path):
    """A folder as transformers saves it is all that is needed."""
    code, output, errors = export(tmp_path / "out", "--hf", str(bert), "--json")
    assert code == 0, errors
    manifest = read_manifest(tmp_path / "out")
    assert (manifest.name, manifest.modality, manifest.dim) == ("tiny-bert", "text", 32)
    assert manifest.recipe.max_tokens == 48
    assert json.loads(output)["parity"]["cosine"]["worst"] >= 0.97


def test_pooling_leaves_out_padding(bert):
    """The same tokens give the same features, padded or not."""
    encoder = hugging_face.load(bert, None, None)
    ids = torch.tensor([[2, 5, 6, 3]])
    padded = torch.cat([ids, torch.zeros(1, 3, dtype=torch.int64)], 1)
    with torch.inference_mode():
        alone = encoder.module(ids, torch.ones_like(ids))
        masked = encoder.module(padded, (padded > 0).long())
    np.testing.assert_allclose(alone, masked, atol=1e-5)


PREPROCESSOR = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.2], "resample": 3}


def tiny_image_model(kind):
    """A convolutional and an attention encoder with random weights."""
    torch.manual_seed(0)
    if kind == "resnet":
        config = transformers.ResNetConfig(
            embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1], layer_type="basic"
        )
        return transformers.ResNetModel(config)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "image_size": 64, "patch_size": 16}
    return transformers.ViTModel(transformers.ViTConfig(num_hidden_layers=2, num_attention_heads=4, **sizes))


@pytest.mark.parametrize("kind", ["resnet", "vit"])
def test_image_folder_exports(kind, export, images, tmp_path):
    """Pooled features of a local image model, quantized in whatever way passes the bound."""
    folder = tmp_path / kind
    tiny_image_model(kind).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR | {"size": 64}))
    code, output, errors = export(tmp_path / "out", "--hf", str(folder), "--calibrate", str(images), "--json")
    assert code == 0, errors
    manifest = read_manifest(tmp_path / "out")
    assert (manifest.modality, manifest.dim, manifest.recipe.crop) == ("image", 32, 64)
    assert json.loads(output)["parity"]["cosine"]["worst"] >= 0.97


def test_export_compares_the_recipe_with_the_processor_on_the_calibration_images(
    export, images, tmp_path, monkeypatch
):
    """Parity cannot see a recipe that both sides share, so a wrong one must not reach it."""
    folder = tmp_path / "vit"
    tiny_image_model("vit").save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({**PREPROCESSOR, "size": 64}))
    right = ImageProcessor.recipe
    monkeypatch.setattr(
        ImageProcessor, "recipe", lambda self: msgspec.structs.replace(right(self), fit="shorter side")
    )
    code, _, errors = export(tmp_path / "out", "--hf", str(folder), "--calibrate", str(images))
    assert code == InputError.exit_code
    assert "other pixels than the recipe made of" in errors
    assert "size" in errors
