"""What a site remembers across a restart, and what it tells about its updates."""

import json
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from fedfin.codec import compress
from fedfin.errors import ProtocolError, StateError
from fedfin.model.initial_model import initial_model
from fedfin.model.model_spec import task_specs
from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model
from fedfin.protocol import transfer
from fedfin.protocol.payloads import Update, decode_payload, encode_model, encode_update
from fedfin.protocol.site.effects import Assemble
from fedfin.protocol.site.memory import Memory
from fedfin_edge.agent.error_feedback import Feedback
from fedfin_edge.agent.explain_update import explain, print_explanation
from fedfin_edge.agent.outbox import Outbox
from fedfin_edge.agent.state import AgentState, Progress

RUN = "1" * 16


PLAN = Plan(
    federation="ward",
    labels=("x", "y", "z"),
    modalities=(Modality(name="image", encoder="a" * 64, dim=2),),
    model=Model(fin="mlp", answer="head", head_width=0),
)
SHAPES = task_specs(PLAN, "train")
MODEL = encode_model(initial_model(PLAN), plan=PLAN.digest(), version=0)
MODEL_ID = transfer.whole_id(MODEL)
BIAS = "head.real.image.bias"


def _update(round_: int = 2, base: int = 1, preset: str = "exact") -> bytes:
    return encode_update(
        compress({BIAS: np.float32([0, -3, 4])}, SHAPES, preset).body,
        {BIAS: 7},
        SHAPES,
        site="s0",
        plan=PLAN.digest(),
        run=RUN,
        round_=round_,
        task="train",
        base=base,
        metrics={"loss": 0.5},
    )


def _outbox(round_: int = 2, **bodies) -> Outbox:
    return Outbox(round_, "train", _update(round_), **({"owed": b"", "lost": b""} | bodies))


def _filled(folder: Path) -> AgentState:
    """Joined, with a model, and an update on its way."""
    state = AgentState(folder)
    state.join(RUN, PLAN)
    state.model.assemble(Assemble(0, MODEL_ID, MODEL, ()), PLAN)
    state.put_update(_outbox())
    return state


def test_a_new_site_remembers_nothing(tmp_path: Path) -> None:
    """Empty values, and a plain error for what is not there."""
    state = AgentState(tmp_path / "state")
    assert (state.progress, state.memory({})) == (Progress(), Memory())
    for what in (state.last_update, state.plan):
        with pytest.raises(StateError, match="yet; `fedfin edge run`"):
            what()


def test_an_update_of_a_version_that_named_no_model_is_of_the_one_that_is_kept(tmp_path: Path) -> None:
    """None is fetched while an update waits; one that is named stays."""
    assert _filled(tmp_path).waiting == replace(_outbox(), model=MODEL_ID)
    AgentState(tmp_path).put_update(_outbox(model=b"m" * 32))
    assert AgentState(tmp_path).waiting == _outbox(model=b"m" * 32)


def test_all_of_it_survives_a_restart(tmp_path: Path) -> None:
    """Run, settled round, model and unsettled update."""
    _filled(tmp_path).settle(accepted=True)
    AgentState(tmp_path).put_update(_outbox(3))
    state = AgentState(tmp_path)
    assert state.memory({}) == Memory(RUN, 2, MODEL_ID, 0, (3, _update(3)), accepted=2, offer_model=MODEL_ID)
    assert state.plan() == PLAN


def test_a_damaged_outbox_is_as_if_there_were_none(tmp_path: Path) -> None:
    """The round's update is computed again."""
    state = _filled(tmp_path)
    (tmp_path / "outbox.msgpack").write_bytes(_update()[:-3])
    state = AgentState(state.folder)
    assert state.memory({}).offer is None
    state.settle(accepted=True)
    state.abandon()
    assert state.progress.settled == 0
    with pytest.raises(StateError, match=r"outbox\.msgpack is damaged"):
        state.last_update()


def test_joining_the_same_run_keeps_the_update_another_drops_it(tmp_path: Path) -> None:
    """So that a restart sends it, and a new run does not; nor does it inherit what is owed."""
    state = _filled(tmp_path)
    state.settle(accepted=False)
    state.put_update(_outbox(3))
    state.join(RUN, PLAN)
    assert state.memory({}).offer is not None
    assert state.progress.settled == 2
    state.put_update(_outbox(3, lost=b"x"))
    state.settle(accepted=False)
    assert state.feedback().lost == b"x"
    state.put_update(_outbox(4))
    state.join("2" * 16, PLAN)
    assert state.memory({}).offer is None
    assert state.progress == Progress(run="2" * 16)
    assert state.feedback() == Feedback("2" * 16)


def test_a_damaged_model_is_fetched_again(tmp_path: Path) -> None:
    """It counts as none."""
    _filled(tmp_path)
    (tmp_path / "model.msgpack").write_bytes(MODEL[:-1])
    memory = AgentState(tmp_path).memory({})
    assert (memory.model, memory.version) == (b"", None)


def test_a_settled_update_can_still_be_explained(tmp_path: Path) -> None:
    """It is not sent again, but kept to look at; the next one takes its place at once."""
    state = _filled(tmp_path)
    state.settle(accepted=True)
    assert state.memory({}).offer is None
    assert state.last_update().round == 2
    state.put_update(_outbox(3))
    assert state.last_update().round == 3


def test_a_crash_while_one_update_takes_the_others_place_loses_neither(tmp_path: Path) -> None:
    """Between two renames: it is settled again, as if for the first time."""
    state = _filled(tmp_path)
    state.settle(accepted=True)
    state.put_update(_outbox(3))
    (tmp_path / "last-update.msgpack").rename(tmp_path / "spare.msgpack")
    state = AgentState(tmp_path)
    assert state.last_update().round == 3
    state.settle(accepted=True)
    assert state.last_update().round == 3
    state.put_update(_outbox(4))
    assert AgentState(tmp_path).memory({}).offer == (4, _update(4))


def test_damaged_progress_says_what_to_do(tmp_path: Path) -> None:
    """Cut in the middle."""
    state = _filled(tmp_path)
    (tmp_path / "progress.json").write_text('{"run": "1')
    with pytest.raises(StateError, match=r"progress\.json is damaged; remove .* to join afresh"):
        _ = state.progress


def test_no_temporary_file_stays(tmp_path: Path) -> None:
    """Each file is replaced as a whole."""
    state = _filled(tmp_path)
    for round_ in (2, 3):
        state.put_update(_outbox(round_))
        state.settle(accepted=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "last-update.msgpack",
        "model.msgpack",
        "plan.json",
        "progress.json",
        "spare.msgpack",
    ]


@pytest.mark.parametrize("preset", ["exact", "half"])
def test_an_explanation_tells_every_number_that_left(preset: str) -> None:
    """Shape, coding, weight, size of the values; the bytes of all of them; as JSON too."""
    update = decode_payload(_update(preset=preset), Update)
    facts = json.loads(json.dumps(explain(update, PLAN)))
    assert (facts["site"], facts["round"], facts["base"], facts["metrics"]) == ("s0", 2, 1, {"loss": 0.5})
    assert (facts["values"], facts["bytes"]) == (3, len(update.body))
    (bias,) = facts["tensors"]
    assert bias.pop("coding").split()[-1] in {"float32", "float16"}
    assert bias == {
        "name": BIAS,
        "shape": [3],
        "weight": 7,
        "rms": pytest.approx((25 / 3) ** 0.5),
        "largest": 4.0,
        "zeros": pytest.approx(1 / 3),
    }


def test_an_update_of_another_plan_is_not_explained() -> None:
    """Its bytes would be read as other tensors."""
    with pytest.raises(ProtocolError, match="has 2 weights for 4 tensors"):
        explain(
            decode_payload(_update(), Update),
            replace(PLAN, model=Model(fin="mlp", answer="head", head_width=8)),
        )


def test_the_printed_explanation_names_every_tensor(capsys: pytest.CaptureFixture[str]) -> None:
    """And every metric."""
    print_explanation(explain(decode_payload(_update(), Update), PLAN))
    told = capsys.readouterr().out
    assert "round 2 (train)" in told
    assert "metric loss: 0.5" in told
    for number in ("3", "7"):
        assert number in told
    assert "It tells by how much training" in told


def test_second_moments_are_named_in_words_and_few_cases_are_warned_of(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What leaves, and that a mean over 29 cases may tell about one; of 30 nothing is said."""
    plan = replace(PLAN, model=Model(fin="gaussian", basis_total=0, head_width=0))
    shapes = task_specs(plan, "second_moments")
    values = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    facts = {
        "site": "s0",
        "plan": plan.digest(),
        "run": RUN,
        "round_": 2,
        "task": "second_moments",
        "base": 1,
        "metrics": {},
    }
    for few, names in ((30, 0), (29, 2)):
        weights = {name: few if ".partial." in name else 30 for name in shapes}
        payload = encode_update(compress(values, shapes, "exact").body, weights, shapes, **facts)
        explained = explain(decode_payload(payload, Update), plan)
        assert "mean products of any two features, and of each feature with each label" in explained["tells"]
        assert len(explained["warnings"]) == bool(names)
        print_explanation(explained)
    told = " ".join(capsys.readouterr().out.split())
    assert "rests on 29 cases and 1 more on fewer than 30" in told


def test_a_damaged_last_update_is_named(tmp_path: Path) -> None:
    """With its path: it is what the user can remove."""
    (tmp_path / "last-update.msgpack").write_bytes(b"x")
    with pytest.raises(StateError, match=r"last-update\.msgpack is damaged"):
        AgentState(tmp_path).last_update()


def test_an_exact_update_that_does_not_count_is_owed_whole(tmp_path: Path) -> None:
    """Its body is what was lost; the outbox does not hold it twice. Also when another process settles it."""
    for restart in (False, True):
        state = _filled(tmp_path / str(restart))
        state.put_update(_outbox(3, lost=None))
        if restart:
            state = AgentState(state.folder)
        state.settle(accepted=False)
        assert state.feedback().lost == decode_payload(_update(3), Update).body
