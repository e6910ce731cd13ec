"""A shard's shell: moves events between the link, the shard machine and the shard's journal."""

import secrets
import time
from collections.abc import Callable

from fedfin import limits
from fedfin.errors import EvictedError, ProtocolError, StateError
from fedfin.link import mqtt
from fedfin.link.login import Login
from fedfin.link.proxy import ProxyChoice
from fedfin.link.tls import Tls
from fedfin.memory import keep_freed_memory
from fedfin.protocol.messages.channels import ShardDownControl, UpControl
from fedfin.protocol.messages.manifest import RoundManifest
from fedfin.protocol.messages.message import Message, decode, encode
from fedfin.protocol.messages.presence import SiteState, Twin
from fedfin.protocol.messages.transfers import Chunk
from fedfin.protocol.rounds.effects import Judge, Send, Spool
from fedfin.protocol.rounds.events import FromSite, Tick
from fedfin.protocol.shards import effects as shard_effects
from fedfin.protocol.shards import events as shard_events
from fedfin.protocol.shards.machine import ShardMachine
from fedfin.protocol.shards.states import State
from fedfin.protocol.site.events import Connected, Disconnected, Published
from fedfin.protocol.topics import Topics
from fedfin.protocol.twins import runs_twice
from fedfin.trust.throttle import throttled
from fedfin_aggregator.rounds.shard_rounds import ShardRounds
from fedfin_aggregator.serve.incoming import Incoming, Report
from fedfin_aggregator.serve.mail import Mail
from fedfin_aggregator.serve.shard_waiting import ShardWaiting
from fedfin_aggregator.serve.shell import TICK_S, Shell

LINGER_S = 30.0  # at most, after the last round: some sites may not have heard of their receipt yet


class ShardServer(Shell):
    """Serves one shard's sites until the federation is finished. `report(event, facts)` tells the outside."""

    def __init__(
        self,
        rounds: ShardRounds,
        broker: str,
        report: Report,
        *,
        tls: Tls | None = None,
        login: Login | None = None,
        proxy: ProxyChoice = None,
    ) -> None:
        self._rounds = rounds
        self._shard = rounds.shard
        self._topics = Topics(rounds.plan.federation)
        self._boot = secrets.token_hex(8)
        self._machine = ShardMachine(
            rounds.plan,
            self._shard,
            max_update_bytes=rounds.max_update_bytes,
            before=rounds.before,
            settled=rounds.journal.settled,
            life=rounds.journal.life,
            receipt=rounds.journal.updates.receipt,
        )
        client_id = f"fedfin-{rounds.plan.federation}-shard-{self._shard.index}"
        topic, words = self._last_words
        link = mqtt.Link(broker, client_id, will=(topic, lambda: words), tls=tls, login=login, proxy=proxy)
        super().__init__(link, throttled(report, "bad-message"))
        self._incoming = self._new_incoming()
        self._mail = Mail(self._publish, lambda *_: None)  # a shard offers no model
        self._waiting = ShardWaiting(time.monotonic())
        self._followed: set[str] = set()  # sites whose chunks we are subscribed to
        self._chunk_tokens: set[int] = set()
        self._gone: set[str] = set()  # sites that left with the final model
        self._yields = False  # to another process that is this shard: it is there, so no last words
        self._tick_at = 0.0

    def _new_incoming(self) -> Incoming:
        return Incoming(self._rounds, self._report, self._link.events.put)

    def serve(self, *, linger_s: float = LINGER_S) -> None:
        """Run until the root has finished.

        Raises EvictedError when it cannot use this shard, StateError when another process was this shard before.
        """
        keep_freed_memory()
        self._link.start()
        try:
            while not self._finished:
                self._step()
            self._linger(linger_s)
        finally:
            self._link.stop(None if self._yields else self._last_words)
            self._incoming.close()

    @property
    def _last_words(self) -> tuple[str, bytes]:
        return self._own("up/state"), self._state(online=False)

    @property
    def _finished(self) -> bool:
        return self._machine.state is State.FINISHED

    def _linger(self, seconds: float) -> None:
        """Until every site of the last round has gone, or `seconds` have passed."""
        until = time.monotonic() + seconds
        sites = self._rounds.receipts.keys()
        while not sites <= self._gone and time.monotonic() < until:
            self._step()

    def _step(self) -> None:
        self._take_events()
        if time.monotonic() >= self._tick_at:
            self._tick_at = time.monotonic() + TICK_S
            self._feed(Tick())
            self._tell_of_waiting()

    def _tell_of_waiting(self) -> None:
        """While the link is down, that is what people hear."""
        if not self._online:
            self._waiting.heard(time.monotonic())
            return
        reason = self._waiting.complaint(self._machine, time.monotonic(), time.time())
        if reason is not None:
            self._report("waiting", {"reason": reason})

    def _on_up(self, chunk_size: int) -> None:
        """All sites' small messages come to every shard, the chunks only of its own: those it subscribes one by one."""
        self._online = True
        self._report("online", {})
        self._link.subscribe(self._own("dn/ctl"))
        self._link.subscribe(self._topics.manifest)
        for channel in ("up/state", "up/ctl"):
            self._link.subscribe(self._topics.site("+", channel))
        for site in sorted(self._followed):
            self._link.subscribe(self._topics.site(site, "up/chunk"))
        self._link.publish(self._own("up/state"), self._state(online=True), retain=True)
        self._feed(Connected(chunk_size))

    def _on_down(self) -> None:
        self._chunk_tokens.clear()
        self._feed(Disconnected())

    def _on_taken(self, token: int, _refused: str | None) -> None:
        if token in self._chunk_tokens:
            self._chunk_tokens.remove(token)
            self._feed(Published())

    def _on_message(self, topic: str, payload: bytes) -> None:
        if not payload:
            return  # a cleared retained message, or `fedfin broker check`
        try:
            if topic == self._topics.manifest:
                self._feed(decode(payload, RoundManifest))
            elif topic == self._own("dn/ctl"):
                self._waiting.heard(time.monotonic())
                self._on_root(decode(payload, ShardDownControl))
            elif (address := self._topics.parse_up(topic)) is not None and self._shard.serves(address[0]):
                self._on_site(*address, payload)
        except ProtocolError as error:
            self._report("bad-message", {"topic": topic, "reason": str(error)})

    def _on_root(self, message: ShardDownControl) -> None:
        if isinstance(message, Twin):
            self._on_twin(message)
        else:
            self._feed(message)

    def _on_twin(self, twin: Twin) -> None:
        """Each would promise sites to count what the other's sum does not hold, so the later one goes.

        Raises StateError there; only for its own boot, so that of three copies one is left.
        """
        ours = twin.boot == self._boot
        reason = runs_twice(*((twin.here, twin.there) if ours else (twin.there, twin.here)))
        self._report("twins", {"reason": reason})
        if ours and twin.here > twin.there:
            self._yields = True
            raise StateError(
                f"{self._shard.name} {reason}. This one, which came later, ends; start it again when the other is"
                " stopped, if its folder is the newer one"
            )

    def _on_site(self, site: str, channel: str, payload: bytes) -> None:
        if channel == "up/ctl":
            message = decode(payload, UpControl)
            if self._machine.admits(site, time.monotonic()):
                self._follow(site)
            self._feed(FromSite(site, message))
        elif channel == "up/chunk":
            self._feed(FromSite(site, decode(payload, Chunk, limit=limits.MOST_PACKET_BYTES)))
        elif decode(payload, SiteState).done and self._finished:
            self._gone.add(site)

    def _follow(self, site: str) -> None:
        """Before any answer: the broker takes our packets in order, so no chunk comes too early."""
        if site not in self._followed:
            self._followed.add(site)
            self._link.subscribe(self._topics.site(site, "up/chunk"))

    def _feed(self, event: shard_events.Event) -> None:
        for effect in self._machine.receive(event, time.monotonic()):
            self._act(effect)

    def _act(self, effect: shard_effects.Effect) -> None:  # noqa: C901 - one flat case per effect
        match effect:
            case Send(site, channel, message):
                self._mail.post(site, channel, message)
            case shard_effects.SendUp(channel, message):
                token = self._link.publish(self._own(channel), encode(message))
                if channel == "up/chunk":
                    self._chunk_tokens.add(token)
            case Spool() | Judge():
                self._incoming.take(effect)
            case shard_effects.JoinRun(run):
                self._begin_anew(lambda: self._rounds.join(run))
            case shard_effects.OpenRound(manifest):
                self._report(
                    "round", {"round": manifest.round, "task": manifest.task, "state": manifest.state}
                )
                self._feed(self._rounds.open(manifest))
            case shard_effects.BeginLife(rewind):
                self._begin_anew(lambda: self._rounds.rewind(rewind))
                manifest = rewind.manifest
                self._report("rewound", {"round": manifest.round, "life": manifest.life.number})
            case shard_effects.SumUp(round_):
                self._hear_of_judged(self._incoming.settle())  # what is complete has come in time
                self._feed(shard_events.Summed(self._rounds.sum_up(round_)))
                self._rounds.journal.tidy()
            case shard_effects.Settle(round_):
                self._rounds.journal.settle(round_)
                self._report("closed", {"round": round_} | self._rounds.results())
            case shard_effects.Finish():
                self._report("finished", {})
            case shard_effects.Leave(reason):
                raise EvictedError(f"the root dropped this shard: {reason}")

    def _begin_anew(self, change: Callable[[], None]) -> None:
        """What is still being written is of the run or life before: its sites offer it anew where it counts."""
        self._incoming.settle()
        self._incoming.close()
        change()
        self._incoming = self._new_incoming()
        self._chunk_tokens.clear()

    def _publish(self, site: str, channel: str, message: Message) -> tuple[int, int]:
        payload = encode(message)
        return self._link.publish(self._topics.site(site, channel), payload), len(payload)

    def _own(self, channel: str) -> str:
        return self._topics.party(self._shard.name, channel)

    def _state(self, *, online: bool) -> bytes:
        state = SiteState(online=online, boot=self._boot, done=self._finished)
        return encode(state)
