"""The baselines have the sizes that their papers and public code give."""

import pytest
import torch

from benchmarks.costs.baselines.bert import Bert
from benchmarks.costs.baselines.paper_federation import PaperModel
from benchmarks.costs.baselines.r2gen import R2Gen
from benchmarks.costs.baselines.resnet import Classifier


def trained(module: torch.nn.Module) -> int:
    return sum(value.numel() for value in module.parameters())


@pytest.mark.parametrize(("depth", "published"), [(50, 25_557_032), (101, 44_549_160)])
def test_resnets_have_the_published_number_of_parameters(depth, published):
    assert trained(Classifier(depth)) == published  # of torchvision's models


def test_bert_base_has_the_published_number_of_parameters():
    assert trained(Bert()) == 109_482_240  # of bert-base-uncased


@pytest.mark.parametrize(("longest", "words"), [(60, 760), (100, 4335)])
def test_r2gen_grows_with_its_words_alone(longest, words):
    model = R2Gen(longest)
    own = 512 + 512 + 1  # a word's row of the embedding, its row of the output and its bias
    assert trained(model) == 78_473_529 + (words - 760) * own


def test_r2gen_writes_as_many_words_as_a_report_may_have():
    with torch.inference_mode():
        model = R2Gen(60).eval()
        model.longest = 3
        words = model.write(torch.randn(1, 98, 512))
    assert words.shape == (3,)
    assert words.dtype == torch.int64


def test_kept_keys_give_what_reading_the_whole_prefix_gives():
    torch.manual_seed(0)
    with torch.inference_mode():
        layer = R2Gen(60).eval().decoder[0]
        states, memory = torch.randn(1, 4, 512), torch.randn(1, 3 * 512)
        patches = layer.keys(torch.randn(1, 9, 512))
        kept = None
        for place in range(4):
            last, kept = layer(states[:, place : place + 1], patches, kept, memory)
        whole, _ = layer(
            states[:, 3:], patches, layer.self_attention.keys(layer.norms[0](states[:, :3], memory)), memory
        )
    torch.testing.assert_close(last, whole)


def test_the_papers_federation_sends_both_encoders():
    encoders = 23_508_032 + 109_482_240  # ResNet-50 without its classifier, and BERT-base
    assert trained(PaperModel()) > encoders
