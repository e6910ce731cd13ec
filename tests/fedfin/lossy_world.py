"""A simulated federation: real machines, rounds and journal; a broker, links, disks and clock that are make-believe.

Everything random comes from one seed, and time is a number, so that any run can be replayed: `World(seed, ...)`.
"""

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
from msgspec.structs import replace

from aggregator.journal import Journal
from aggregator.rounds import Rounds
from aggregator.spool import Spool
from edge_client.agent_state import AgentState
from edge_client.outbox import Outbox, make_outbox
from fedfin.files import write_atomically
from fedfin.model_spec import task_specs
from fedfin.plan import Codec, Modality, Model, Plan
from fedfin.plan import Rounds as RoundsPlan
from fedfin.protocol import messages, transfer
from fedfin.protocol import round_life as agg
from fedfin.protocol import site_life as site_
from fedfin.protocol.aggregator_machine import AggregatorMachine
from fedfin.protocol.site_machine import SiteMachine
from fedfin.protocol.topics import Topics

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
LOSSY = replace(PLAN, codec=Codec(up="tiny", down="small"), rounds=replace(PLAN.rounds, count=4))
SITES = tuple(f"s{number}" for number in range(PLAN.rounds.sites))
TOPICS = Topics(PLAN.federation)


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

    def __init__(self, seed: int, faults: Faults, folder: Path, plan: Plan = PLAN) -> None:
        self.plan = plan
        self.rng = random.Random(seed)
        self.faults, self.budget = faults, faults.budget
        self.now, self._order = 0.0, itertools.count()
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self.retained: dict[str, messages.Message] = {}
        self.server = FakeServer(self, folder)
        self.sites = {name: FakeSite(self, name, folder / name) for name in SITES}

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
        with (
            patch("edge_client.agent_state.write_atomically", self._write),
            patch("edge_client.kept_model.write_atomically", self._write),
        ):
            self._run(until)

    def _write(self, path: Path, data: bytes) -> None:
        """A site's process may die before and after every file that it writes."""
        if self.misfortune(self.faults.crash):
            raise CrashError
        write_atomically(path, data)
        if self.misfortune(self.faults.crash):
            raise CrashError

    def _run(self, until: float) -> None:
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
        self.journal = Journal(self._path, create=world.plan)
        self.accepted: Counter[tuple[int, str]] = Counter()
        self.crashes = 0
        self._life = 0

    def boot(self) -> None:
        """Start afresh from what is durable."""
        self._life += 1
        self.journal.close()
        self.journal = Journal(self._path)
        self.rounds = Rounds(self.journal)
        self.spool = Spool(self._path.parent / "spool")
        self.machine = AggregatorMachine(
            self._world.plan,
            run=self.journal.run,
            max_update_bytes=self.rounds.max_update_bytes,
            chunk_size=CHUNK,
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
            self.machine = AggregatorMachine(
                self._world.plan, run=self.journal.run, max_update_bytes=1
            )  # deaf
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
            case agg.PublishPart(payload, outline):
                self._publish(payload, outline)
            case agg.ClearParts(listed):
                self._clear(listed)
            case agg.PublishManifest(manifest):
                world.carry(lambda: world.retain("manifest", manifest))
            case agg.Spool(site, offset, data):
                self.spool.put(site, offset, data)
            case agg.Judge(site, round_, id_, size):
                receipt = self.rounds.judge(round_, site, id_, self.spool.take(site, size))
                self.accepted[round_, site] += receipt.accepted
                self._feed(agg.Judged((agg.Answer(site, round_, receipt),)))
            case agg.CloseRound(round_, _):
                self.rounds.close(round_)
                self._feed(self._opened())

    def _publish(self, payload: agg.Payload, outline: messages.Outline) -> None:
        world = self._world
        self.journal.retain(payload.kind, payload.version, len(outline.chunks))
        for index in range(len(outline.chunks)):
            topic = TOPICS.chunk(payload.kind, payload.version, index)
            chunk = transfer.chunk(payload.data, outline, index)
            world.carry(lambda topic=topic, chunk=chunk: world.retain(topic, chunk))

    def _clear(self, listed: tuple[tuple[messages.PartKind, int], ...]) -> None:
        """A clearing that gets lost on its way to the broker is never confirmed: the next one does it again."""
        world = self._world
        for key, count in self.journal.retained().items():
            if key not in listed:
                for index in range(count):
                    topic = TOPICS.chunk(*key, index)
                    world.carry(lambda topic=topic: world.retain(topic, None))

    def _opened(self) -> agg.Opened:
        at = self.rounds.position
        return agg.Opened(
            at.round,
            at.version,
            at.model,
            self.rounds.parts,
            self.rounds.receipts,
            self.rounds.earlier_receipts,
            finished=at.finished,
        )


class FakeSite:
    """The agent's shell: its real state on a real disk, a make-believe trainer and link."""

    def __init__(self, world: World, name: str, folder: Path) -> None:
        self._world, self._name, self._folder = world, name, folder
        self.answers: list[tuple[int, bool, str]] = []
        self._life = 0  # counts boots
        self._line = 0  # counts connections; what travels belongs to one
        self._online = False
        self._topics: set[str] = set()

    def boot(self) -> None:
        """Start afresh from what is durable."""
        self._life += 1
        self.state = AgentState(self._folder)
        self.machine = SiteMachine(
            site=self._name,
            boot="0" * 16,
            encoders={"image": ENCODER, "text": ENCODER},
            memory=self.state.memory(),
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
        """One event; a crash may strike between its effects, and within."""
        try:
            self._feed(event)
        except CrashError:
            self.boot()
            return
        if self._online and self._world.misfortune(self._world.faults.cut):
            self._hang_up()

    def _feed(self, event: site_.Event) -> None:
        for effect in self.machine.receive(event, self._world.now):
            if self._world.misfortune(self._world.faults.crash):
                raise CrashError
            self._act(effect)

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
        match effect:
            case site_.Send(_, message):
                assert self._online, "a machine that was told of the cut sends nothing"
                self._send_up(message)
            case site_.Follow(kind, version, index):
                self._subscribe(self._prefix(kind, version, index))
            case site_.Unfollow(kind, version, index):
                self._topics.discard(self._prefix(kind, version, index))
            case site_.Join(run, plan):
                self.state.join(run, plan)
            case site_.Assemble():
                self.state.model.assemble(effect, self._world.plan)
                done = site_.Assembled(effect.version, effect.model)
                self._later(0.0, lambda: self.feed(done))
            case site_.Work():
                self._work(effect)
            case site_.Abandon():
                self.state.abandon()
            case site_.Settle(round_, accepted, reason):
                self.state.settle(accepted=accepted)
                self.answers.append((round_, accepted, reason))
            case site_.Leave(reason):
                raise AssertionError(reason)

    @staticmethod
    def _prefix(kind: messages.PartKind, version: int, index: int | None) -> str:
        return TOPICS.chunk(kind, version, index).rstrip("+")

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        """Unless the process has died by then."""
        life = self._life
        self._world.after(seconds, lambda: action() if life == self._life else None)

    def _work(self, work: site_.Work) -> None:
        outbox = make_update(self._world.plan, self._name, work, self.state)

        def finish() -> None:
            if self.machine.state is not site_.State.WORKING:
                return
            try:
                self.state.put_update(outbox)
            except CrashError:
                self.boot()
            else:
                self.feed(site_.Done(work.round, outbox.payload))

        self._later(self._world.rng.uniform(0.1, 30.0), finish)


def make_update(plan: Plan, site: str, work: site_.Work, state: AgentState) -> Outbox:
    """Depends on site, round, every value of the model it starts from, and what is owed."""
    assert state.model.version == work.version
    tensors = state.model.tensors(plan)
    deltas, weights = {}, {}
    rng = np.random.default_rng([*site.encode(), work.round])
    for name, shape in task_specs(plan, work.task).items():
        drift = 0.1 * float(np.mean(tensors[name])) if name in tensors else 0.0
        deltas[name] = (rng.random(shape) + drift).astype(np.float32)
        weights[name] = int(rng.integers(1, 100))
    return make_outbox(plan, work, site, deltas, weights, {"loss": 1.0}, state.feedback())
