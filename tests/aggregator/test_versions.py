"""Model versions: what compression leaves out is owed, and any version can be had again."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from round_helpers import PLAN, judge, update

from fedfin import limits
from fedfin.codec import decompress
from fedfin.errors import StateError
from fedfin.model.model_spec import model_shapes, task_specs
from fedfin.plan_sections import Codec, Model
from fedfin.plan_sections import Rounds as RoundsPlan
from fedfin.protocol.schedule import task_of
from fedfin_aggregator.rounds.rounds import Rounds
from fedfin_aggregator.rounds.versions import make_change
from fedfin_aggregator.store import version_records
from fedfin_aggregator.store.journal import Journal

SHAPES = {"a": (64,), "b": (3,)}
WIDE = replace(
    PLAN,
    model=Model(answer="head", fin="mlp", fin_width=48, fin_layers=1, head_width=0),
    rounds=RoundsPlan(count=40, sites=1),
)


def _rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def _model() -> dict[str, np.ndarray]:
    return {name: _rng(1).normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}


def _new(folder: Path, **codec) -> Rounds:
    return Rounds(Journal(folder / "journal.sqlite", create=replace(WIDE, codec=Codec(**codec))))


def _play(rounds: Rounds) -> None:
    """A round of one site."""
    at = rounds.position
    assert judge(rounds, "s0", update("s0", at.round, at.version, plan_=rounds.plan)).accepted
    rounds.close(at.round)


def _play_extremes(rounds: Rounds) -> None:
    """A round; the first ones with values as large as can be."""
    at = rounds.position
    if at.round > 3:
        return _play(rounds)
    shapes = task_specs(rounds.plan, task_of(rounds.plan, at.round))
    loud = {name: np.full(shape, limits.VALUE_ABS, np.float32) for name, shape in shapes.items()}
    moments = {".mean": 255.0, ".square": 255.0**2}  # larger features are refused
    loud |= {
        name: np.full(shape, value, np.float32)
        for name, shape in shapes.items()
        for ending, value in moments.items()
        if name.endswith(ending)
    }
    assert judge(rounds, "s0", update("s0", at.round, at.version, plan_=rounds.plan, tensors=loud)).accepted
    rounds.close(at.round)
    return None


@pytest.mark.parametrize("preset", ["exact", "half", "balanced", "small", "tiny", "minimal"])
def test_nothing_is_lost_in_a_change(preset: str) -> None:
    """Model + what is owed, before, plus the mean, is model + what is owed, after."""
    model, owed = _model(), {"a": _rng(2).normal(size=64).astype(np.float32)}
    means = {"a": _rng(3).normal(size=64)}
    change = make_change(model, means, {}, owed, SHAPES, preset)
    due = model["a"] + owed["a"] + means["a"]
    after = change.tensors["a"] + change.owed.get("a", np.zeros(64, np.float32))
    assert np.abs(after - due).max() < 1e-5
    assert change.tensors["b"] is model["b"]


def test_what_a_tensor_is_owed_waits_until_it_is_trained_again() -> None:
    """Only tensors that changed travel; switching to `exact` pays all of it."""
    owed = {"b": np.ones(3, np.float32)}
    change = make_change(_model(), {"a": np.ones(64)}, {}, owed, SHAPES, "tiny")
    assert change.owed["b"].tolist() == [1.0, 1.0, 1.0]
    assert set(decompress(change.add, SHAPES)) == {"a"}
    paid = make_change(_model(), {}, {}, owed, SHAPES, "exact")
    assert set(decompress(paid.set, SHAPES)) == {"b"}
    assert (paid.tensors["b"] == _model()["b"] + 1).all()
    assert paid.owed == {}


@pytest.mark.parametrize("preset", ["exact", "balanced"])
def test_moments_and_what_is_solved_replace_their_tensors(preset: str) -> None:
    """They are values, not deltas, and travel exactly beside deltas that do not."""
    owed = {"b": np.ones(3, np.float32)}
    change = make_change(_model(), {"b": np.ones(3)}, {"a": np.full(64, 2.1)}, owed, SHAPES, preset)
    assert change.tensors["a"].tolist() == [np.float32(2.1)] * 64
    assert decompress(change.set, SHAPES)["a"].tolist() == [np.float32(2.1)] * 64
    assert change.tensors["b"] == pytest.approx(_model()["b"] + 2)


def test_a_model_stays_within_what_the_protocol_carries() -> None:
    """And nothing piles up beyond it."""
    model = {"a": np.full(64, limits.VALUE_ABS, np.float32), "b": np.zeros(3, np.float32)}
    change = make_change(model, {"a": np.full(64, 9e4)}, {}, {}, SHAPES, "balanced")
    assert change.tensors["a"].max() == limits.VALUE_ABS


@pytest.mark.parametrize("down", ["exact", "half", "small"])
def test_every_version_can_be_rebuilt_also_by_a_later_life(down: str, tmp_path: Path) -> None:
    """From snapshots and deltas, bit for bit; the site's own way comes to the same id."""
    rounds = _new(tmp_path, down=down)
    files = [rounds.model_file(0)]
    for _ in range(8):
        _play(rounds)
        files.append(rounds.model_file(rounds.position.version))
    rounds.journal.close()
    again = Rounds(Journal(tmp_path / "journal.sqlite"))
    assert [again.model_file(version) for version in range(9)] == files
    assert len(set(files)) == 9


@pytest.mark.parametrize("play", [_play, _play_extremes])
def test_a_restart_owes_what_was_owed(play: Callable[[Rounds], None], tmp_path: Path) -> None:
    """The model after it is the undisturbed run's, also where more is owed than a body carries."""
    (tmp_path / "calm").mkdir()
    calm, shaken = _new(tmp_path / "calm", down="tiny"), _new(tmp_path, down="tiny")
    for _ in range(6):
        play(calm)
        play(shaken)
        shaken.journal.close()
        shaken = Rounds(Journal(tmp_path / "journal.sqlite"))
    assert shaken.position == calm.position


def test_small_versions_cost_little_and_exact_ones_are_forgotten_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal does not grow by a model a round; what is forgotten is named."""
    monkeypatch.setattr(version_records, "KEPT_SNAPSHOTS", 3)
    for down in ("small", "exact"):
        (tmp_path / down).mkdir()
        rounds = _new(tmp_path / down, down=down)
        for _ in range(12):
            _play(rounds)
        if down == "small":
            assert rounds.model_file(1)
            continue
        with pytest.raises(StateError, match="no model version 3; the newest is 12, the oldest kept 10"):
            rounds.model_file(3)
        assert rounds.model_file(10)


def test_a_damaged_version_is_named(tmp_path: Path) -> None:
    """Not handed out as if it were right."""
    rounds = _new(tmp_path, down="small")
    for _ in range(3):
        _play(rounds)
    parts = tmp_path / "parts"
    (parts / "delta-3").write_bytes((parts / "delta-1").read_bytes())
    with pytest.raises(StateError, match="model version 3 in the journal is damaged"):
        rounds.model_file(3)
    (parts / "delta-3").unlink()
    with pytest.raises(StateError, match="delta-3 is missing; restore it with the journal"):
        rounds.model_file(3)


def test_files_of_parts_are_those_of_the_journal(tmp_path: Path) -> None:
    """What a crash left, or is not needed any more, goes."""
    rounds = _new(tmp_path, down="small")
    _play(rounds)
    (tmp_path / "parts" / "snapshot-9").write_bytes(b"left by a crash")
    _play(rounds)
    rounds.journal.tidy()
    kept = {
        f"{kind}-{version}" for kind, version in rounds.journal._db.execute("SELECT kind, version FROM part")
    }
    assert {path.name for path in (tmp_path / "parts").iterdir()} == kept


def test_only_tensors_that_changed_travel(tmp_path: Path) -> None:
    """The first delta is the moments alone, and so far smaller than the model."""
    rounds = _new(tmp_path)
    _play(rounds)
    snapshot, delta = rounds.parts
    assert (snapshot.version, delta.version) == (0, 1)
    moments = [shape for name, shape in model_shapes(rounds.plan).items() if name.startswith("norm.")]
    assert len(delta.data) < 4 * sum(int(np.prod(shape)) for shape in moments) + 300
    assert 20 * len(delta.data) < len(snapshot.data)
