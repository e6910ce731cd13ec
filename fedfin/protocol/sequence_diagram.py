"""One round as a sequence diagram: `python -m fedfin.protocol.sequence_diagram` prints it as mermaid.

Not drawn: the real machines of an aggregator and of two sites pass their messages in memory, and each is written down.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from fedfin import limits
from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model, Rounds
from fedfin.protocol import transfer
from fedfin.protocol.messages.manifest import PartKind
from fedfin.protocol.messages.message import Message
from fedfin.protocol.messages.transfers import Receipt
from fedfin.protocol.rounds import effects as round_effects
from fedfin.protocol.rounds import events as round_events
from fedfin.protocol.rounds.machine import RoundMachine
from fedfin.protocol.site import effects as site_effects
from fedfin.protocol.site import events as site_events
from fedfin.protocol.site.machine import SiteMachine
from fedfin.protocol.site.memory import Memory

SITES = ("north", "south")
ENCODERS = {"image": "a" * 64}
RUN = "1" * 16
MODELS = (b"0" * 32, b"1" * 32)  # ids of versions 0 and 1
SNAPSHOT = round_events.Payload("snapshot", 0, bytes(1000))
DELTA = round_events.Payload("delta", 1, bytes(100))
UPDATE = bytes(100)
PLAN = Plan(
    federation="ward",
    labels=("effusion",),
    modalities=(Modality(name="image", encoder=ENCODERS["image"], dim=4),),
    model=Model(answer="head", fin="mlp"),
    rounds=Rounds(count=2, sites=len(SITES), min_sites=len(SITES)),
)


class Recorder:
    """An aggregator, a broker that keeps retained messages, and sites; `lines`: what passed between them."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._now = 0.0
        self._queue: deque[Callable[[], None]] = deque()
        self._retained: dict[tuple[PartKind, int], list[Message]] = {}
        self._aggregator = RoundMachine(PLAN, run=RUN, max_update_bytes=10**6)
        self._sites = {
            name: SiteMachine(site=name, boot=f"{i:016x}", encoders=ENCODERS, memory=Memory())
            for i, name in enumerate(SITES)
        }

    def play(self) -> list[str]:
        """From an aggregator and sites that start, until every site works on the model that the first round made."""
        self._to_aggregator(round_events.Opened(1, 0, MODELS[0], (SNAPSHOT,), {}, {}))
        for site in SITES:
            self._to_site(site, site_events.Connected(limits.CHUNK_BYTES))
        while self._queue:
            self._now += 0.1
            self._queue.popleft()()
        return self.lines

    def _to_aggregator(self, event: round_events.Event) -> None:
        for effect in self._aggregator.receive(event, self._now):
            self._aggregator_acts(effect)

    def _to_site(self, site: str, event: Any) -> None:
        for effect in self._sites[site].receive(event, self._now):
            self._site_acts(site, effect)

    def _aggregator_acts(self, effect: round_effects.Effect) -> None:
        match effect:
            case round_effects.Send(site, _, message):
                self._passes("aggregator", site, message, partial(self._to_site, site, message))
            case round_effects.PublishPart(part, outline):
                pieces = [transfer.chunk(part.data, outline, i) for i in range(len(outline.chunks))]
                self._retained[part.kind, part.version] = [*pieces]
                note = f"of the {part.kind} of version {part.version}, retained"
                self._passes("aggregator", "broker", pieces[0], note=note)
            case round_effects.PublishManifest(manifest):
                self._passes("aggregator", "broker", manifest, note=f"of round {manifest.round}, retained")
                for site in SITES if manifest.round > 1 else ():  # the others are welcomed with it
                    self._passes("broker", site, manifest, partial(self._to_site, site, manifest))
            case round_effects.Judge(site, round_, id_):
                self.lines.append(f"Note over aggregator: checks the update of {site}, writes it to disk")
                answer = round_events.Answer(site, round_, Receipt(id=id_, accepted=True))
                self._queue.append(partial(self._to_aggregator, round_events.Judged((answer,))))
            case round_effects.CloseRound(round_):
                self.lines.append(f"Note over aggregator: folds round {round_} into version 1")
                following = round_events.Opened(round_ + 1, 1, MODELS[1], (SNAPSHOT, DELTA), {}, {})
                self._queue.append(partial(self._to_aggregator, following))

    def _site_acts(self, site: str, effect: site_effects.Effect) -> None:
        match effect:
            case site_effects.Send(_, message):
                self._passes(site, "aggregator", message, partial(self._arrives, site, message))
            case site_effects.MakeFirst():
                self.lines.append(f"Note over {site}: makes version 0 from the plan")
                self._soon(site, site_events.Assembled(0, MODELS[0]))
            case site_effects.Follow(kind, version, index):
                note = f"of the {kind} of version {version}"
                piece = self._retained[kind, version][index]
                self._passes("broker", site, piece, partial(self._to_site, site, piece), note=note)
            case site_effects.Assemble(version, model):
                self.lines.append(f"Note over {site}: makes version {version} of its own and the delta")
                self._soon(site, site_events.Assembled(version, model))
            case site_effects.Work(round_, task) if round_ == 1:
                self.lines.append(f"Note over {site}: {task}")
                self._soon(site, site_events.Done(round_, site.encode() + UPDATE))
            case site_effects.Work(round_, task):
                self.lines.append(f"Note over {site}: {task}, round {round_}")

    def _arrives(self, site: str, message: Any) -> None:
        """At the aggregator; its broker has taken it, too."""
        self._to_aggregator(round_events.FromSite(site, message))
        self._to_site(site, site_events.Published())

    def _soon(self, site: str, event: site_events.Event) -> None:
        self._queue.append(partial(self._to_site, site, event))

    def _passes(
        self,
        sender: str,
        receiver: str,
        message: Any,
        arrive: Callable[[], None] | None = None,
        note: str = "",
    ) -> None:
        kind = message.__struct_config__.tag
        self.lines.append(f"{sender}->>{receiver}: {kind} {note}".rstrip())
        if arrive is not None:
            self._queue.append(arrive)


def sequence() -> str:
    """The round as it stands in docs/protocol.md."""
    people = [f"participant {name}" for name in (*SITES, "broker", "aggregator")]
    return "\n    ".join(["sequenceDiagram", *people, *Recorder().play()])


if __name__ == "__main__":
    print(sequence())
