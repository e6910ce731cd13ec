"""How many of a site's cases trained each tensor: the tensor's weight when the aggregator folds."""

from torch import Tensor, zeros_like

from fedfin.fusion.masking import Masks
from fedfin.model.tensor_spec import UNTRAINED, Specs, TensorSpec
from fedfin_edge.cases.floor import Floor


class TensorWeights:
    """Remembers over a round what each case was used for. A case counts once, whatever the epochs."""

    def __init__(self, present: Tensor, labels: Tensor) -> None:
        """Present: bool [n, modalities]; labels: float32 [n, labels], NaN where unknown."""
        self._labelled = (~labels.isnan()).any(dim=1) & present.any(dim=1)
        self._shown, self._imputed = zeros_like(present), zeros_like(present)
        self._fed, self._asked = zeros_like(present), zeros_like(present)

    def add(self, rows: Tensor, masks: Masks) -> None:
        """Note one batch: the cases at `rows` were masked so."""
        self._shown[rows] |= masks.to_head
        self._imputed[rows] |= ~masks.to_head
        self._asked[rows] |= masks.asked
        self._fed[rows] |= masks.to_fin & masks.asked.any(dim=1, keepdim=True)

    def weights(
        self, specs: Specs, modalities: list[str], floor: Floor | None = None, *, by_block: bool = False
    ) -> dict[str, int]:
        """Cases by tensor name; tensors that nothing trained are left out.

        With a floor so are those of `spread` that too few patients are behind: of one it is that patient's own error.
        `by_block`, where to whom it gives a site tells: all that too few are behind.
        """
        used = {
            name: self._used(spec, modalities)
            for name, spec in specs.items()
            if spec.trained_by not in UNTRAINED
        }
        asked = {
            name: floor
            for name, spec in specs.items()
            if floor is not None and (by_block or spec.trained_by == "spread")
        }
        return {
            name: int(cases.sum())
            for name, cases in used.items()
            if cases.any() and (name not in asked or asked[name].allows(cases.numpy()))
        }

    def _used(self, spec: TensorSpec, modalities: list[str]) -> Tensor:
        """Which cases, bool [n]."""
        if spec.trained_by == "labelled":
            return self._labelled
        if spec.trained_by == "fin":
            return self._asked.any(dim=1)
        place = modalities.index(spec.modality)
        used = {
            "real": self._shown[:, place] & self._labelled,
            "imputed": self._imputed[:, place] & self._labelled,
            "either": (self._shown | self._imputed)[:, place] & self._labelled,
            "fin_input": self._fed[:, place],
            "fin_output": self._asked[:, place],
            "spread": self._asked[:, place],
        }
        return used[spec.trained_by]
