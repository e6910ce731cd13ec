"""What a site's worker does in which order, while its disk takes its time."""

import queue
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from fedfin.protocol.messages.secure_sums import Cohort, Dealt, Ready
from fedfin.protocol.site.effects import Work
from fedfin.secure_sums.member import BadDealingError
from fedfin.trust.channel import OpenSiteEnd
from fedfin_edge.agent import worker as workers
from fedfin_edge.agent.outbox import Outbox
from fedfin_edge.agent.state import AgentState
from fedfin_edge.agent.worker import Computed, Worker

WORK = Work(2, "train", 1)
UPDATE = Outbox(2, "train", b"update", b"", b"")
WHERE: dict[str, Any] = {"run": "1" * 16, "round": 2, "attempt": b"a" * 16}
SECONDS = 20.0


class Part:
    """A site's part in a run, whose disk is held up until `written` is set. `sums`: answers with what it was asked."""

    def __init__(self, *, summed: bool) -> None:
        self.written = threading.Event()
        self.plan = self.dataset = None
        self.run = WHERE["run"]
        self.sums = SimpleNamespace(answer=lambda question, *_: question) if summed else None

    def check(self, _: Outbox) -> None:
        """It may leave."""

    secret = b""

    def check_pool(self, *_: Any) -> None:
        """The features are like the others'."""

    def record(self, _: Outbox, __: Any) -> None:
        """The line in answers.jsonl."""
        assert self.written.wait(SECONDS)


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Worker:
    """Its `put` fills `worker.events`, its `answer` `worker.answers`."""
    monkeypatch.setattr(workers, "make_update", lambda *_, **__: UPDATE)
    state = AgentState(tmp_path / "state")
    monkeypatch.setattr(state.model, "tensors", lambda _: {})
    monkeypatch.setattr(workers, "first_things_first", lambda _, work, **__: work)
    events, answers = queue.SimpleQueue(), queue.SimpleQueue()
    worker = Worker(
        "s0",
        state,
        OpenSiteEnd(),
        lambda *_: None,
        events.put,
        answers.put,
        keep_deltas=None,
        tasks=None,
    )
    worker.events, worker.answers = events, answers
    return worker


def test_an_update_is_offered_when_it_is_written_down_and_not_before(worker: Worker) -> None:
    """What leaves is what answers.jsonl says."""
    part = Part(summed=False)
    worker.compute(part, WORK)
    with pytest.raises(queue.Empty):
        worker.events.get(timeout=0.2)
    part.written.set()
    assert worker.events.get(timeout=SECONDS).done.payload == UPDATE.payload


def test_in_a_sum_a_site_is_ready_while_its_disk_writes_and_answers_when_it_has_written(
    worker: Worker,
) -> None:
    """To be ready tells nothing of the update: the others need not wait for this disk before they are asked."""
    part = Part(summed=True)
    worker.compute(part, WORK)
    assert isinstance(worker.events.get(timeout=SECONDS), Computed)
    cohort, dealt = Cohort(**WHERE, names=("s0", "s1", "s2")), Dealt(**WHERE, keys={}, shares={})
    asked = threading.Thread(target=lambda: [worker.take_part(part, each) for each in (cohort, dealt)])
    asked.start()
    with pytest.raises(queue.Empty):
        worker.answers.get(timeout=0.2)
    part.written.set()
    assert [worker.answers.get(timeout=SECONDS) for _ in range(2)] == [cohort, dealt]
    asked.join()


def test_a_question_of_a_sum_is_answered_with_the_model_that_the_update_was_made_from(worker: Worker) -> None:
    """Not with the one that is kept now."""
    asked, part = queue.SimpleQueue(), Part(summed=True)
    part.sums.answer = lambda question, *made: asked.put(made) or question
    worker._state.put_update(replace(UPDATE, model=b"m" * 32))
    worker.take_part(part, Cohort(**WHERE, names=("s0", "s1", "s2")))
    assert asked.get(timeout=SECONDS) == (UPDATE.payload, b"m" * 32)


def test_a_site_that_has_no_use_of_what_others_dealt_tells_the_aggregator_whose(worker: Worker) -> None:
    """And its people."""
    part, reports = Part(summed=True), queue.SimpleQueue()

    def answer(*_: Any) -> None:
        raise BadDealingError({"s2": "it is not sealed", "s1": "it is no pair"})

    part.sums.answer, worker._report = answer, lambda *report: reports.put(report)
    worker._state.put_update(UPDATE)
    worker.take_part(part, Dealt(**WHERE, keys={}, shares={}))
    told = Ready(run=WHERE["run"], round=2, lost=WHERE["attempt"], unopened=("s1", "s2"))
    assert worker.answers.get(timeout=SECONDS) == told
    reason = "what s1 has dealt: it is no pair; what s2 has dealt: it is not sealed"
    assert reports.get(timeout=SECONDS) == ("bad-message", {"reason": reason})


def test_all_work_is_done_in_one_thread_that_stays(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """To start one takes ten times as long as to hand it something."""
    threads = []
    monkeypatch.setattr(
        workers, "make_update", lambda *_, **__: threads.append(threading.get_ident()) or UPDATE
    )
    part = Part(summed=False)
    part.written.set()
    for _ in range(2):
        worker.compute(part, WORK)
        worker.events.get(timeout=SECONDS)
        worker.stop()
    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()
