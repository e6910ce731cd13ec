"""What must hold whatever happens, checked at every message that reaches the broker, and at the end."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from fedfin.protocol import transfer
from fedfin.protocol.life import Life
from fedfin.protocol.messages.manifest import RoundManifest
from fedfin.protocol.messages.message import decode
from fedfin.protocol.messages.secure_sums import Summed
from fedfin.protocol.messages.transfers import Receipt
from fedfin.protocol.rounds.sum_effects import OpenSum
from fedfin.secure_sums.masks import Words
from fedfin_aggregator.rounds.root_rounds import RootRounds
from fedfin_aggregator.rounds.rounds import Rounds
from fedfin_aggregator.rounds.secure_rounds import SUM
from fedfin_aggregator.rounds.update_checks import SUPPRESSED, WITHHELD, WITHOUT_SUM
from fedfin_aggregator.store.journal import Journal
from simulation.sum_watch import SumWatch

if TYPE_CHECKING:
    from simulation.processes import Process
    from simulation.world import World

KIND_RECEIPT, KIND_SUMMED = (b"\xa4kind" + msgspec.msgpack.encode(kind) for kind in ("receipt", "summed"))
Judge = Callable[[int, str, bytes, bytes], Receipt]
NewLife = TypeVar("NewLife")  # a shard's Rewind or another run, or a root's Life


class Watch:
    """The invariants."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.payloads: dict[bytes, bytes] = {}  # every update that was judged, by id
        # By sender, site and id, as sites may have read them.
        self.receipts: dict[tuple[Process, str, bytes], Receipt] = {}
        self._rewound: set[tuple[Process, str, bytes]] = set()  # receipts of a life before
        self._renewed: set[Process] = set()  # who is not in its first life
        self.models: dict[tuple[str, Life, int], bytes] = {}  # the digest by run, life and version
        self.sums = SumWatch(world.plan)
        self._summed: dict[tuple[Process, str, int], bool] = {}  # by sender, site and round
        self._offered: set[tuple[str, Life, int]] = set()  # a site's process, its life, and round

    def judging(self, judge: Judge) -> Judge:
        """Keep what is judged: the journal drops it when its round closes."""

        def keep(round_: int, site: str, id_: bytes, payload: bytes) -> Receipt:
            self.payloads[id_] = payload
            return judge(round_, site, id_, payload)

        return keep

    def rewinding(self, server: "Process", begin: Callable[[NewLife], None]) -> Callable[[NewLife], None]:
        """What a shard, or a root, drops for a new life was promised before; such receipts may travel yet."""

        def keep(new: NewLife) -> None:
            accepted = {(server, name, id_) for name, id_ in self._world.accepted(server)}
            try:
                begin(new)
            finally:  # it may die when the new life is durable
                self._begun(server, {key for key in accepted if not self._world.is_durable(*key)})

        return keep

    def _begun(self, server: "Process", gone: set[tuple["Process", str, bytes]]) -> None:
        self._rewound |= gone
        self._renewed.add(server)
        kept = {key: r for key, r in self.receipts.items() if key not in gone}
        self.receipts = {key: r for key, r in kept.items() if key[0] is not server or r.accepted}

    def opening(self, encode: Callable[[OpenSum, Words], bytes]) -> Callable[[OpenSum, Words], bytes]:
        """Keep what secure sums come to."""

        def keep(sum_: OpenSum, words: Words) -> bytes:
            self.sums.opening(sum_, words)
            payload = encode(sum_, words)
            self.payloads[transfer.whole_id(payload)] = payload
            return payload

        return keep

    def set_back(self, party: "Process") -> None:
        """Its folder is older than what it has said: it may say other things now, and what it promised is gone."""
        self.asked_anew(party.name)
        self.receipts = {key: receipt for key, receipt in self.receipts.items() if key[0] is not party}
        self._summed = {key: accepted for key, accepted in self._summed.items() if key[0] is not party}
        if party is self._world.aggregator:
            self.models.clear()

    def offering(self, site: str, life: Life, round_: int) -> None:
        """An update of this round is about to leave."""
        self._offered.add((site, life, round_))

    def asked_anew(self, site: str) -> None:
        """It may make updates anew."""
        self._offered = {offered for offered in self._offered if offered[0] != site}

    def computing(self, site: str, life: Life, round_: int) -> None:
        """A site begins a round's work: not again once it has offered its update, which it must have saved."""
        assert (site, life, round_) not in self._offered, ("made anew after it was offered", site, round_)

    def may_write(self, client_id: str, topic: str) -> None:
        """Up: each under its own id only. The aggregator: everywhere but there. A shard: down to sites, too."""
        parts = topic.split("/")
        if client_id.endswith("-aggregator"):
            assert parts[3] in {"agg", "global"} or parts[5] == "dn", topic
        elif "-shard-" in client_id:
            own = ["shard", client_id.rpartition("-")[2], "up"]
            assert parts[3:6] == own or (parts[3], parts[5]) == ("site", "dn"), (client_id, topic)
        else:
            assert parts[3:6] == ["site", client_id.rpartition("-")[2], "up"], (client_id, topic)

    def published(self, sender: "Process", topic: str, payload: bytes) -> None:
        """A message has reached the broker: from now on somebody may have read it."""
        if topic.endswith("/dn/ctl") and KIND_RECEIPT in payload:
            if self._world.keys is None:  # for masked values it promises nothing
                self._receipt(sender, _party(topic), decode(payload, Receipt))
        elif topic.endswith("/dn/ctl") and KIND_SUMMED in payload:
            self._answered(sender, _party(topic), decode(payload, Summed))

    def arrived(self, party: "Process", topic: str, payload: bytes) -> None:
        """A party has read it. What no site has heeded, an aggregator that is set back may do otherwise."""
        if payload and topic.endswith("/global/manifest") and party.heeds_rounds:
            self._manifest(decode(payload, RoundManifest))

    def _receipt(self, sender: "Process", site: str, receipt: Receipt) -> None:
        key = sender, site, receipt.id
        if key in self._rewound and not self._world.is_durable(*key):
            return
        if sender in self._renewed and not receipt.accepted:
            return  # of the life before: what was late in it may count in this one
        first = self.receipts.setdefault((sender, site, receipt.id), receipt)
        assert first.accepted == receipt.accepted, ("a receipt changed its mind", site, first, receipt)
        if receipt.accepted:
            assert self._world.is_durable(sender, site, receipt.id), (
                "a receipt for what is not durable",
                site,
            )

    def _answered(self, sender: "Process", site: str, summed: Summed) -> None:
        first = self._summed.setdefault((sender, site, summed.round), summed.accepted)
        assert first == summed.accepted, ("a sum changed its mind", site, summed)
        if summed.accepted:
            assert self._world.is_summed(sender, site, summed.round), ("summed, and not durable", site)

    def _manifest(self, manifest: RoundManifest) -> None:
        key = manifest.run, manifest.life, manifest.version
        first = self.models.setdefault(key, manifest.model)
        assert first == manifest.model, ("two models for one version", manifest.version)

    def finish(self, journal: Journal, collectors: Sequence[Journal], folder: Path) -> None:
        """Every accepted update counts exactly once: an undisturbed aggregator makes the same models of them.

        `collectors`: the journals of those who took the sites' updates, which are the shards' if there are any; or the
        root's own, where a shard was set back and does not hold them any more: then it took sums.
        """
        for (sender, site, id_), receipt in self.receipts.items():
            if receipt.accepted and not sender.gone:
                assert self._world.is_durable(sender, site, id_), ("accepted, then lost", site)
        summed = journal.plan.privacy.summed
        sums = summed or (bool(self._world.shards) and journal in collectors)
        again = (RootRounds if sums else Rounds)(
            Journal(folder / "replay.sqlite", create=journal.plan, run=journal.run)
        )
        try:
            for row in journal.rounds():
                for update in (u for collector in collectors for u in collector.updates.counted(row.round)):
                    if update.accepted and (update.site == SUM) == summed:
                        again.judge(update.round, update.site, update.id, self.payloads[update.id])
                assert again.journal.versions.model_id(row.version) == journal.versions.model_id(
                    row.version
                ), row
                again.close(row.round)
            assert [_of_one_life(r.results) for r in again.journal.rounds()] == [
                _of_one_life(r.results) for r in journal.rounds()
            ]
        finally:
            again.journal.close()


def _party(topic: str) -> str:
    """The site, or shard/{index}, that a topic is of."""
    _, _, _, kind, name, *_ = topic.split("/")
    return name if kind == "site" else f"{kind}/{name}"


def _of_one_life(results: dict[str, float]) -> dict[str, float]:
    """Without what no replay of the updates knows: who had answered before a server was set back; what a sum lacks."""
    return {
        n: value
        for n, value in results.items()
        if n not in WITHOUT_SUM.values() and not n.startswith((WITHHELD, SUPPRESSED))
    }
