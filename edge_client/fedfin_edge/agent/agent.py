"""The site's shell: what comes from link and worker goes to the site machine; what it asks for is done (actions.py)."""

import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from fedfin.encoders.bundle import read_manifest
from fedfin.errors import EvictedError, LinkError, ProtocolError
from fedfin.link import link_events, mqtt
from fedfin.memory import keep_freed_memory, peak_rss_mb
from fedfin.protocol.messages.joining import GroupKeys
from fedfin.protocol.messages.presence import AggregatorState, Twin
from fedfin.protocol.schedule import last_round
from fedfin.protocol.site import events as site_events
from fedfin.protocol.site.secure_machine import SecureSiteMachine
from fedfin.protocol.site.states import State
from fedfin.protocol.twins import Reminder, runs_twice
from fedfin.trust.channel import OpenSiteEnd, SiteEnd
from fedfin.trust.throttle import throttled
from fedfin_edge.agent.actions import Actions
from fedfin_edge.agent.answers import Answers
from fedfin_edge.agent.connection import OFFLINE_S, Connection
from fedfin_edge.agent.costs import Costs
from fedfin_edge.agent.site_link import FromAggregator, SiteLink
from fedfin_edge.agent.state import AgentState
from fedfin_edge.agent.update import Report
from fedfin_edge.agent.worker import Computed, Failed, Worker
from fedfin_edge.site import Site
from fedfin_edge.tasks.task_process import TaskProcess

TICK_S = 0.5
FINISHED_S = 10.0  # a site that has the final model waits so long for an aggregator that begins another run


class Agent:
    """One site in one federation, until it is finished. `report(event, facts)` tells the outside.

    `channel`: signs and seals; None: nobody does. `keep_deltas`: a folder for the raw deltas of every training round.
    `again`: a person allows whatever run the aggregator is at (answers.py). `tasks`: where rounds' tasks run; None: in
    this process. `beat` is called about twice a second while all is well.
    """

    def __init__(
        self,
        site: Site,
        report: Report,
        *,
        channel: SiteEnd | None = None,
        keep_deltas: Path | None = None,
        again: bool = False,
        tasks: TaskProcess | None = None,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        settings = site.settings
        self._tasks, self._beat = tasks, beat
        self._broker = settings.broker
        self._report = throttled(report, "bad-message")
        self._boot = secrets.token_hex(8)
        self._events: SimpleQueue[Any] = SimpleQueue()
        self._state = AgentState(site.state_path)
        self._channel: SiteEnd = channel or OpenSiteEnd()
        answers = Answers(site.answers_path)
        encoders = {name: read_manifest(site.bundle_path(name)).digest() for name in settings.modalities}
        self._machine = SecureSiteMachine(
            site=settings.site,
            boot=self._boot,
            encoders=encoders,
            memory=self._state.memory(answers.rounds(), self._channel.seal_update),
        )
        self._link = SiteLink(site, self._channel, self._boot, self._events, lambda: self._finished)
        self._connection = Connection(settings)
        self._aggregator = ""  # which start of it was heard of last
        self._worker = Worker(
            settings.site,
            self._state,
            self._channel,
            self._report,
            self._events.put,
            self._link.send,
            keep_deltas=keep_deltas,
            tasks=tasks,
        )
        self._actions = Actions(
            site,
            self._state,
            answers,
            self._channel,
            self._link,
            self._worker,
            self._report,
            put=self._events.put,
            greet=self._greet,
            again=again,
        )
        self._tick_at = 0.0
        self._reminder = Reminder()

    @property
    def traffic(self) -> mqtt.Traffic:
        """What has travelled so far."""
        return self._link.traffic

    def run(self) -> None:
        """Take part until the federation is finished. Raises EvictedError or LinkError when it cannot go on."""
        keep_freed_memory()
        started = time.monotonic()
        self._report("connecting", {"broker": self._broker, "gives_up_after_seconds": OFFLINE_S})
        self._link.start()
        try:
            self._take_part(started)
        except EvictedError as error:
            self._report("dropped", {"reason": str(error)})
            raise
        finally:
            self._stop()
            self._report("costs", asdict(self._costs(time.monotonic() - started)))

    def _take_part(self, started: float) -> None:
        while not self._finished:
            self._step()
            seconds = time.monotonic() - started
            if self._nothing_more_comes(seconds):
                break
            self._connection.check(seconds)

    def _stop(self) -> None:
        self._worker.stop()
        if self._tasks is not None:
            self._tasks.close()
        self._link.stop()
        self._channel.close()

    def _costs(self, seconds: float) -> Costs:
        training, traffic = self._worker.seconds, self.traffic
        memory = peak_rss_mb() + (self._tasks.peak_rss_mb if self._tasks else 0.0)
        return Costs(training, seconds - training, traffic.up, traffic.down, memory)

    @property
    def _finished(self) -> bool:
        return self._machine.state is State.FINISHED

    def _nothing_more_comes(self, seconds: float) -> bool:
        """Whether this site was finished when it was started, and no aggregator has anything for it."""
        waited = seconds > FINISHED_S and not self._actions.joined
        if not (waited and self._state.progress.finished and self._state.final_path.exists()):
            return False
        version = last_round(self._state.plan()) - 1
        self._report("finished", {"version": version, "model": str(self._state.final_path)})
        return True

    def _step(self) -> None:
        self._alive()
        with suppress(Empty):
            self._on_event(self._events.get(timeout=TICK_S))
        if time.monotonic() >= self._tick_at:  # also while much comes: a flood must end no retries
            self._tick_at = time.monotonic() + TICK_S
            self._complain()
            self._feed(site_events.Tick())

    def _on_event(self, event: Any) -> None:
        match event:
            case link_events.Up(chunk_size):
                self._on_up(chunk_size)
            case link_events.Down(reason, final):
                self._on_down(reason, final=final)
            case link_events.Taken(token, refused):
                self._on_taken(token, refused)
            case link_events.Arrived(topic, payload):
                self._on_message(topic, payload)
            case link_events.Broken(error):
                raise LinkError(f"the link to the broker died: {error}")
            case Computed(done):
                if self._worker.is_wanted(event):
                    self._feed(done)
            case site_events.Masked() | site_events.Barred() | site_events.Assembled() | site_events.Misfit():
                self._feed(event)
            case Failed(error):
                self._actions.decline(error)
                raise error

    def _alive(self) -> None:
        self._beat()
        if self._tasks is not None:
            self._tasks.end_if_idle()

    def _on_down(self, reason: str, *, final: bool) -> None:
        """Raises LinkError where no other try will do better."""
        self._link.down()
        self._connection.down(reason)
        self._report("offline", {"reason": reason})
        self._feed(site_events.Disconnected())
        if final:
            raise LinkError(reason)

    def _on_up(self, chunk_size: int) -> None:
        self._connection.up(time.monotonic(), welcomed=self._actions.joined)
        self._report("online", {})
        self._link.up()
        self._feed(site_events.Connected(chunk_size))

    def _complain(self) -> None:
        state, joined = self._machine.state, self._actions.joined
        reason = self._connection.complaint(state, time.monotonic(), time.time(), welcomed=joined)
        if reason is not None:
            self._report("waiting", {"reason": reason})

    def _on_taken(self, token: int, refused: str | None) -> None:
        if refused is not None:
            self._report("refused", {"reason": refused})
        if self._link.is_chunk(token):
            self._feed(site_events.Published())

    def _on_message(self, topic: str, payload: bytes) -> None:
        if not payload:
            return  # a cleared retained message
        try:
            if topic in self._channel.topics:
                self._on_charter(topic, payload)
                return
            data = self._link.open(topic, payload)
            if self._link.is_answer(topic):
                self._connection.heard(time.monotonic(), time.time())
            self._on_opened(self._link.decode(topic, data))
        except ProtocolError as error:
            self._report("bad-message", {"reason": str(error)})

    def _on_charter(self, topic: str, payload: bytes) -> None:
        if (news := self._channel.heed(topic, payload)) is not None:
            self._report("charter", {"reason": news})

    def _on_opened(self, message: FromAggregator) -> None:
        match message:
            case AggregatorState():
                self._on_aggregator(message)
            case Twin():
                self._on_twin(message)
            case GroupKeys():
                self._on_group_keys(message)
            case _:
                self._feed(message)

    def _on_twin(self, twin: Twin) -> None:
        """Its answer to one of two machines may come to the other."""
        here, there = twin.here, twin.there
        both = (here, there) if twin.boot == self._boot else (there, here)
        if self._reminder.due("twins", time.monotonic()):
            self._report("twins", {"reason": runs_twice(*both)})

    def _on_group_keys(self, keys: GroupKeys) -> None:
        self._channel.take_keys(keys)
        self._actions.assemble_waiting()

    def _on_aggregator(self, state: AggregatorState) -> None:
        if state.asks:
            return
        known, self._aggregator = self._aggregator, state.boot
        if known not in {"", state.boot} and state.online:  # another start of it: where does it stand?
            self._greet()
        if not state.online:
            self._report("waiting", {"reason": "the aggregator is not there; going on when it is back"})

    def _feed(self, event: site_events.Event) -> None:
        self._actions.do(self._machine.receive(event, time.monotonic()))

    def _greet(self) -> None:
        self._link.send(self._machine.greet())
