"""The site's shell: moves events between the link, the site machine, the worker and the disk."""

import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from fedfin import limits
from fedfin.encoders.bundle import read_manifest
from fedfin.errors import EvictedError, FedfinError, LinkError, ProtocolError
from fedfin.link import link_events, mqtt
from fedfin.memory import keep_freed_memory, peak_rss_mb
from fedfin.model.model_file import ModelFile, write_model
from fedfin.plain_text import plain_text
from fedfin.plan import Plan
from fedfin.protocol import messages
from fedfin.protocol import site_states as life
from fedfin.protocol.reception import TWICE
from fedfin.protocol.schedule import last_round
from fedfin.protocol.site_machine import SiteMachine
from fedfin.protocol.topics import Topics
from fedfin.protocol.twins import runs_twice
from fedfin.trust.channel import OpenSiteEnd, SiteEnd
from fedfin.trust.throttle import throttled
from fedfin_edge.agent.answers import Answers
from fedfin_edge.agent.participation import Participation
from fedfin_edge.agent.sealed_parts import can_open, open_parts
from fedfin_edge.agent.silence import Silence
from fedfin_edge.agent.state import AgentState
from fedfin_edge.agent.update import Report
from fedfin_edge.agent.worker import Computed, Failed, Worker
from fedfin_edge.site import Site
from fedfin_edge.tasks.task_process import TaskProcess

TICK_S = 0.5
OFFLINE_S = 120.0  # a first connection that takes longer is given up; a later loss is waited out
WORD_S = 3.0  # an aggregator that is there answers sooner
FINISHED_S = 10.0  # a site that has the final model waits so long for an aggregator that begins another run


@dataclass
class Costs:
    """What taking part cost this site. Bytes: see mqtt.Traffic; memory: peak resident sets of agent and TaskProcess."""

    seconds_training: float = 0.0
    seconds_waiting: float = 0.0
    bytes_up: int = 0
    bytes_down: int = 0
    peak_rss_mb: float = 0.0


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
        self._site, self._again = site, again
        self._report = throttled(report, "bad-message")
        self._topics = Topics(settings.federation)
        self._boot = secrets.token_hex(8)
        self._events: SimpleQueue[Any] = SimpleQueue()
        self._state = AgentState(site.state_path)
        self._channel: SiteEnd = channel or OpenSiteEnd()
        self._answers = Answers(site.answers_path)
        encoders = {name: read_manifest(site.bundle_path(name)).digest() for name in settings.modalities}
        self._machine = SiteMachine(
            site=settings.site,
            boot=self._boot,
            encoders=encoders,
            memory=self._state.memory(self._answers.rounds(), self._channel.seal_update),
        )
        will = self._topic("up/state"), lambda: self._online(online=False)
        client_id = f"fedfin-{settings.federation}-{settings.site}"
        self._link = mqtt.Link(
            settings.broker,
            client_id,
            will=will,
            tls=site.tls,
            login=site.login,
            proxy=site.proxy,
            events=self._events,
        )
        self._part: Participation | None = None  # once the aggregator has sent its plan
        self._sending = b""  # the id of the update that was offered last
        self._aggregator = ""  # which start of it was heard of last
        self._unreadable: life.Assemble | None = None  # until the group key for it is here
        self._worker = Worker(
            settings.site,
            self._state,
            self._channel,
            self._report,
            self._events.put,
            lambda message: self._publish(self._topic("up/ctl"), message),
            keep_deltas=keep_deltas,
            tasks=tasks,
        )
        self._chunk_tokens: set[int] = set()
        self._ever_online = self._online_now = False
        self._silence = Silence()
        self._tick_at = 0.0
        self._word_due: float | None = None  # when to tell that nobody has answered since we are online
        self._offline_reason = "no answer"
        self.costs = Costs()

    @property
    def traffic(self) -> mqtt.Traffic:
        """What has travelled so far."""
        return self._link.traffic

    def run(self) -> None:
        """Take part until the federation is finished. Raises EvictedError or LinkError when it cannot go on."""
        keep_freed_memory()
        started = time.monotonic()
        self._report(
            "connecting", {"broker": self._site.settings.broker, "gives_up_after_seconds": OFFLINE_S}
        )
        self._link.start()
        try:
            while self._machine.state is not life.State.FINISHED:
                self._step()
                if self._nothing_more_comes(time.monotonic() - started):
                    break
                if not self._ever_online and time.monotonic() - started > OFFLINE_S:
                    raise LinkError(
                        f"no connection to {self._site.settings.broker} within {OFFLINE_S:.0f} s:"
                        f" {self._offline_reason}. Mend that, or start the broker, or correct `broker` in site.toml,"
                        " and run again"
                    )
        except EvictedError as error:
            self._report("dropped", {"reason": str(error)})
            raise
        finally:
            self._worker.stop()
            if self._tasks is not None:
                self._tasks.close()
            self._link.stop((self._topic("up/state"), self._online(online=False)))
            self._channel.close()
            traffic = self._link.traffic
            self.costs.bytes_up, self.costs.bytes_down = traffic.up, traffic.down
            self.costs.seconds_training = self._worker.seconds
            self.costs.seconds_waiting = time.monotonic() - started - self.costs.seconds_training
            self.costs.peak_rss_mb = peak_rss_mb() + (self._tasks.peak_rss_mb if self._tasks else 0.0)
            self._report("costs", asdict(self.costs))

    def _nothing_more_comes(self, seconds: float) -> bool:
        """Whether this site was finished when it was started, and no aggregator has anything for it."""
        waited = seconds > FINISHED_S and self._part is None
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
            self._tell_if_no_word_came()
            self._tell_of_silence()
            self._feed(life.Tick())

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
            case Computed():
                self._on_computed(event)
            case life.Masked() | life.Barred() | life.Assembled() | life.Misfit():
                self._feed(event)
            case Failed(error):
                self._decline(self._joined.run, error)
                raise error

    def _alive(self) -> None:
        self._beat()
        if self._tasks is not None:
            self._tasks.end_if_idle()

    def _on_down(self, reason: str, *, final: bool) -> None:
        """Raises LinkError where no other try will do better."""
        self._chunk_tokens.clear()
        self._online_now = False
        self._offline_reason = reason
        self._report("offline", {"reason": reason})
        self._feed(life.Disconnected())
        if final:
            raise LinkError(reason)

    def _on_computed(self, computed: Computed) -> None:
        if self._worker.is_wanted(computed):
            self._feed(computed.done)

    def _on_up(self, chunk_size: int) -> None:
        self._ever_online = self._online_now = True
        self._report("online", {})
        self._link.subscribe(
            self._topic("dn/ctl"),
            self._topic("dn/chunk"),
            self._topics.manifest,
            self._topics.aggregator_state,
            *self._channel.topics,
        )
        self._link.publish(self._topic("up/state"), self._online(online=True), retain=True)
        self._word_due = time.monotonic() + WORD_S if self._part is None else None
        self._feed(life.Connected(chunk_size))

    def _tell_if_no_word_came(self) -> None:
        if self._part is not None or self._word_due is None or time.monotonic() < self._word_due:
            return
        self._word_due = None
        reason = (
            f"connected; no word yet from federation {self._site.settings.federation!r}:"
            " ask its coordinator whether the name is right and the aggregator runs"
        )
        self._report("waiting", {"reason": reason})

    def _tell_of_silence(self) -> None:
        """While the link is down, that is what people hear."""
        if not self._online_now:
            self._silence.heard(time.monotonic(), time.time())
            return
        reason = self._silence.complaint(self._machine.state, time.monotonic(), time.time())
        if reason is not None:
            self._report("waiting", {"reason": reason})

    def _on_taken(self, token: int, refused: str | None) -> None:
        if refused is not None:
            self._report("refused", {"reason": refused})
        if token in self._chunk_tokens:
            self._chunk_tokens.remove(token)
            self._feed(life.Published())

    def _on_message(self, topic: str, payload: bytes) -> None:
        if not payload:
            return  # a cleared retained message
        try:
            if topic in self._channel.topics:
                self._on_charter(topic, payload)
                return
            payload = self._channel.receive(topic, payload)
            if topic == self._topics.manifest:
                self._feed(messages.decode(payload, messages.RoundManifest))
            elif topic == self._topics.aggregator_state:
                self._on_aggregator(messages.decode(payload, messages.AggregatorState))
            elif topic == self._topic("dn/ctl"):
                self._silence.heard(time.monotonic(), time.time())
                self._on_control(messages.decode(payload, messages.DownControl))
            else:
                limit = limits.CHUNK_BYTES + limits.PACKET_OVERHEAD_BYTES
                self._feed(messages.decode(payload, messages.Chunk, limit=limit))
        except ProtocolError as error:
            self._report("bad-message", {"reason": str(error)})

    def _on_charter(self, topic: str, payload: bytes) -> None:
        if (news := self._channel.heed(topic, payload)) is not None:
            self._report("charter", {"reason": news})

    def _on_control(self, message: messages.DownControl) -> None:
        if isinstance(message, messages.Twin):
            self._on_twin(message)
        elif isinstance(message, messages.GroupKeys):
            self._on_group_keys(message)
        else:
            self._feed(message)

    def _on_twin(self, twin: messages.Twin) -> None:
        """Its answer to one of two machines may come to the other."""
        here, there = twin.here, twin.there
        both = (here, there) if twin.boot == self._boot else (there, here)
        self._report("twins", {"reason": runs_twice(*both)})

    def _on_group_keys(self, keys: messages.GroupKeys) -> None:
        self._channel.take_keys(keys)
        wanted, self._unreadable = self._unreadable, None
        if wanted is not None:
            self._assemble(wanted)

    def _on_aggregator(self, state: messages.AggregatorState) -> None:
        if state.asks:
            return
        known, self._aggregator = self._aggregator, state.boot
        if known not in {"", state.boot} and state.online:  # another start of it: where does it stand?
            self._publish(self._topic("up/ctl"), self._machine.hello)
        if not state.online:
            self._report("waiting", {"reason": "the aggregator is not there; going on when it is back"})

    def _feed(self, event: life.Event) -> None:
        for kind, effects in groupby(self._machine.receive(event, time.monotonic()), type):
            if kind is life.Follow:
                self._link.subscribe(*map(self._chunk_topic, effects))
            elif kind is life.Unfollow:
                self._link.unsubscribe(*map(self._chunk_topic, effects))
            else:
                for effect in effects:
                    self._act(effect)

    def _chunk_topic(self, followed: Any) -> str:
        """Of a Follow or an Unfollow."""
        return self._topics.chunk(followed.kind, followed.version, followed.index)

    def _act(self, effect: life.Effect) -> None:  # noqa: C901, PLR0912 - one flat case per effect
        match effect:
            case life.Send(channel, message):
                self._send(channel, message)
            case life.Join(run, plan):
                self._join(run, plan)
            case life.MakeFirst():
                self._make_first()
            case life.Assemble():
                self._assemble(effect)
            case life.Work():
                self._work(effect)
            case life.SayReady(round_):
                self._publish(self._topic("up/ctl"), messages.Ready(run=self._joined.run, round=round_))
            case life.TakePart(message):
                self._worker.take_part(self._joined, message)
            case life.Abandon(_, anew):
                self._worker.abandon()
                self._state.abandon(owe=not anew)
            case life.BeginLife():
                self._begin_life(effect)
            case life.Bar(round_):
                self._state.bar(round_)
                self._report("barred", {"round": round_})
            case life.Settle(round_, accepted, reason):
                self._state.settle(accepted=accepted, twice=reason == TWICE)
                self._report("received", {"round": round_, "accepted": accepted, "reason": reason})
            case life.Finish(version):
                self._finish(version)
            case life.Distrust(reason):
                self._report("bad-manifest", {"reason": reason})
            case life.Leave(reason):
                raise EvictedError(f"the aggregator dropped this site: {plain_text(reason)}")

    def _begin_life(self, begin: life.BeginLife) -> None:
        """An update on its way is one of this life, too."""
        self._state.begin_life(begin.life, begin.round, begin.barred)
        self._report("rewound", {"round": begin.round, "life": begin.life.number})
        if (outbox := self._state.waiting) is not None:
            self._joined.record(outbox, self._report)

    def _send(self, channel: str, message: messages.Message) -> None:
        if isinstance(message, messages.Begin):
            self._report_sending(message)
        token = self._publish(self._topic(channel), message)
        if channel == "up/chunk":
            self._chunk_tokens.add(token)

    def _report_sending(self, begin: messages.Begin) -> None:
        """Once for each update: it is on the disk, and from now on it can leave this site."""
        outbox, id_ = self._state.waiting, begin.outline.id
        if outbox is None or id_ == self._sending:
            return
        self._sending = id_
        facts = {"round": begin.round, "task": outbox.task, "bytes": begin.outline.size, "id": id_.hex()}
        self._report("sending", facts | {"to": self._channel.aggregator})

    def _publish(self, topic: str, message: messages.Message) -> int:
        payload = self._channel.send(topic, messages.encode(message), private=message.private)
        return self._link.publish(topic, payload)

    def _join(self, run: str, plan: Plan) -> None:
        """Raises EvictedError, InputError, SettingsError, ProtocolError or StateError: this site must not take part."""
        try:
            self._part = Participation(
                self._site,
                plan,
                run,
                state=self._state,
                answers=self._answers,
                channel=self._channel,
                again=self._again,
            )
        except FedfinError as error:
            self._decline(run, error)
            raise
        self._part.begin(self._report)

    def _decline(self, run: str, error: BaseException) -> None:
        """Say that nobody need wait for this site, in one word."""
        if isinstance(error, FedfinError) and error.declines is not None:
            self._publish(self._topic("up/ctl"), messages.Decline(run=run, cause=error.declines))

    @property
    def _joined(self) -> Participation:
        """There is one: what comes now comes after a Welcome."""
        assert self._part is not None
        return self._part

    def _make_first(self) -> None:
        model = self._state.model
        model.make_first(self._joined.plan)
        self._events.put(life.Assembled(0, model.id))

    def _assemble(self, wanted: life.Assemble) -> None:
        if not can_open(self._channel, wanted):  # the aggregator's answer to a hello brings it
            self._unreadable = wanted
            self._publish(self._topic("up/ctl"), self._machine.hello)
            return
        try:
            self._state.model.assemble(open_parts(self._channel, wanted), self._joined.plan)
        except ProtocolError as error:
            self._report("bad-model", {"version": wanted.version, "reason": str(error)})
            self._events.put(life.Misfit(str(error)))
        else:
            self._events.put(life.Assembled(wanted.version, wanted.model))

    def _work(self, work: life.Work) -> None:
        self._report("round", {"round": work.round, "task": work.task})
        self._worker.compute(self._joined, work)

    def _finish(self, version: int) -> None:
        plan = self._joined.plan
        tensors = self._state.model.tensors(plan)
        write_model(self._state.final_path, ModelFile(plan, version, tensors))
        self._state.finish()
        self._report("finished", {"version": version, "model": str(self._state.final_path)})

    def _topic(self, channel: str) -> str:
        return self._topics.site(self._site.settings.site, channel)

    def _online(self, *, online: bool) -> bytes:
        done = self._machine.state is life.State.FINISHED
        state = messages.SiteState(online=online, boot=self._boot, done=done)
        return self._channel.send(self._topic("up/state"), messages.encode(state))
