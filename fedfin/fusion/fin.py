"""The feature imputation network (FIN): the one interface of its variants.

A FIN sees the standardised features of the modalities shown (any subset of any number) and estimates the
standardised features of every modality. Method: arXiv 2505.20232.
"""

from typing import Protocol

from torch import Tensor

from fedfin.fusion.fin_decoder import DecoderFin
from fedfin.fusion.fin_fill import MeanFin, UniformFin
from fedfin.fusion.fin_mlp import MlpFin
from fedfin.fusion.fin_zero import ZeroFin
from fedfin.fusion.modality import ByModality
from fedfin.model.fin_spec import fin_variant
from fedfin.plan import Plan

Fin = ZeroFin | MeanFin | UniformFin | MlpFin | DecoderFin


class Imputes(Protocol):
    """What every variant does."""

    def forward(self, features: ByModality, shown: ByModality) -> dict[str, Tensor]:
        """Estimate each modality's standardised features.

        features: modality -> float32 [n, dim], zero where not shown; shown: modality -> bool [n].
        Returns modality -> float32 [n, dim], or nothing at all from a variant that imputes nothing.
        """
        ...


def make_fin(plan: Plan) -> Fin:
    """The network that trains in the plan's FIN, its parameters not yet set; the closed form is in gaussian.py."""
    variants: dict[str, type[Fin]] = {
        "zero": ZeroFin,
        "mean": MeanFin,
        "uniform": UniformFin,
        "mlp": MlpFin,
        "decoder": DecoderFin,
        "gaussian": ZeroFin,  # nothing but the closed form
        "refined": MlpFin,
    }
    return variants[fin_variant(plan)](plan.dims, plan.model)
