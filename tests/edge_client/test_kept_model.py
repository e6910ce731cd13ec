"""The model that a site keeps: the same bytes by every way, and nothing at all by a wrong one."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from private_plan import private_plan

from fedfin import limits
from fedfin.codec import Preset, compress
from fedfin.errors import ProtocolError
from fedfin.model.initial_model import initial_model
from fedfin.model.model_spec import model_shapes
from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model
from fedfin.protocol.payloads import GlobalDelta, encode_model
from fedfin.protocol.site.effects import Assemble
from fedfin.protocol.transfer import whole_id
from fedfin_aggregator.rounds.versions import make_change
from fedfin_edge.agent.global_model import GlobalModelFile, check_model

PLAN = Plan(
    federation="ward",
    labels=("x", "y"),
    modalities=(Modality(name="image", encoder="a" * 64, dim=30),),
    model=Model(fin="mlp", answer="head", head_width=8),
)
SHAPES = model_shapes(PLAN)
WEIGHT, BIAS = "head.output.weight", "head.output.bias"
NOTHING = compress({}, SHAPES, "exact").body
PRESETS: list[Preset] = ["exact", "small", "half", "balanced", "exact", "tiny"]


def _history() -> tuple[list[bytes], list[bytes]]:
    """(each version's payload, the deltas that lead from one to the next): a round under each of PRESETS."""
    model, owed = initial_model(PLAN), {}
    payloads, deltas = [encode_model(model, plan=PLAN.digest(), version=0)], []
    for version, preset in enumerate(PRESETS, 1):
        rng = np.random.default_rng(version)
        means = {
            name: rng.standard_normal(shape) for name, shape in SHAPES.items() if not name.startswith("norm.")
        }
        change = make_change(model, means, {}, owed, SHAPES, preset)
        model, owed = change.tensors, change.owed
        deltas.append(_delta(version, change.set, change.add))
        payloads.append(encode_model(model, plan=PLAN.digest(), version=version))
    return payloads, deltas


def _delta(version: int, set_: bytes = NOTHING, add: bytes = NOTHING, plan: str = PLAN.digest()) -> bytes:
    return msgspec.msgpack.encode(GlobalDelta(plan=plan, version=version, set=set_, add=add))


PAYLOADS, DELTAS = _history()
LAST = len(DELTAS)


def _kept(folder: Path, version: int) -> GlobalModelFile:
    """That version, in a file."""
    path = folder / "model.msgpack"
    path.write_bytes(PAYLOADS[version])
    return GlobalModelFile(path)


@pytest.mark.parametrize("start", range(LAST))
@pytest.mark.parametrize("snapshot", [True, False])
def test_every_way_leads_to_the_same_bytes(start: int, snapshot: bool, tmp_path: Path) -> None:
    """From a snapshot or the version that is kept, by deltas of every preset; also for a later process."""
    model = GlobalModelFile(tmp_path / "model.msgpack") if snapshot else _kept(tmp_path, start)
    base = PAYLOADS[start] if snapshot else None
    model.assemble(Assemble(LAST, whole_id(PAYLOADS[LAST]), base, tuple(DELTAS[start:])), PLAN)
    assert (model.id, model.version) == (whole_id(PAYLOADS[LAST]), LAST)
    assert (tmp_path / "model.msgpack").read_bytes() == PAYLOADS[LAST]
    again = GlobalModelFile(tmp_path / "model.msgpack").tensors(PLAN)
    assert all(array.tobytes() == again[name].tobytes() for name, array in model.tensors(PLAN).items())


def test_a_flipped_bit_of_the_kept_model_is_found_out(tmp_path: Path) -> None:
    """Its id is another one, so it is not trained on; what is built on it does not pass; the snapshot does."""
    flipped = bytearray(PAYLOADS[3])
    flipped[-40] ^= 1
    path = tmp_path / "model.msgpack"
    path.write_bytes(flipped)
    model = GlobalModelFile(path)
    assert model.version == 3
    assert model.id != whole_id(PAYLOADS[3])
    with pytest.raises(ProtocolError, match="parts of version 4 do not make it"):
        model.assemble(Assemble(4, whole_id(PAYLOADS[4]), None, (DELTAS[3],)), PLAN)
    model.assemble(Assemble(4, whole_id(PAYLOADS[4]), PAYLOADS[2], (DELTAS[2], DELTAS[3])), PLAN)
    assert path.read_bytes() == PAYLOADS[4]


def _body(values: dict[str, float]) -> bytes:
    """Exact, of constant tensors."""
    return compress(
        {n: np.full(SHAPES[n], value, np.float32) for n, value in values.items()}, SHAPES, "exact"
    ).body


_LOUD = bytearray(_body({BIAS: 1.0}))
_LOUD[-1] = 0x7F  # an exponent of all ones: not a number


@pytest.mark.parametrize(
    ("delta", "complaint"),
    [
        (_delta(1, plan="b" * 64), "not the delta to version 1 of this plan"),
        (_delta(2), "not the delta to version 1 of this plan"),
        (_delta(1, _body({BIAS: 1.0}), _body({BIAS: 1.0})), f"{BIAS} is both replaced and added to"),
        (_delta(1, bytes(_LOUD)), "not finite or exceeds"),
        (_delta(1, NOTHING, bytes(_LOUD)), "not finite or exceeds"),
        (_delta(1, NOTHING[:-1]), "ends early"),
        (_delta(1)[:-1], "not a valid globaldelta"),
        (_delta(1), "parts of version 1 do not make it"),
        (PAYLOADS[1], "not a valid globaldelta"),
    ],
)
def test_a_wrong_delta_leaves_what_is_kept(delta: bytes, complaint: str, tmp_path: Path) -> None:
    """The file and what is known of it; it is still good to work with."""
    model = _kept(tmp_path, 0)
    with pytest.raises(ProtocolError, match=complaint):
        model.assemble(Assemble(1, whole_id(PAYLOADS[1]), None, (delta,)), PLAN)
    assert (model.id, model.version) == (whole_id(PAYLOADS[0]), 0)
    assert (tmp_path / "model.msgpack").read_bytes() == PAYLOADS[0]
    assert model.tensors(PLAN).keys() == SHAPES.keys()


def test_a_snapshot_of_another_model_is_refused(tmp_path: Path) -> None:
    """However whole it came; what is kept stays."""
    model = _kept(tmp_path, 0)
    with pytest.raises(ProtocolError, match="parts of version 1 do not make it"):
        model.assemble(Assemble(1, b"?" * 32, PAYLOADS[1], ()), PLAN)
    assert (tmp_path / "model.msgpack").read_bytes() == PAYLOADS[0]


def test_deltas_cannot_lead_beyond_what_the_protocol_carries(tmp_path: Path) -> None:
    """However often the largest is added."""
    tensors = initial_model(PLAN) | {BIAS: np.full(SHAPES[BIAS], limits.VALUE_ABS, np.float32)}
    last = encode_model(tensors, plan=PLAN.digest(), version=3)
    loud = _body({BIAS: limits.VALUE_ABS})
    model = _kept(tmp_path, 0)
    model.assemble(
        Assemble(3, whole_id(last), None, tuple(_delta(v, NOTHING, loud) for v in (1, 2, 3))), PLAN
    )
    assert (model.tensors(PLAN)[BIAS] == limits.VALUE_ABS).all()


def test_another_run_starts_from_nothing(tmp_path: Path) -> None:
    """Also before the tensors of a fetched snapshot were ever asked for."""
    model = GlobalModelFile(tmp_path / "model.msgpack")
    model.assemble(Assemble(2, whole_id(PAYLOADS[2]), PAYLOADS[2], ()), PLAN)
    model.forget()
    assert (model.id, model.version) == (b"", None)
    with pytest.raises(ProtocolError):
        model.tensors(PLAN)
    model.make_first(PLAN)
    assert (tmp_path / "model.msgpack").read_bytes() == PAYLOADS[0]


BASIS = Plan(
    federation="ward",
    labels=("x",),
    modalities=(Modality(name="labs", encoder="a" * 64, dim=4),),
    model=Model(answer="experts", head_width=0, basis_total=8),
)


@pytest.mark.parametrize("name", ["basis.labs.weight", "basis.labs.bias"])
def test_a_model_whose_random_features_are_not_as_they_were_drawn_is_refused(
    name: str, tmp_path: Path
) -> None:
    """Chosen ones would make second moments tell single cases: by a snapshot, a delta, or in the kept file."""
    digest, shapes = BASIS.digest(), model_shapes(BASIS)
    drawn = initial_model(BASIS)
    chosen = drawn | {name: np.nextafter(drawn[name], np.float32(9))}
    payload = encode_model(chosen, plan=digest, version=1)
    replaced, nothing = (
        compress({name: chosen[name]}, shapes, "exact").body,
        compress({}, shapes, "exact").body,
    )
    delta = msgspec.msgpack.encode(GlobalDelta(plan=digest, version=1, set=replaced, add=nothing))
    model = GlobalModelFile(tmp_path / "model.msgpack")
    model.make_first(BASIS)
    for snapshot, deltas in ((payload, ()), (None, (delta,))):
        with pytest.raises(ProtocolError, match=f"{name} is not as it was drawn"):
            model.assemble(Assemble(1, whole_id(payload), snapshot, deltas), BASIS)
    assert model.version == 0
    (tmp_path / "model.msgpack").write_bytes(payload)
    with pytest.raises(ProtocolError, match=f"{name} is not as it was drawn"):
        GlobalModelFile(tmp_path / "model.msgpack").tensors(BASIS)


@pytest.mark.parametrize("square", [-1e-6, -65_536.0, 3.9])
def test_moments_that_no_cases_give_are_refused(square: float) -> None:
    """Where a deviation is no number neither is any answer, of whoever is there: mean 2, mean square below 4."""
    model = initial_model(BASIS)
    modality = next(iter(BASIS.dims))
    model[f"norm.{modality}.mean"][0], model[f"norm.{modality}.square"][0] = 2.0, square
    with pytest.raises(ProtocolError, match=rf"norm\.{modality}\.square is below .* no cases give that"):
        check_model(BASIS, model)
    model[f"norm.{modality}.square"][0] = 4.0
    check_model(BASIS, model)


def test_what_features_are_divided_by_is_the_plan_s_where_nobody_pools_it() -> None:
    """With noise no sum tells moments: others are made up."""
    plan = private_plan()
    model = initial_model(plan)
    check_model(plan, model)
    model["norm.image.mean"][0] = 0.1
    with pytest.raises(ProtocolError, match=r"norm\.image\.mean is not as it was drawn"):
        check_model(plan, model)
