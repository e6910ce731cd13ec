"""Gradients of cases one by one, from one pass."""

import pytest
import torch

from fedfin.fusion.case_gradients import case_gradients
from fedfin.fusion.head import FusionHead
from fedfin.fusion.loss import case_losses

DIMS, LABELS, CASES = {"image": 5, "text": 3}, 2, 7


@pytest.mark.parametrize("width", [0, 4])
@pytest.mark.parametrize("own", [True, False])
def test_each_is_what_a_pass_over_that_case_alone_gives(width: int, own: bool) -> None:
    """Columns that real and imputed features share get both parts."""
    torch.manual_seed(0)
    head = FusionHead(DIMS, LABELS, width, own=own)
    real, imputed = ({m: torch.randn(CASES, dim) for m, dim in DIMS.items()} for _ in range(2))
    shown = {m: torch.rand(CASES) < 0.5 for m in DIMS}
    labels = torch.tensor([0.0, 1.0, float("nan")])[torch.randint(3, (CASES, LABELS))]

    def losses(rows: slice) -> torch.Tensor:
        parts = [{m: values[rows] for m, values in part.items()} for part in (real, shown, imputed)]
        filled = {m: ~there for m, there in parts[1].items()}
        return case_losses(head(*parts, filled), labels[rows])

    found = case_gradients(head, lambda: losses(slice(None)))
    assert found.keys() == dict(head.named_parameters()).keys()
    for case in range(CASES):
        head.zero_grad()
        losses(slice(case, case + 1)).sum().backward()
        for name, parameter in head.named_parameters():
            assert torch.allclose(found[name][case], parameter.grad, atol=1e-6), name
