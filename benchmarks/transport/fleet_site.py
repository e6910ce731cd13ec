"""One site of the fleet: the real site machine on a real connection; only its data and its training are invented.

Its state is in memory: the fleet measures the aggregator, and its sites are not killed.
"""

import contextlib
import secrets
import time
from collections import deque

from benchmarks.transport.fleet_models import FleetModels
from benchmarks.transport.fleet_plan import ENCODER, draw, shapes, site_name
from fedfin import limits
from fedfin.codec import compress
from fedfin.errors import EvictedError, ProtocolError
from fedfin.link import link_events, mqtt
from fedfin.plan import Plan
from fedfin.protocol.messages.channels import DownControl
from fedfin.protocol.messages.manifest import RoundManifest
from fedfin.protocol.messages.message import decode, encode
from fedfin.protocol.messages.presence import SiteState
from fedfin.protocol.messages.transfers import Chunk
from fedfin.protocol.payloads import encode_update
from fedfin.protocol.schedule import preset_up
from fedfin.protocol.site import effects as site_effects
from fedfin.protocol.site import events as site_events
from fedfin.protocol.site import states as site_states
from fedfin.protocol.site.machine import SiteMachine
from fedfin.protocol.site.memory import Memory
from fedfin.protocol.topics import Topics


class FleetSite:
    """Site `number` of a federation; its owner gives it `link`, and hands on what that says.

    `receive` raises EvictedError when the aggregator drops the site.
    """

    link: mqtt.Link

    def __init__(self, federation: str, number: int, models: FleetModels) -> None:
        self.name = site_name(number)
        self._topics = Topics(federation)
        self._boot = secrets.token_hex(8)
        self.client_id = f"fedfin-{federation}-{self.name}"
        self.online = False
        self._number = number
        self._machine = SiteMachine(
            site=self.name, boot=self._boot, encoders={"image": ENCODER}, memory=Memory()
        )
        self._models, self._model = models, b""
        self._plan: Plan | None = None
        self._chunk_tokens: set[int] = set()
        self._events: deque[site_events.Event] = deque()
        self._run = self._digest = ""

    @property
    def will(self) -> tuple[str, bytes]:
        """The last words: its own, or the broker's for it."""
        return self._topic("up/state"), self._state(online=False)

    @property
    def finished(self) -> bool:
        """Whether the site holds the final model."""
        return self._machine.state is site_states.State.FINISHED

    def receive(self, event: link_events.LinkEvent) -> None:
        """One event of the link."""
        match event:
            case link_events.Up(chunk_size):
                self._on_up(chunk_size)
            case link_events.Down():
                self.online = False
                self._chunk_tokens.clear()
                self.feed(site_events.Disconnected())
            case link_events.Taken(token, _) if token in self._chunk_tokens:
                self._chunk_tokens.remove(token)
                self.feed(site_events.Published())
            case link_events.Arrived(topic, payload) if payload:
                with contextlib.suppress(ProtocolError):
                    self._on_message(topic, payload)

    def feed(self, event: site_events.Event) -> None:
        """One event of the machine, and those that follow from its effects."""
        self._events.append(event)
        while self._events:
            for effect in self._machine.receive(self._events.popleft(), time.monotonic()):
                self._act(effect)

    def _on_up(self, chunk_size: int) -> None:
        self.online = True
        for topic in (
            self._topic("dn/ctl"),
            self._topic("dn/chunk"),
            self._topics.manifest,
            self._topics.aggregator_state,
        ):
            self.link.subscribe(topic)
        self.link.publish(self._topic("up/state"), self._state(online=True), retain=True)
        self.feed(site_events.Connected(chunk_size))

    def _on_message(self, topic: str, payload: bytes) -> None:
        if topic == self._topics.manifest:
            self.feed(decode(payload, RoundManifest))
        elif topic == self._topic("dn/ctl"):
            self.feed(decode(payload, DownControl))
        elif topic != self._topics.aggregator_state:
            self.feed(decode(payload, Chunk, limit=limits.MOST_PACKET_BYTES))

    def _act(self, effect: site_effects.Effect) -> None:
        match effect:
            case site_effects.Send(channel, message):
                token = self.link.publish(self._topic(channel), encode(message))
                if channel == "up/chunk":
                    self._chunk_tokens.add(token)
            case site_effects.Follow(kind, version, index):
                self.link.subscribe(self._topics.chunk(kind, version, index))
            case site_effects.Unfollow(kind, version, index):
                self.link.unsubscribe(self._topics.chunk(kind, version, index))
            case site_effects.Join(run, plan):
                self._run, self._plan, self._digest = run, plan, plan.digest()
            case site_effects.MakeFirst():
                assert self._plan is not None
                self._model = self._models.first(self._plan)
                self._events.append(site_events.Assembled(0, self._model))
            case site_effects.Assemble():
                self._events.append(self._assemble(effect))
            case site_effects.Work():
                self._events.append(site_events.Done(effect.round, self._work(effect)))
            case site_effects.Leave(reason):
                raise EvictedError(f"{self.name}: {reason}")

    def _assemble(self, wanted: site_effects.Assemble) -> site_events.Assembled | site_events.Misfit:
        assert self._plan is not None
        try:
            self._models.assemble(wanted, self._model, self._plan)
        except ProtocolError as error:
            return site_events.Misfit(str(error))
        self._model = wanted.model
        return site_events.Assembled(wanted.version, wanted.model)

    def _work(self, work: site_effects.Work) -> bytes:
        assert self._plan is not None
        drawn = draw(self._plan, work.task, work.round, self._number)
        specs = shapes(self._plan, work.task)
        return encode_update(
            compress(drawn.values, specs, preset_up(self._plan, work.round)).body,
            drawn.weights,
            specs,
            site=self.name,
            plan=self._digest,
            run=self._run,
            round_=work.round,
            task=work.task,
            base=work.version,
            metrics=drawn.metrics,
        )

    def _topic(self, channel: str) -> str:
        return self._topics.site(self.name, channel)

    def _state(self, *, online: bool) -> bytes:
        return encode(SiteState(online=online, boot=self._boot, done=self.finished))
