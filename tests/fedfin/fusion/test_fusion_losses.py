"""Promises of the losses and of modality dropout."""

import math

import pytest
import torch

from fedfin.fusion.loss import fin_loss, label_loss
from fedfin.fusion.masking import draw_masks


def test_unknown_labels_contribute_nothing():
    """Neither to the loss nor to a gradient."""
    logits = torch.tensor([[0.3, -2.0], [1.0, 5.0]], requires_grad=True)
    loss = label_loss(logits, torch.tensor([[1.0, math.nan], [math.nan, math.nan]]))
    loss.backward()
    assert loss.item() == pytest.approx(math.log1p(math.exp(-0.3)))
    assert logits.grad.flatten()[1:].tolist() == [0.0, 0.0, 0.0]


def test_no_known_label_is_no_loss():
    """Zero, not NaN."""
    assert label_loss(torch.ones(2, 2), torch.full((2, 2), math.nan)).item() == 0.0


def test_fin_answers_only_for_what_was_asked():
    """The mean squared error over asked rows alone."""
    imputed, standard = {"a": torch.tensor([[1.0, 3.0], [9.0, 9.0]])}, {"a": torch.zeros(2, 2)}
    assert fin_loss(imputed, standard, {"a": torch.tensor([True, False])}).item() == 5.0
    assert fin_loss(imputed, standard, {"a": torch.tensor([False, False])}).item() == 0.0


@pytest.mark.parametrize("dropout", [0.0, 0.5, 1.0])
def test_masks_keep_their_promises(dropout):
    """FIN sees a non-empty proper part of multimodal cases; the head loses it with the given probability."""
    present = torch.rand(4000, 3, generator=torch.Generator().manual_seed(1)) < 0.6
    present[:, 0] |= ~present.any(dim=1)
    masks = draw_masks(present, dropout, torch.Generator().manual_seed(2))
    several = present.sum(dim=1) > 1
    assert torch.equal(masks.to_fin | masks.asked, present)
    assert not (masks.to_fin & masks.asked).any()
    assert masks.to_fin.any(dim=1).all()
    assert torch.equal(masks.asked.any(dim=1), several)
    lost = (masks.to_head != present).any(dim=1)
    assert not lost[~several].any()
    assert lost[several].float().mean().item() == pytest.approx(dropout, abs=0.04)
    assert torch.equal(masks.to_head[lost], masks.to_fin[lost])
    asked_of_three = masks.asked[present.all(dim=1)]
    assert asked_of_three.float().mean(dim=0).tolist() == pytest.approx([0.5] * 3, abs=0.08)
