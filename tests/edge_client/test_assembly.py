"""A model from sealed parts is the one that was announced, byte for byte."""

from pathlib import Path

import numpy as np
import pytest

from fedfin.model.initial_model import initial_model
from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model
from fedfin.protocol import transfer
from fedfin.protocol.payloads import encode_model
from fedfin.protocol.site.effects import Assemble
from fedfin.protocol.site.events import Assembled, Misfit
from fedfin.trust.channel import OpenSiteEnd
from fedfin_edge.agent.assembly import Assembly
from fedfin_edge.agent.global_model import GlobalModelFile

PLAN = Plan(
    federation="ward",
    labels=("x",),
    modalities=(Modality(name="image", encoder="a" * 64, dim=2),),
    model=Model(fin="mlp", answer="head", head_width=0),
)
TENSORS, BIAS = initial_model(PLAN), "head.real.image.bias"
MODEL, OTHER = (
    encode_model(TENSORS | {BIAS: TENSORS[BIAS] + np.float32(more)}, plan=PLAN.digest(), version=1)
    for more in (0.0, 1.0)
)
SEALED = b"sealed"


class SealingEnd(OpenSiteEnd):
    """One part is sealed, and opens to this."""

    def __init__(self, opened: bytes) -> None:
        super().__init__()
        self._opened = opened

    def open_part(self, kind: str, version: int, part: bytes) -> bytes:
        """As the key at hand has it."""
        return self._opened if part == SEALED else part


@pytest.mark.parametrize("checked", [False, True])
def test_a_sealed_snapshot_of_another_model_than_the_announced_one_is_a_misfit(
    tmp_path: Path, *, checked: bool
) -> None:
    """With a key or a seal of its own for each site an aggregator could give each another, under one name."""
    wanted = Assemble(1, transfer.whole_id(MODEL), SEALED, (), checked)
    for opened, outcome in ((OTHER, Misfit), (MODEL, Assembled)):
        assembly = Assembly(GlobalModelFile(tmp_path / "model.msgpack"), SealingEnd(opened))
        assert isinstance(assembly.assemble(wanted, PLAN), outcome)
