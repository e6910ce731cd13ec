"""Error feedback at a site: nothing lost, nothing doubled, whatever becomes of an update, wherever a crash strikes."""

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from fedfin.codec import decompress
from fedfin.files import write_atomically
from fedfin.model.model_spec import task_specs
from fedfin.plan import Plan
from fedfin.plan_sections import Codec, Modality, Model
from fedfin.protocol.life import Life
from fedfin.protocol.payloads import Update, decode_payload
from fedfin.protocol.site.effects import Work
from fedfin_edge.agent.error_feedback import Feedback, pack
from fedfin_edge.agent.outbox import make_outbox
from fedfin_edge.agent.state import AgentState

PLAN = Plan(
    federation="ward",
    labels=("x", "y"),
    modalities=(Modality(name="image", encoder="a" * 64, dim=40),),
    model=Model(fin="mlp", answer="head", head_width=8),
    codec=Codec(up="small"),
)
SHAPES = task_specs(PLAN, "train")
RUN, NONE = "1" * 16, Feedback("1" * 16)
BIAS = "head.output.bias"


def _deltas(round_: int, names=SHAPES) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(round_)
    return {name: rng.normal(size=SHAPES[name]).astype(np.float32) for name in names}


def _sum(*several: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Name by name; a name that lacks is zero."""
    return {
        name: sum((one[name] for one in several if name in one), np.zeros(SHAPES[name])) for name in SHAPES
    }


def _near(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return all(np.abs(one[name] - other[name]).max() < 1e-4 for name in SHAPES)


def _read(body: bytes) -> dict[str, np.ndarray]:
    return decompress(body, SHAPES) if body else {}


@pytest.mark.parametrize("preset", ["exact", "half", "balanced", "small", "tiny", "minimal"])
@pytest.mark.parametrize("owes", [False, True])
def test_what_is_sent_and_owed_is_what_was_made_and_owed(preset: str, owes: bool) -> None:
    """Whether the update counts or not; tensors without a delta keep what they are owed."""
    before = _pack(_deltas(0), "tiny") if owes else NONE
    packed = pack(_deltas(1, [BIAS]), SHAPES, preset, before)
    made = _sum(_deltas(1, [BIAS]), _read(before.owed), _read(before.lost))
    assert _near(_sum(_read(packed.body), _read(packed.owed)), made)
    assert _near(_sum(_read(packed.lost)), _sum(_read(before.lost) | _deltas(1, [BIAS])))
    assert set(_read(packed.body)) == {BIAS}


def _pack(deltas: dict[str, np.ndarray], preset: str) -> Feedback:
    """What is owed, and one lost delta, after two updates."""
    packed = pack(deltas, SHAPES, preset, NONE)
    return Feedback(RUN, packed.owed, pack(_deltas(9), SHAPES, preset, NONE).lost)


def test_an_exact_plan_owes_nothing() -> None:
    """And writes nothing but the update itself."""
    packed = pack(_deltas(1), SHAPES, "exact", NONE)
    assert packed.owed == b""
    assert packed.lost is packed.body


def test_what_cannot_be_read_is_owed_no_more() -> None:
    """Damaged, or of another shape."""
    clean = pack(_deltas(1), SHAPES, "small", NONE)
    assert pack(_deltas(1), SHAPES, "small", Feedback(RUN, b"\x00damaged", b"\xff")) == clean


class Site:
    """A site's durable state, and what the federation has got of it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.state = folder, AgentState(folder)
        self.state.join(RUN, PLAN)
        self.got: list[dict[str, np.ndarray]] = []

    def work(self, round_: int, names=SHAPES) -> None:
        """Up to the outbox."""
        work = Work(round_, "train", round_ - 1)
        deltas, weights = _deltas(round_, names), dict.fromkeys(names, 1)
        outbox = make_outbox(PLAN, work, "s0", "0" * 16, deltas, weights, {}, self.state.feedback(), {})
        self.state.put_update(outbox)

    def count(self) -> None:
        """The aggregator accepts what is in the outbox; the site has not heard of it yet."""
        _, payload = self.state.memory({}).offer
        self.got.append(_read(decode_payload(payload, Update).body))

    def all_of_it(self) -> dict[str, np.ndarray]:
        """What the federation got, and what the next update owes."""
        feedback = self.state.feedback()
        return _sum(*self.got, _read(feedback.owed), _read(feedback.lost))


def test_accepted_and_uncounted_updates_end_in_all_that_was_made(tmp_path: Path) -> None:
    """Of two uncounted ones in a row the newer; each round's delta exactly once."""
    site = Site(tmp_path)
    for round_, accepted in ((2, True), (3, False), (4, True), (5, False), (6, False), (7, True)):
        site.work(round_)
        if accepted:
            site.count()
        site.state.settle(accepted=accepted)
    assert _near(site.all_of_it(), _sum(*(_deltas(round_) for round_ in (2, 3, 4, 6, 7))))


def test_a_newer_uncounted_update_replaces_only_the_tensors_that_it_has(tmp_path: Path) -> None:
    """What it says nothing of, because nobody trained it or its training diverged, is still to be told."""
    site = Site(tmp_path)
    site.work(2)
    site.state.settle(accepted=False)
    site.work(3, [BIAS])
    site.state.settle(accepted=False)
    assert _near(site.all_of_it(), _sum(_deltas(2) | _deltas(3, [BIAS])))


def test_nothing_makes_up_for_an_abandoned_update(tmp_path: Path) -> None:
    """Its round closed before it was offered, and may count one of this site; what was owed before it still is."""
    site = Site(tmp_path)
    site.work(2)
    site.state.settle(accepted=False)
    site.work(3)
    for _ in range(2):  # abandoning none does nothing
        site.state.abandon()
        assert site.state.memory({}).offer is None
        assert _near(site.all_of_it(), _deltas(2))


def test_in_a_new_life_nothing_of_before_is_made_up_for(tmp_path: Path) -> None:
    """It is asked anew, or counts after all: neither what was lost already, nor what waits for its receipt."""
    site = Site(tmp_path)
    site.work(2)
    site.state.settle(accepted=False)
    site.work(3)
    site.state.begin_life(Life(1, "b" * 16), 3, 0)
    site.state.settle(accepted=False)
    assert _near(site.all_of_it(), _sum())


class DiedError(Exception):
    """The process ends here."""


def _dying(at: int):
    """`write_atomically`, in a process that dies before its write number `at`."""
    left = iter(range(at, -1, -1))

    def write(path: Path, data: bytes) -> None:
        if next(left) == 0:
            raise DiedError
        write_atomically(path, data)

    return write


@pytest.mark.parametrize("accepted", [True, False])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_crash_while_settling_neither_loses_nor_doubles(at: int, accepted: bool, tmp_path: Path) -> None:
    """The update is offered again, gets the same receipt, and is settled as if for the first time."""
    site = Site(tmp_path)
    site.work(2)
    site.count()
    site.state.settle(accepted=True)
    site.work(3)
    if accepted:
        site.count()
    with (
        patch("fedfin_edge.agent.state.write_atomically", _dying(at)),
        patch.object(Path, "replace", _no_rename),
        pytest.raises(DiedError),
    ):
        site.state.settle(accepted=accepted)
    site.state = AgentState(tmp_path)
    assert site.state.memory({}).offer[0] == 3
    site.state.settle(accepted=accepted)
    assert site.state.memory({}).offer is None
    assert site.state.progress.settled == 3
    assert _near(site.all_of_it(), _sum(_deltas(2), _deltas(3)))


_rename = Path.replace


def _no_rename(path: Path, target: Path) -> Path:
    """Only the outbox's own renaming is the last step that can be missed."""
    if path.name == "outbox.msgpack":
        raise DiedError
    return _rename(path, target)
