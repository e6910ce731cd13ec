"""The global model that a site keeps: a file, worth nothing when damaged, and its tensors while they are needed."""

from pathlib import Path

import numpy as np

from fedfin.codec import Tensors
from fedfin.errors import ProtocolError
from fedfin.files import write_atomically, write_over
from fedfin.model.initial_model import fixed_tensors, initial_model
from fedfin.model.model_spec import model_shapes
from fedfin.plan import Plan
from fedfin.protocol import transfer
from fedfin.protocol.payloads import GlobalModel, apply_delta, decode_model, decode_payload, encode_model
from fedfin.protocol.site.effects import Assemble

ROUNDED = 1e-5  # what rounding may take off a mean square, of its value and absolutely


class GlobalModelFile:
    """One version's GlobalModel payload. `id`: that of its transfer; `version`: None when none can be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tensors: Tensors | None = None
        self.id = b""
        self.version: int | None = None
        if path.exists():
            self._look(path.read_bytes())

    def _look(self, payload: bytes) -> None:
        try:
            self.version = decode_payload(payload, GlobalModel).version
        except ProtocolError:
            return  # a damaged file: as if there were none
        self.id = transfer.whole_id(payload)

    def tensors(self, plan: Plan) -> Tensors:
        """The model's values. Raises ProtocolError when the file is not of this plan, or damaged."""
        if self._tensors is None:
            payload = self._path.read_bytes() if self._path.exists() else b""
            _, tensors = decode_model(payload, plan=plan.digest(), shapes=model_shapes(plan))
            check_model(plan, tensors)
            self._tensors = tensors
        return self._tensors

    def forget(self) -> None:
        """Another run's versions say nothing."""
        self._path.unlink(missing_ok=True)
        self.id, self.version, self._tensors = b"", None, None

    def make_first(self, plan: Plan) -> None:
        """Version 0, which every site makes of the plan: the same bits on every platform."""
        tensors = initial_model(plan)
        payload = encode_model(tensors, plan=plan.digest(), version=0)
        write_atomically(self._path, payload)
        self.id, self.version, self._tensors = transfer.whole_id(payload), 0, tensors

    def assemble(self, wanted: Assemble, plan: Plan) -> None:
        """Make the wanted version of the parts, and keep it.

        Raises ProtocolError when that is not what comes out, or nothing to work with.
        """
        tensors = self._applied(wanted, plan)
        check_model(plan, tensors)
        if wanted.snapshot is not None and not wanted.deltas:
            payload = wanted.snapshot
        else:
            payload = encode_model(tensors, plan=plan.digest(), version=wanted.version)
        if not wanted.checked and transfer.whole_id(payload) != wanted.model:
            raise ProtocolError(f"the parts of version {wanted.version} do not make it")
        write_over(self._path, payload)  # a damaged one is fetched again
        self.id, self.version, self._tensors = wanted.model, wanted.version, tensors

    def _applied(self, wanted: Assemble, plan: Plan) -> Tensors:
        digest, shapes = plan.digest(), model_shapes(plan)
        if wanted.snapshot is None:
            tensors = self.tensors(plan)
        else:
            _, tensors = decode_model(wanted.snapshot, plan=digest, shapes=shapes)
        first = wanted.version - len(wanted.deltas) + 1
        for version, delta in enumerate(wanted.deltas, first):
            tensors = apply_delta(tensors, delta, plan=digest, version=version, shapes=shapes)
        return tensors


def check_model(plan: Plan, tensors: Tensors) -> None:
    """Raises ProtocolError for a model that no honest aggregator makes.

    What is never trained is as it was drawn: with random features of its own choice, whoever poses as the aggregator
    would have second moments tell single cases. So it would with moments that no cases have: NaN tells who is there.
    Values are finite and bounded already (fedfin/codec/compression.py).
    """
    for modality in plan.dims:
        mean, square = (tensors[f"norm.{modality}.{part}"].astype(np.float64) for part in ("mean", "square"))
        if (square < np.maximum(0.0, np.square(mean) * (1 - ROUNDED) - ROUNDED)).any():
            raise ProtocolError(
                f"norm.{modality}.square is below norm.{modality}.mean squared: no cases give that"
            )
    for name, drawn in fixed_tensors(plan).items():
        if not np.array_equal(tensors[name].view(np.uint32), drawn.view(np.uint32)):
            raise ProtocolError(f"tensor {name} is not as it was drawn, although nothing trains it")
