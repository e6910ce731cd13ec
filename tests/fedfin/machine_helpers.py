"""The two machines, each alone with messages made by hand."""

from msgspec import UNSET

from fedfin.model.model_spec import Task
from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model, Rounds
from fedfin.protocol import transfer
from fedfin.protocol.invitation import EVERYONE
from fedfin.protocol.messages.joining import Hello, Welcome
from fedfin.protocol.messages.manifest import Part, RoundManifest
from fedfin.protocol.messages.transfers import Begin, Chunk
from fedfin.protocol.rounds import effects as round_effects
from fedfin.protocol.rounds import events as round_events
from fedfin.protocol.rounds.machine import RoundMachine
from fedfin.protocol.schedule import task_of
from fedfin.protocol.site import effects as site_effects
from fedfin.protocol.site import events as site_events
from fedfin.protocol.site import states as site_states
from fedfin.protocol.site.memory import Memory
from fedfin.protocol.site.secure_machine import SecureSiteMachine
from fedfin.protocol.versions import OURS

CHUNK = 1024
ENCODER = "a" * 64
MODALITIES = (Modality(name="image", encoder=ENCODER, dim=6), Modality(name="text", encoder=ENCODER, dim=4))


def make_plan(**rules) -> Plan:
    """Ten training rounds of three sites, all of which must answer: round 1 is for moments, 12 the last."""
    rounds = Rounds(**({"count": 10, "sites": 3, "min_sites": 3, "deadline_s": 1e6} | rules))
    model = Model(answer="head", fin="mlp", fin_width=16, fin_layers=1, head_width=8)
    return Plan(federation="ward", labels=("effusion",), modalities=MODALITIES, model=model, rounds=rounds)


PLAN = make_plan()
RUN, OTHER_RUN = "1" * 16, "2" * 16
MODEL, OLD_MODEL = b"m" * 32, b"o" * 32
PAYLOAD = bytes(range(256)) * 12  # three chunks
HELLO = Hello(boot="0" * 16, encoders={"image": ENCODER})


def deeds(machine, now: float) -> list:
    """What the aggregator's machine does at a tick, but for what it tells people."""
    effects = machine.receive(round_events.Tick(), now)
    return [effect for effect in effects if not isinstance(effect, round_effects.Awaiting)]


def begin_of(payload: bytes = PAYLOAD, *, run: str = RUN, round_: int = 2, chunk_size: int = CHUNK) -> Begin:
    return Begin(run=run, round=round_, outline=transfer.outline(payload, chunk_size))


def part_of(version: int, data: bytes) -> Part:
    return Part(version=version, outline=transfer.outline(data, CHUNK))


def manifest_of(
    round_: int,
    *,
    run: str = RUN,
    state: str = "open",
    snapshot: int | None = None,
    model: bytes = MODEL,
    threshold: int = EVERYONE,
    task: Task | None = None,
) -> RoundManifest:
    """By way of the snapshot of the round's version, or of an earlier one and deltas of 100 bytes."""
    version = round_ - 1
    base = version if snapshot is None else snapshot
    return RoundManifest(
        run=run,
        round=round_,
        task=task or task_of(PLAN, round_),
        state=state,
        threshold=threshold,
        version=version,
        model=model,
        snapshot=part_of(base, snapshot_of(base)),
        deltas=tuple(part_of(number, delta_of(number)) for number in range(base + 1, round_)),
    )


def snapshot_of(version: int) -> bytes:
    return bytes([version]) * 3000


def delta_of(version: int) -> bytes:
    return bytes([version]) * 100


def chunks_of(data: bytes) -> list[Chunk]:
    outline = transfer.outline(data, CHUNK)
    return [transfer.chunk(data, outline, i) for i in range(len(outline.chunks))]


class Aggregator:
    """At round 2, with version 1; `ask` returns the messages that go back to the site."""

    def __init__(self, *, plan: Plan = PLAN, limit: int = 10**6, **opened) -> None:
        self.machine = RoundMachine(plan, run=RUN, max_update_bytes=limit, chunk_size=CHUNK)
        parts = (
            round_events.Payload("snapshot", 0, b"m" * 3000),
            round_events.Payload("delta", 1, b"d" * 10),
        )
        defaults = {"round": 2, "version": 1, "model": MODEL, "parts": parts, "receipts": {}, "earlier": {}}
        self.now = 1.0
        self.opening = self.machine.receive(round_events.Opened(**(defaults | opened)), 0.0)

    def feed(self, message, site: str = "s0") -> list[round_effects.Effect]:
        """One message of a site."""
        return self.machine.receive(round_events.FromSite(site, message), self.now)

    def ask(self, message, site: str = "s0") -> list:
        """The messages that answer it."""
        return [
            effect.message for effect in self.feed(message, site) if isinstance(effect, round_effects.Send)
        ]


class Site:
    """Welcomed, online, with the model of every manifest above; or with another one, of `version`."""

    def __init__(self, model: bytes = MODEL, version: int | None = 0, *, plan: Plan = PLAN, **memory) -> None:
        memory_ = Memory(run=RUN, model=model, version=version, **memory)
        encoders = {"image": ENCODER}
        self.machine = SecureSiteMachine(site="s0", boot="0" * 16, encoders=encoders, memory=memory_)
        self.now = 0.0
        party = OURS if plan.privacy.summed else UNSET
        self.feed(site_events.Connected(CHUNK), Welcome(run=RUN, plan=plan, party=party))
        if version is None:  # neither can it make one
            self.machine.state = site_states.State.IDLE

    def feed(self, *events) -> list[site_effects.Effect]:
        """Events, in this order."""
        return [effect for event in events for effect in self.machine.receive(event, self.now)]

    @property
    def state(self) -> site_states.State:
        """Where it stands."""
        return self.machine.state
