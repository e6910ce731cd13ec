"""A simulated federation: real machines, rounds and journal; a broker, links, disks and clock that are make-believe.

Everything random comes from one seed, and time is a number, so that any run can be replayed: `World(seed, ...)`.
"""

import hashlib
import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from aggregator.journal import Journal
from aggregator.rounds import Rounds
from aggregator.spool import Spool
from fedfin.model_spec import task_specs, tensor_specs
from fedfin.plan import Modality, Model, Plan
from fedfin.plan import Rounds as RoundsPlan
from fedfin.protocol import messages
from fedfin.protocol import round_life as agg
from fedfin.protocol import site_life as site_
from fedfin.protocol.aggregator_machine import AggregatorMachine
from fedfin.protocol.codec import compress
from fedfin.protocol.payloads import Update, decode_model, decode_payload, encode_update
from fedfin.protocol.site_machine import SiteMachine

CHUNK = 1024
ENCODER = "a" * 64
PLAN = Plan(
    federation="ward",
    labels=("effusion",),
    modalities=(
        Modality(name="image", encoder=ENCODER, dim=6),
        Modality(name="text", encoder=ENCODER, dim=4),
    ),
    model=Model(fin="mlp", fin_width=16, fin_layers=1, head_width=8),
    rounds=RoundsPlan(count=2, sites=3, min_sites=3, deadline_s=1e6),
)
SITES = tuple(f"s{number}" for number in range(PLAN.rounds.sites))
SHAPES = {name: spec.shape for name, spec in tensor_specs(PLAN).items()}


@dataclass(frozen=True)
class Faults:
    """Chances per message (drop, repeat), per event (cut, crash), and how many seconds a message may take."""

    drop: float = 0.0
    repeat: float = 0.0
    cut: float = 0.0
    crash: float = 0.0
    delay: float = 0.01
    budget: int = 12  # cuts and crashes in one run

    @classmethod
    def draw(cls, rng: random.Random) -> "Faults":
        """A bad day, of any kind."""
        return cls(
            drop=rng.choice([0.0, 0.05, 0.3]),
            repeat=rng.choice([0.0, 0.1, 0.5]),
            cut=rng.choice([0.0, 0.02]),
            crash=rng.choice([0.0, 0.01, 0.03]),
            delay=rng.choice([0.01, 1.0, 20.0]),
        )


class CrashError(Exception):
    """The process dies here; what it had not done yet is never done."""


class World:
    """Clock, scheduler, broker and links."""

    def __init__(self, seed: int, faults: Faults, folder: Path) -> None:
        self.rng = random.Random(seed)
        self.faults, self.budget = faults, faults.budget
        self.now, self._order = 0.0, itertools.count()
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self.retained: dict[str, messages.Message] = {}
        self.server = FakeServer(self, folder)
        self.sites = {name: FakeSite(self, name) for name in SITES}

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something later."""
        heapq.heappush(self._agenda, (self.now + seconds, next(self._order), action))

    def misfortune(self, chance: float) -> bool:
        """Whether a cut or crash happens now; each is taken from the budget, so that calm returns."""
        if self.budget <= 0 or self.rng.random() >= chance:
            return False
        self.budget -= 1
        return True

    def carry(self, deliver: Callable[[], None]) -> None:
        """One message over one link: late, lost, repeated, overtaken."""
        if self.rng.random() < self.faults.drop:
            return
        for _ in range(2 if self.rng.random() < self.faults.repeat else 1):
            self.after(self.rng.uniform(0.0, self.faults.delay), deliver)

    def retain(self, topic: str, message: messages.Message | None) -> None:
        """What the broker does with a retained publish; None clears the topic."""
        if message is None:
            self.retained.pop(topic, None)
            return
        self.retained[topic] = message
        for site in self.sites.values():
            site.offer(topic, message)

    def run(self, until: float = 50_000.0) -> None:
        """Until every machine is finished; AssertionError when they are not by then."""
        self.server.boot()
        for site in self.sites.values():
            site.boot()
        while any(site.machine.state is not site_.State.FINISHED for site in self.sites.values()):
            self.now, _, action = heapq.heappop(self._agenda)
            assert self.now < until, [self.server.machine.state] + [
                site.machine.state for site in self.sites.values()
            ]
            action()


class FakeServer:
    """The aggregator's shell: real rounds on a real journal, make-believe link."""

    def __init__(self, world: World, folder: Path) -> None:
        self._world, self._path = world, folder / "journal.sqlite"
        self.journal = Journal(self._path, create=PLAN)
        self.accepted: Counter[tuple[int, str]] = Counter()
        self.crashes = 0
        self._life = 0

    def boot(self) -> None:
        """Start afresh from what is durable."""
        self._life += 1
        self._retained: agg.PublishModel | None = None
        self.journal.close()
        self.journal = Journal(self._path)
        self.rounds = Rounds(self.journal)
        self.spool = Spool(self._path.parent / "spool")
        self.machine = AggregatorMachine(
            PLAN, run=self.journal.run, max_update_bytes=self.rounds.max_update_bytes, chunk_size=CHUNK
        )
        self.feed(self._opened())
        self._tick(self._life)

    def _tick(self, life: int) -> None:
        if life == self._life:
            self.feed(agg.Tick())
            self._world.after(1.0, lambda: self._tick(life))

    def feed(self, event: agg.Event) -> None:
        """One event; a crash may strike between its effects."""
        try:
            self._feed(event)
        except CrashError:
            self._life += 1
            self.crashes += 1
            self.machine = AggregatorMachine(PLAN, run=self.journal.run, max_update_bytes=1)  # deaf
            self._world.after(self._world.rng.uniform(0.0, 30.0), self.boot)

    def _feed(self, event: agg.Event) -> None:
        for effect in self.machine.receive(event, self._world.now):
            if self._world.misfortune(self._world.faults.crash):
                raise CrashError
            self._act(effect)

    def _act(self, effect: agg.Effect) -> None:
        world = self._world
        match effect:
            case agg.Send(site, _, message):
                world.sites[site].send_down(message)
            case agg.PublishModel():
                self._publish(effect)
            case agg.PublishManifest(manifest):
                world.carry(lambda: world.retain("manifest", manifest))
            case agg.Spool(site, offset, data):
                self.spool.put(site, offset, data)
            case agg.Judge(site, round_, id_, size):
                receipt = self.rounds.judge(round_, site, id_, self.spool.take(site, size))
                self.accepted[round_, site] += receipt.accepted
                self._feed(agg.Judged((agg.Answer(site, round_, receipt),)))
            case agg.CloseRound(round_):
                self.rounds.close(round_)
                self._feed(self._opened())

    def _publish(self, model: agg.PublishModel) -> None:
        world, former = self._world, self._retained
        for chunk in model.chunks:
            topic = f"c/{model.version}/{chunk.index}"
            world.carry(lambda topic=topic, chunk=chunk: world.retain(topic, chunk))
        for chunk in former.chunks if former is not None else ():
            topic = f"c/{former.version}/{chunk.index}"
            world.carry(lambda topic=topic: world.retain(topic, None))
        self._retained = model

    def _opened(self) -> agg.Opened:
        at = self.rounds.position
        return agg.Opened(
            at.round,
            at.version,
            at.model,
            self.rounds.receipts,
            self.rounds.earlier_receipts,
            finished=at.finished,
        )


@dataclass
class Disk:
    """What AgentState keeps."""

    run: str = ""
    settled: int = 0
    model: bytes = b""
    outbox: bytes = b""
    answers: list[tuple[int, bool, str]] = field(default_factory=list)


class FakeSite:
    """The agent's shell: a make-believe trainer, disk and link."""

    def __init__(self, world: World, name: str) -> None:
        self._world, self._name, self.disk = world, name, Disk()
        self._life = 0  # counts boots
        self._line = 0  # counts connections; what travels belongs to one
        self._online = False
        self._topics: set[str] = set()

    def boot(self) -> None:
        """Start afresh from what is durable."""
        self._life += 1
        model = hashlib.sha256(self.disk.model).digest() if self.disk.model else b""
        self.machine = SiteMachine(
            boot="0" * 16,
            encoders={"image": ENCODER, "text": ENCODER},
            run=self.disk.run,
            settled=self.disk.settled,
            model=model,
        )
        self._hang_up()
        self._tick(self._life)

    def _hang_up(self) -> None:
        self._line += 1
        self._online, self._topics = False, set()
        self.feed(site_.Disconnected())
        line = self._line
        self._world.after(self._world.rng.uniform(0.1, 10.0), lambda: self._connect(line))

    def _connect(self, line: int) -> None:
        if line == self._line:
            self._online = True
            self._subscribe("manifest")
            self.feed(site_.Connected(CHUNK))

    def _tick(self, life: int) -> None:
        if life != self._life:
            return
        self.feed(site_.Tick())
        self._world.after(0.5, lambda: self._tick(life))

    def feed(self, event: site_.Event) -> None:
        """One event; a crash may strike between its effects."""
        for effect in self.machine.receive(event, self._world.now):
            if self._world.misfortune(self._world.faults.crash):
                self.boot()
                return
            self._act(effect)
        if self._online and self._world.misfortune(self._world.faults.cut):
            self._hang_up()

    # The link.

    def offer(self, topic: str, message: messages.Message) -> None:
        """The broker has this for whoever subscribed."""
        if any(topic.startswith(prefix) for prefix in self._topics):
            self.send_down(message)

    def send_down(self, message: messages.Message) -> None:
        """A message on its way to this site."""
        line = self._line

        def deliver() -> None:
            if line == self._line and self._online:
                self.feed(messages.decode(messages.encode(message), type(message)))

        if self._online:
            self._world.carry(deliver)

    def _send_up(self, message: messages.Message) -> None:
        server, event = self._world.server, agg.FromSite(self._name, message)
        self._world.carry(lambda: server.feed(event))
        if isinstance(message, messages.Chunk):  # the broker's acknowledgement, even of what it then loses
            line = self._line
            self._world.after(0.01, lambda: self.feed(site_.Published()) if line == self._line else None)

    def _subscribe(self, prefix: str) -> None:
        self._topics.add(prefix)
        for topic, message in list(self._world.retained.items()):
            if topic.startswith(prefix):
                self.send_down(message)

    # The rest of the shell.

    def _act(self, effect: site_.Effect) -> None:
        disk = self.disk
        match effect:
            case site_.Send(_, message):
                assert self._online, "a machine that was told of the cut sends nothing"
                self._send_up(message)
            case site_.Follow(version):
                self._subscribe(f"c/{version}/")
            case site_.Unfollow(version):
                self._topics.discard(f"c/{version}/")
            case site_.Join(run, _):
                disk.run = run
            case site_.KeepModel(_, payload):
                disk.model = payload
            case site_.Work():
                self._work(effect)
            case site_.Settle(round_, accepted, reason):
                disk.settled = round_
                disk.answers.append((round_, accepted, reason))
            case site_.Leave(reason):
                raise AssertionError(reason)

    def _work(self, work: site_.Work) -> None:
        life = self._life
        saved = self.disk.outbox and decode_payload(self.disk.outbox, Update)
        again = bool(saved) and (saved.round, saved.base) == (work.round, work.version)
        payload = self.disk.outbox if again else make_update(self._name, work, self.disk.model)

        def finish() -> (
            None
        ):  # also of a round that was abandoned: the worker may be done in that very moment
            if life == self._life:
                self.disk.outbox = payload
                self.feed(site_.Done(work.round, payload))

        self._world.after(0.0 if again else self._world.rng.uniform(0.1, 30.0), finish)


def make_update(site: str, work: site_.Work, model: bytes) -> bytes:
    """Depends on site, round, and every value of the model it starts from."""
    version, tensors = decode_model(model, plan=PLAN.digest(), shapes=SHAPES)
    assert version == work.version
    deltas, weights, shapes = {}, {}, task_specs(PLAN, work.task)
    rng = np.random.default_rng([*site.encode(), work.round])
    for name, shape in shapes.items():
        drift = 0.1 * float(np.mean(tensors[name])) if name in tensors else 0.0
        deltas[name] = (rng.random(shape) + drift).astype(np.float32)
        weights[name] = int(rng.integers(1, 100))
    return encode_update(
        compress(deltas, shapes, "exact").body,
        weights,
        shapes,
        site=site,
        plan=PLAN.digest(),
        round_=work.round,
        task=work.task,
        base=work.version,
        metrics={"loss": 1.0},
    )
