"""What a site remembers across a restart, and what it tells about its updates."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from edge_client.agent_state import AgentState, Progress
from edge_client.explain import explain, print_explanation
from fedfin.errors import StateError
from fedfin.protocol.payloads import Update, decode_payload, encode_update

RUN = "1" * 16


def _update(round_: int = 2, base: int = 1, codec: str = "float32") -> bytes:
    return encode_update(
        {"head.bias": np.float32([0, -3, 4]), "scale": np.float32(2.0)},
        {"head.bias": 7, "scale": 2},
        codec=codec,
        site="s0",
        plan="a" * 64,
        round_=round_,
        task="train",
        base=base,
        metrics={"loss": 0.5},
    )


def _filled(folder: Path) -> AgentState:
    """Joined, with a model, and an update on its way."""
    state = AgentState(folder)
    state.join(RUN)
    state.keep_model(b"model")
    state.put_update(_update())
    return state


def test_a_new_site_remembers_nothing(tmp_path: Path) -> None:
    """Empty values, and a plain error for what is not there."""
    state = AgentState(tmp_path / "state")
    assert (state.progress, state.model(), state.model_id()) == (Progress(), b"", b"")
    assert state.update(2, 1) is None
    with pytest.raises(StateError, match="no update was made yet; `fedfin edge run`"):
        state.last_update()


def test_all_of_it_survives_a_restart(tmp_path: Path) -> None:
    """Run, settled round, model and unsettled update."""
    _filled(tmp_path).settle(1)
    state = AgentState(tmp_path)
    assert state.progress == Progress(RUN, 1)
    assert state.model_id() == hashlib.sha256(b"model").digest()


def test_a_saved_update_is_used_for_its_own_round_and_base_only(tmp_path: Path) -> None:
    """Another round, or another model to start from, needs other work."""
    _filled(tmp_path)
    state = AgentState(tmp_path)
    assert state.update(2, 1) == _update()
    assert state.update(3, 1) is None
    assert state.update(2, 2) is None


def test_a_damaged_outbox_is_computed_again(tmp_path: Path) -> None:
    """It is no update of any round."""
    state = _filled(tmp_path)
    (tmp_path / "outbox.msgpack").write_bytes(_update()[:-3])
    assert state.update(2, 1) is None
    with pytest.raises(StateError, match=r"outbox\.msgpack is damaged"):
        state.last_update()


def test_joining_the_same_run_keeps_the_update_another_drops_it(tmp_path: Path) -> None:
    """So that a restart sends it, and a new run does not."""
    state = _filled(tmp_path)
    state.settle(1)
    state.put_update(_update())
    state.join(RUN)
    assert state.update(2, 1) is not None
    assert state.progress.settled == 1
    state.join("2" * 16)
    assert state.update(2, 1) is None
    assert state.progress == Progress("2" * 16, 0)


def test_a_settled_update_can_still_be_explained(tmp_path: Path) -> None:
    """It is not sent again, but kept to look at; the next one takes its place at once."""
    state = _filled(tmp_path)
    state.settle(2)
    assert state.update(2, 1) is None
    assert state.last_update().round == 2
    state.put_update(_update(3))
    assert state.last_update().round == 3


def test_damaged_progress_says_what_to_do(tmp_path: Path) -> None:
    """Cut in the middle."""
    state = _filled(tmp_path)
    (tmp_path / "progress.json").write_text('{"run": "1')
    with pytest.raises(StateError, match=r"progress\.json is damaged; remove .* to join afresh"):
        _ = state.progress


def test_no_temporary_file_stays(tmp_path: Path) -> None:
    """Each file is replaced as a whole."""
    _filled(tmp_path).settle(2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "last-update.msgpack",
        "model.msgpack",
        "progress.json",
    ]


@pytest.mark.parametrize(("codec", "width"), [("float32", 4), ("float16", 2)])
def test_an_explanation_tells_every_number_that_left(codec: str, width: int) -> None:
    """Shape, type, bytes, weight, size of the values; as JSON too."""
    facts = json.loads(json.dumps(explain(decode_payload(_update(codec=codec), Update))))
    assert facts["bytes"] == 4 * width
    assert (facts["site"], facts["round"], facts["base"], facts["metrics"]) == ("s0", 2, 1, {"loss": 0.5})
    bias, scale = facts["tensors"]
    assert bias == {
        "name": "head.bias",
        "shape": [3],
        "dtype": codec,
        "bytes": 3 * width,
        "weight": 7,
        "rms": pytest.approx((25 / 3) ** 0.5),
        "largest": 4.0,
        "zeros": pytest.approx(1 / 3),
    }
    assert (scale["shape"], scale["largest"]) == ([], 2.0)


def test_the_printed_explanation_names_every_tensor(capsys: pytest.CaptureFixture[str]) -> None:
    """And every metric."""
    print_explanation(explain(decode_payload(_update(), Update)))
    told = capsys.readouterr().out
    assert "round 2 (train)" in told
    assert "metric loss: 0.5" in told
    for number in ("3", "7"):
        assert number in told


def test_a_damaged_last_update_is_named(tmp_path: Path) -> None:
    """With its path: it is what the user can remove."""
    (tmp_path / "last-update.msgpack").write_bytes(b"x")
    with pytest.raises(StateError, match=r"last-update\.msgpack is damaged"):
        AgentState(tmp_path).last_update()
