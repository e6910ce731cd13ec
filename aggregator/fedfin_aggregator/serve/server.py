"""The aggregator's shell: moves events between the link, the round machine and the journal."""

import time
from collections.abc import Callable
from dataclasses import asdict

from fedfin import limits
from fedfin.declines import CAUSES
from fedfin.errors import ProtocolError
from fedfin.link import mqtt
from fedfin.link.login import Login
from fedfin.link.proxy import ProxyChoice
from fedfin.link.tls import Tls
from fedfin.memory import keep_freed_memory
from fedfin.protocol.messages.joining import Welcome
from fedfin.protocol.messages.manifest import RoundManifest
from fedfin.protocol.messages.message import Message, encode
from fedfin.protocol.messages.presence import SiteState
from fedfin.protocol.padding import most_sealed_bytes
from fedfin.protocol.rounds import effects as round_effects
from fedfin.protocol.rounds import events as round_events
from fedfin.protocol.rounds import states as round_states
from fedfin.protocol.rounds.machine import RoundMachine
from fedfin.protocol.rounds.secure_machine import SecureRoundMachine
from fedfin.protocol.shards.root_machine import RootMachine
from fedfin.protocol.shards.shard import is_shard
from fedfin.protocol.topics import Topics
from fedfin.trust.channel import AggregatorEnd, OpenAggregatorEnd
from fedfin.trust.throttle import throttled
from fedfin.trust.weak_keys import is_weak_sealing_key
from fedfin_aggregator.rounds.rounds import Rounds
from fedfin_aggregator.rounds.secure_rounds import SecureRounds
from fedfin_aggregator.serve.charters import Charters
from fedfin_aggregator.serve.closing import Closing
from fedfin_aggregator.serve.inbox import Inbox, heard
from fedfin_aggregator.serve.incoming import Incoming, Report
from fedfin_aggregator.serve.mail import Mail
from fedfin_aggregator.serve.own_state import OwnState
from fedfin_aggregator.serve.retained import Retained
from fedfin_aggregator.serve.sealed_parts import SealedParts
from fedfin_aggregator.serve.shell import TICK_S, Shell
from fedfin_aggregator.serve.sums import Sums
from fedfin_aggregator.serve.twin_reports import TwinReports
from fedfin_aggregator.serve.waiting import Waiting

LINGER_S = 30.0  # at most, after the last round, until every site has fetched the final model and gone


class Server(Shell):
    """Serves one federation until it is finished. `report(event, facts)` tells the outside what happens."""

    def __init__(
        self,
        rounds: Rounds,
        broker: str,
        report: Report,
        *,
        shards: int = 0,
        tls: Tls | None = None,
        login: Login | None = None,
        proxy: ProxyChoice = None,
        channel: AggregatorEnd | None = None,
        take_over: bool = False,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        """`take_over`: from another aggregator of this federation that is at work. `beat`: called while all is well."""
        self._rounds, self._beat = rounds, beat
        report = throttled(report, "bad-message")
        self._topics = Topics(rounds.plan.federation)
        self._channel: AggregatorEnd = channel or OpenAggregatorEnd()
        topic = self._topics.aggregator_state
        self._own = own = OwnState(rounds.journal, topic, self._channel, take_over=take_over)
        will = topic, lambda: own.words(online=False)
        client_id = f"fedfin-{rounds.plan.federation}-aggregator"
        link = mqtt.Link(broker, client_id, will=will, tls=tls, login=login, proxy=proxy)
        super().__init__(link, report)
        self._shards = shards
        self._machine = self._new_machine()
        self._retained = Retained(link, self._topics, rounds.journal)
        self._mail = Mail(self._hand_over, self._retained.chunk)
        self._chunk_size = limits.CHUNK_BYTES
        self._here: set[str] = set()  # sites that were seen online
        self._gone: set[str] = set()  # those of them that left with the final model
        self._manifest: RoundManifest | None = None
        self._incoming = self._new_incoming()
        self._parts = SealedParts(self._channel)
        self._inbox = Inbox(self._channel, lambda site, evict: self._post(site, "dn/ctl", evict))
        self._charters = Charters(
            rounds,
            self._channel,
            report,
            feed=self._feed,
            post=self._mail.post,
            publish=lambda text: self._link.publish(self._topics.charter, text, retain=True),
        )
        self._tick_at = 0.0
        self._cut_anew = False  # the broker takes smaller chunks than before
        self._closing = Closing(rounds, report)
        self._waiting = Waiting(rounds.journal, report)
        self._twins = TwinReports(report, lambda site, twin: self._post(site, "dn/ctl", twin))
        self._sums = (
            Sums(rounds, report, self._post, self._feed) if isinstance(rounds, SecureRounds) else None
        )

    def _new_incoming(self) -> Incoming:
        return Incoming(self._rounds, self._report, self._link.events.put, self._channel)

    def _new_machine(self) -> RoundMachine | RootMachine:
        rounds = self._rounds
        plan, run, limit = rounds.plan, rounds.journal.run, most_sealed_bytes(rounds.max_update_bytes)
        if self._shards:
            return RootMachine(
                plan,
                run=run,
                shards=self._shards,
                max_sum_bytes=limit,
                life=rounds.journal.life,
                receipt=rounds.journal.updates.receipt,
            )
        if plan.privacy.summed:
            return SecureRoundMachine(
                plan,
                run=run,
                max_update_bytes=limit,
                verify=self._channel.has_signed,
                is_weak=is_weak_sealing_key,
                enrolled=self._channel.enrolled,
                life=rounds.journal.life,
            )
        return RoundMachine(
            plan,
            run=run,
            max_update_bytes=limit,
            enrolled=self._channel.enrolled,
            life=rounds.journal.life,
            receipt=rounds.journal.updates.receipt,
        )

    def serve(self, *, linger_s: float = LINGER_S) -> None:
        """Run until the last round is folded and sites had time to fetch its model; waits for a broker for ever.

        Raises StateError when another aggregator of this federation is at work, or the folder cannot be written.
        """
        keep_freed_memory()
        self._link.start()
        try:
            while self._machine.state is not round_states.State.FINISHED:
                self._step()
            self._linger(linger_s)
        finally:
            last = (self._own.topic, self._own.words(online=False, stopped=True))
            self._link.stop(last if self._own.tenure.serving else None)
            self._incoming.close()
            self._channel.close()

    def _linger(self, seconds: float) -> None:
        """Until every site of the last round has come for the final model and gone, or `seconds` have passed."""
        until = time.monotonic() + seconds
        awaited = self._rounds.receipts.keys()  # no more come in
        while not awaited <= self._gone and time.monotonic() < until:
            self._step()

    def _step(self) -> None:
        self._beat()
        self._take_events()
        if self._online and self._own.tenure.may_serve(time.monotonic()):
            self._own.tenure.begin()
            self._serve_from_here()
        if time.monotonic() >= self._tick_at:
            self._tick_at = time.monotonic() + TICK_S
            self._charters.refresh()
            self._feed(round_events.Tick())
            self._hear_answer()
            if (reason := self._own.tenure.waits_for(time.monotonic())) is not None:
                self._report("waiting", {"reason": reason})

    def _on_up(self, chunk_size: int) -> None:
        self._cut_anew = chunk_size < self._chunk_size
        self._online, self._chunk_size = True, chunk_size
        self._rounds.journal.versions.chunk_bytes = chunk_size
        self._report("online", {})
        self._link.subscribe(self._own.topic)
        if self._own.tenure.serving:
            self._serve_from_here()
        else:
            self._link.publish(self._own.topic, self._own.question())

    def _on_down(self) -> None:
        self._feed(round_events.Disconnected())

    def _on_taken(self, token: int, refused: str | None) -> None:
        if refused is None:
            self._retained.taken(token)

    def _on_aggregator(self, payload: bytes) -> None:
        """Raises StateError when another one serves."""
        try:
            again = self._own.hear(payload)
        except ProtocolError as error:
            self._report("bad-message", {"site": "aggregator", "reason": str(error)})
            return
        if again:
            self._say_online()

    def _say_online(self) -> None:
        self._link.publish(self._own.topic, self._own.words(online=True), retain=True)

    def _serve_from_here(self) -> None:
        """Nobody else does."""
        for party in ("site/+", "shard/+") if self._shards else ("site/+",):
            for channel in ("up/state", "up/ctl", "up/chunk"):
                if not (self._shards and (party, channel) == ("site/+", "up/chunk")):  # its shard takes them
                    self._link.subscribe(f"{self._topics.root}/{party}/{channel}")
        self._say_online()
        self._charters.publish()
        if self._manifest is None:  # the first time: only now is the packet size known
            self._feed(self._opened())
            return
        if self._cut_anew:  # what is on offer is cut anew: as if we had been started again
            self._begin_anew()
            return
        self._feed(round_events.Reconnected())
        # A broker that lost its memory has no retained messages: say again where we stand.
        self._retained.publish_again()
        self._publish_manifest(self._manifest)
        self._retained.clear_others()

    def _begin_anew(self) -> None:
        self._incoming.settle()  # its answers are among the receipts of what opens
        self._incoming.close()
        self._machine, self._incoming = self._new_machine(), self._new_incoming()
        self._closing = Closing(
            self._rounds, self._report
        )  # the round is open again: nobody is asked about it
        self._feed(self._opened())

    def _on_message(self, topic: str, payload: bytes) -> None:
        if payload and topic == self._own.topic:
            self._on_aggregator(payload)
            return
        if not payload or (address := self._topics.parse_up(topic)) is None:
            return  # no bytes: a cleared retained message, or `fedfin broker check`
        site, channel = address
        try:
            message = self._inbox.open(site, channel, topic, payload)
            if isinstance(message, SiteState) and is_shard(site):
                self._on_site_state(site, message)
            else:
                self._feed(heard(site, message))
        except ProtocolError as error:
            self._report("bad-message", {"site": site, "reason": str(error)})

    def _on_site_state(self, site: str, state: SiteState) -> None:
        self._report("site", {"site": site, "online": state.online})
        if state.online:
            self._twins.heard(site, state.boot, self._machine.revision(site))
        if state.online and (is_shard(site) or self._machine.knows(site)):
            self._here.add(site)
        elif state.done and site in self._here and self._machine.state is round_states.State.FINISHED:
            self._gone.add(site)  # a retained one of before we came says nothing

    def _feed(self, event: round_events.Event) -> None:
        for effect in self._machine.receive(event, time.monotonic()):
            self._act(effect)

    def _act(self, effect: round_effects.Effect) -> None:  # noqa: C901, PLR0912 - one flat case per effect
        match effect:
            case round_effects.Send(site, channel, message):
                self._post(site, channel, message)
            case round_effects.SendChunks(site, kind, version, indices):
                self._mail.want(site, (kind, version), indices)
            case round_effects.PublishPart():
                self._retained.put(effect)
            case round_effects.ClearParts(listed):
                self._retained.keep_only(listed)
            case round_effects.PublishManifest(manifest):
                self._on_manifest(manifest)
            case round_effects.Spool() | round_effects.Judge():
                self._here.add(effect.site)
                self._incoming.take(effect)
            case round_effects.Seen(site, state):
                self._on_site_state(site, state)
            case round_effects.BeginLife(new, round_, site, seen):
                if self._shards:  # sums that are still being written are of the life before
                    self._incoming.settle()
                self._rounds.begin_life(new)
                self._report("rewound", {"site": site, "round": round_, "seen": seen, "life": new.number})
            case round_effects.Refused():
                self._waiting.refused(effect)
            case round_effects.Declined(site, round_, cause):
                self._rounds.journal.decline(site, round_, cause)
                self._report("declined", {"site": site, "round": round_, "reason": CAUSES[cause]})
            case round_effects.Throttled():
                self._report("throttled", asdict(effect))
            case round_effects.CloseRound():
                self._close(effect)
            case round_effects.Stalled():
                self._waiting.stalls(effect)
            case round_effects.Awaiting():
                self._waiting.awaits(effect)
            case round_effects.Lacking() | round_effects.Rewinding() | round_effects.Unheard():
                self._waiting.lacks(effect)
                if isinstance(effect, round_effects.Rewinding) and self._manifest is not None:
                    self._publish_manifest(self._manifest)  # who starts must not find that all is finished
            case _:
                assert self._sums is not None
                self._sums.act(effect)

    def _close(self, effect: round_effects.CloseRound) -> None:
        self._hear_of_judged(self._incoming.settle())  # what is complete has come in time
        if self._closing.close(effect):
            self._feed(self._opened())
            self._rounds.journal.tidy()

    def _hear_answer(self) -> None:
        """Of the coordinator."""
        if (effect := self._closing.answered) is not None:
            self._close(effect)

    def _on_manifest(self, manifest: RoundManifest) -> None:
        self._waiting.begin(manifest.round)
        self._manifest = manifest
        self._publish_manifest(manifest)
        self._report("round", {"round": manifest.round, "task": manifest.task, "state": manifest.state})

    def _post(self, site: str, channel: str, message: Message) -> None:
        if isinstance(message, Welcome) and (keys := self._channel.group_keys) is not None:
            self._mail.post(site, channel, keys)
        self._mail.post(site, channel, message)

    def _hand_over(self, site: str, channel: str, message: Message) -> tuple[int, int]:
        topic = self._topics.party(site, channel)
        payload = self._channel.send(topic, encode(message), private=message.private)
        return self._link.publish(topic, payload), len(payload)

    def _publish_manifest(self, manifest: RoundManifest) -> None:
        payload = self._channel.send(self._topics.manifest, encode(manifest))
        self._link.publish(self._topics.manifest, payload, retain=True)

    def _opened(self) -> round_events.Opened:
        position = self._rounds.position
        return round_events.Opened(
            position.round,
            position.version,
            position.model,
            self._parts.of(self._rounds.parts),
            self._rounds.receipts,
            self._rounds.earlier_receipts,
            finished=position.finished,
            chunk_size=self._chunk_size,
            late=self._rounds.late,
            roster=self._rounds.roster,
            unopened=self._rounds.unopened,
            summed=self._rounds.summed,
        )
