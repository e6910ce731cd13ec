"""The global models that the sites of one process hold: in memory, each version once for all of them."""

from collections import OrderedDict

from fedfin.codec import Tensors
from fedfin.errors import ProtocolError
from fedfin.model.initial_model import initial_model
from fedfin.model.model_spec import model_shapes
from fedfin.plan import Plan
from fedfin.protocol import transfer
from fedfin.protocol.payloads import apply_delta, decode_model, encode_model
from fedfin.protocol.site.effects import Assemble

KEPT = 4  # versions: sites of one fleet are at most a round apart


class FleetModels:
    """Assembled models by their SHA-256."""

    def __init__(self) -> None:
        self._models: OrderedDict[bytes, Tensors] = OrderedDict()
        self._first = b""

    def first(self, plan: Plan) -> bytes:
        """The id of version 0, which every site makes from the plan."""
        if not self._first:
            self._first = self._keep(initial_model(plan), plan, 0)
        return self._first

    def assemble(self, wanted: Assemble, held: bytes, plan: Plan) -> None:
        """As a site does: from the model that it holds, or from the snapshot. Raises ProtocolError."""
        if wanted.model in self._models:
            return
        digest, shapes = plan.digest(), model_shapes(plan)
        if wanted.snapshot is not None:
            _, tensors = decode_model(wanted.snapshot, plan=digest, shapes=shapes)
        elif held in self._models:
            tensors = self._models[held]
        else:
            raise ProtocolError("the model that the deltas start from is not kept any more")
        first = wanted.version - len(wanted.deltas) + 1
        for version, delta in enumerate(wanted.deltas, first):
            tensors = apply_delta(tensors, delta, plan=digest, version=version, shapes=shapes)
        if self._keep(tensors, plan, wanted.version) != wanted.model:
            raise ProtocolError(f"the parts of version {wanted.version} do not make it")

    def _keep(self, tensors: Tensors, plan: Plan, version: int) -> bytes:
        id_ = transfer.whole_id(encode_model(tensors, plan=plan.digest(), version=version))
        self._models[id_] = tensors
        while len(self._models) > KEPT:
            self._models.popitem(last=False)
        return id_
