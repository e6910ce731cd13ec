"""Promises of the model in torch: its names, that all of it learns, and what missing modalities do."""

import pytest
import torch
from closed_form_cases import draw, fusion_model, make_plan, solved
from fusion_cases import DIMS, loaded, mixed_batch, small_plan

from fedfin.fusion.adamw import AdamW
from fedfin.fusion.loss import fin_loss, label_loss
from fedfin.fusion.masking import draw_masks
from fedfin.fusion.model import missing
from fedfin.model.model_spec import tensor_specs


@pytest.fixture(params=["zero", "mlp", "decoder"])
def variant(request):
    """Each FIN variant."""
    return request.param


def closed(fin, modalities):
    """A plan with all that is solved, and its model, solved from made-up cases."""
    plan = make_plan(
        dict(list(DIMS.items())[:modalities]), fin=fin, answer="both", basis_total=56, fin_width=16
    )
    return plan, fusion_model(plan, solved(plan, {f"s{i}": draw(plan, 40, i) for i in range(3)}))


everything = pytest.mark.parametrize(
    ("modalities", "width"), [(n, width) for n in (1, 2, 3) for width in (0, 128)]
)


@everything
def test_tensors_of_torch_are_those_of_the_spec(variant, modalities, width):
    """Names and shapes agree for every variant, number of modalities and head."""
    plan = small_plan(variant, modalities, width)
    tensors = loaded(plan).dump_tensors()
    assert {name: value.shape for name, value in tensors.items()} == {
        name: spec.shape for name, spec in tensor_specs(plan).items()
    }
    assert list(tensors) == list(tensor_specs(plan))


@pytest.mark.parametrize("fin", ["gaussian", "refined"])
@pytest.mark.parametrize("modalities", [1, 2, 3])
def test_tensors_of_closed_forms_are_those_of_the_spec(fin, modalities):
    """Gains, experts, blend, spread and random features, too; with one modality its expert alone."""
    plan, model = closed(fin, modalities)
    shapes = {name: value.shape for name, value in model.dump_tensors().items()}
    assert shapes == {name: spec.shape for name, spec in tensor_specs(plan).items()}
    assert any(name.startswith("gaussian") for name in shapes) == (modalities > 1)


@pytest.mark.parametrize("fin", ["gaussian", "refined"])
def test_what_is_not_present_cannot_matter_to_closed_forms(fin):
    """Although the random features of what is not there are not zero."""
    plan, model = closed(fin, 3)
    features, present = mixed_batch(plan)
    other = {m: torch.where(present[m].unsqueeze(1), v, 99.0) for m, v in features.items()}
    (logits, imputed), (again, otherwise) = model(features, present), model(other, present)
    assert torch.equal(logits, again)
    assert all(torch.equal(imputed.mean[m], otherwise.mean[m]) for m in plan.dims)
    assert torch.isfinite(logits).all()


def test_a_gate_lets_through_what_is_known():
    """The head sees an estimate times the share that it explains: nothing of what explains nothing."""
    plan, model = closed("gaussian", 2)
    shown = {"image": torch.ones(4, dtype=torch.bool), "type": torch.zeros(4, dtype=torch.bool)}
    standard = {m: torch.randn(4, dim) * shown[m].unsqueeze(1) for m, dim in plan.dims.items()}
    imputed = model.impute(standard, shown)
    model._gate = "explained"
    gated = model.gated(imputed)
    assert torch.equal(gated["type"], imputed.mean["type"] * (1 - imputed.spread["type"]))
    assert not gated["image"].any()


@pytest.mark.parametrize("fin", ["zero", "mean", "uniform"])
def test_fill_ins_pass_the_gate(fin):
    """They claim no variance that they could be gated by."""
    plan = small_plan(fin, 2)
    model = loaded(plan)
    model._gate = "explained"
    assert torch.isfinite(model(*mixed_batch(plan))[0]).all()


@everything
def test_every_parameter_learns(variant, modalities, width):
    """Over a batch of all presence patterns, no parameter's gradient is zero."""
    plan = small_plan(variant, modalities, width)
    model = loaded(plan)
    features, present = mixed_batch(plan)
    stacked = torch.stack(list(present.values()), dim=1)
    masks = draw_masks(stacked, 0.5, torch.Generator().manual_seed(0))
    to_fin, asked, shown = (
        dict(zip(plan.dims, mask.unbind(1), strict=True))
        for mask in (masks.to_fin, masks.asked, masks.to_head)
    )
    standard = model.standardise(features, present)
    imputed = model.fin({m: v * to_fin[m].unsqueeze(1) for m, v in standard.items()}, to_fin)
    logits = model.head(standard, shown, {m: v.detach() for m, v in imputed.items()}, missing(shown))
    labels = (torch.arange(logits.numel()).reshape(logits.shape) % 3 == 0).float()
    (label_loss(logits, labels) + fin_loss(imputed, standard, asked)).backward()
    dead = [name for name, value in model.trainable().items() if not value.grad.abs().max() > 1e-9]
    assert dead == []


def test_zero_fill_has_no_imputed_columns():
    """Nothing is imputed, so nothing reads it, whatever the number of modalities."""
    assert not [name for name in tensor_specs(small_plan("zero", 3)) if "imputed" in name or "fin" in name]


def test_one_modality_has_no_fin(variant):
    """With one modality there is nothing to impute from."""
    assert not [name for name in tensor_specs(small_plan(variant, 1)) if name.startswith(("fin", "head.imp"))]


def test_what_is_not_present_cannot_matter(variant):
    """Changing the values of absent modalities changes no logit."""
    plan = small_plan(variant, 3)
    model = loaded(plan)
    features, present = mixed_batch(plan)
    other = {m: torch.where(present[m].unsqueeze(1), v, 99.0) for m, v in features.items()}
    assert torch.equal(model(features, present)[0], model(other, present)[0])


def test_real_columns_ignore_imputed_features(variant):
    """A complete case's logits do not depend on FIN or on the imputed columns."""
    plan = small_plan(variant, 2)
    model = loaded(plan)
    features, _ = mixed_batch(plan)
    present = {m: torch.ones(len(v), dtype=torch.bool) for m, v in features.items()}
    before = model(features, present)[0]
    with torch.no_grad():
        for name, value in model.trainable().items():
            if name.startswith(("fin.", "head.imputed.")):
                value.add_(1.0)
    assert torch.equal(before, model(features, present)[0])


def test_imputed_columns_change_incomplete_cases():
    """An incomplete case is answered from FIN's estimate."""
    plan = small_plan("mlp", 2)
    model = loaded(plan)
    features, present = mixed_batch(plan)
    before = model(features, present)[0]
    with torch.no_grad():
        model.trainable()["head.imputed.type.weight"].mul_(-5.0)
    changed = (before != model(features, present)[0]).any(dim=1)
    assert torch.equal(changed, ~present["type"])


def test_features_are_standardised_and_clipped():
    """(x - mean) / std, at most 6 away; a constant feature is no division by zero."""
    plan = small_plan("zero", 1)
    model = loaded(plan)
    with torch.no_grad():
        model.norm["m_image"].mean.fill_(2.0)
        model.norm["m_image"].square.fill_(4.0 + 9.0)
        model.norm["m_image"].square[0] = 4.0
    values = torch.full((1, 24), 5.0)
    values[0, 1] = 1000.0
    out = model.standardise({"image": values}, {"image": torch.tensor([True])})["image"][0]
    assert out[2].item() == pytest.approx(1.0)
    assert out[1].item() == 6.0
    assert out[0].item() == 6.0


def test_features_of_one_scale_keep_what_is_large_and_what_is_small():
    """(x - mean) / the root of the mean variance, so that this is 1 in the mean; each clipped at 6 of its own."""
    model = fusion_model(make_plan({"image": 3, "text": 2}, scale="modality"), {})
    model.norm["m_image"].mean.fill_(1.0)
    model.norm["m_image"].square.copy_(torch.tensor([1 + 25.0, 1 + 1.0, 1 + 1.0]))
    values = torch.tensor([[6.0, 2.0, 1.0], [1.0, 1.0, 100.0]])
    standard = model.standardise({"image": values}, {"image": torch.tensor([True, True])})["image"]
    assert standard[0].tolist() == pytest.approx([5 / 3, 1 / 3, 0.0])
    assert standard[1].tolist() == pytest.approx([0.0, 0.0, 6 / 3])


def test_what_is_explained_of_features_of_one_scale_counts_by_their_variance():
    """A wide feature that is known weighs more than two narrow ones that are not."""
    model = fusion_model(make_plan({"image": 3, "text": 2}, scale="modality"), {})
    model.norm["m_image"].mean.fill_(0.0)
    model.norm["m_image"].square.copy_(torch.tensor([8.0, 1.0, 1.0]))
    model.gaussian.explained["m_text"].m_image.copy_(torch.tensor([0.5, 0.0, 0.0]))
    present = {"image": torch.tensor([False]), "text": torch.tensor([True])}
    standard = {"image": torch.zeros(1, 3), "text": torch.zeros(1, 2)}
    explained = model.explained(model.impute(standard, present), present)
    assert explained.tolist()[0] == pytest.approx([0.4, 0.0])


def test_a_trained_fin_claims_nothing_of_features_of_one_scale_before_it_is_measured():
    """However wide one of them is: its error can be as large as all variance there is."""
    plan = make_plan({"image": 3, "text": 2}, scale="modality", fin="mlp", answer="head")
    model = fusion_model(plan, {})
    model.norm["m_image"].mean.fill_(0.0)
    model.norm["m_image"].square.copy_(torch.tensor([1.0, 0.0, 0.0]))
    present = {"image": torch.tensor([False]), "text": torch.tensor([True])}
    standard = {"image": torch.zeros(1, 3), "text": torch.zeros(1, 2)}
    assert model.impute(standard, present).spread["image"].tolist() == [[1.0, 1.0, 1.0]]


def test_load_refuses_tensors_of_another_plan():
    """A missing name and a wrong shape are errors, never half a model."""
    tensors = loaded(small_plan("mlp", 2)).dump_tensors()
    with pytest.raises(KeyError):
        loaded(small_plan("mlp", 3)).load_tensors(tensors)
    tensors["norm.image.mean"] = tensors["norm.image.mean"][:3]
    with pytest.raises(ValueError, match=r"norm\.image\.mean"):
        loaded(small_plan("mlp", 2)).load_tensors(tensors)


def test_adamw_is_that_of_torch():
    """Twenty steps end where torch.optim.AdamW ends."""
    start = torch.linspace(-1, 1, 12).reshape(3, 4)
    ours, theirs = start.clone().requires_grad_(), start.clone().requires_grad_()
    mine = AdamW([ours], 0.01, 0.1)
    reference = torch.optim.AdamW([theirs], lr=0.01, weight_decay=0.1)
    for step in range(20):
        for value in (ours, theirs):
            value.grad = None
            ((value - 0.3) ** 2 * (1 + step % 3)).sum().backward()
        mine.step()
        reference.step()
    assert torch.allclose(ours, theirs, atol=1e-6)
