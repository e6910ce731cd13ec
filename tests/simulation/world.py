"""One schedule: a federation, a seed, and what goes wrong."""

import contextlib
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fedfin.declines import CAUSES
from fedfin.plan import Plan
from fedfin.protocol.schedule import task_of
from fedfin.protocol.shards.shard import Shard
from simulation.backups import Backups, open_reader
from simulation.bad_dealer import BadDealer
from simulation.broker import Broker, Link
from simulation.clock import Clock
from simulation.doubles import Doubles
from simulation.faults import CrashError, Faults
from simulation.ledger_watch import check_ledgers
from simulation.processes import AggregatorProcess, Process, ShardProcess, SiteProcess, make_believe
from simulation.sum_keys import SumKeys
from simulation.watch import Watch

UNTIL_S = 50_000.0
Trace = Callable[[str], None]


class World:
    """Everything random comes from one seed, and time is a number: the same arguments, the same schedule."""

    def __init__(
        self,
        seed: int,
        plan: Plan,
        sites: int,
        faults: Faults,
        folder: Path,
        *,
        shards: int = 0,
        trace: Trace | None = None,
    ) -> None:
        self.rng = random.Random(seed)
        self.plan, self.faults, self.budget = plan, faults, faults.budget
        self.tally: Counter[str] = Counter()
        self.facts: list[tuple[float, str, str, dict[str, Any]]] = []
        self._trace = trace
        self.on_report: Callable[[str, str, dict[str, Any]], None] | None = None
        self.clock = Clock()
        self.current: Process | None = None
        self._folder = folder
        self.watch = Watch(self)
        names = [f"s{i}" for i in range(sites)]
        self.keys = SumKeys(self.rng, names) if plan.privacy.summed else None
        self.bad_dealer: BadDealer | None = None
        with make_believe(self):
            self.broker = Broker(self)
            self.aggregators = [AggregatorProcess(self, folder, shards=shards)]
            self.shards = [ShardProcess(self, folder / f"shard-{i}", Shard(i, shards)) for i in range(shards)]
            self.sites = [SiteProcess(self, name, folder / name) for name in names]
        self.twins: list[SiteProcess] = []  # of sites
        self.backups = Backups(self, folder / "copies")
        self.doubles = Doubles(self, folder / "copies")

    def run(self) -> None:
        """Until every site is finished. Raises AssertionError when an invariant breaks, or nothing moves on."""
        with make_believe(self), self._readers():
            for process in (self.aggregator, *self.shards, *self.sites):
                self.clock.after(process.asleep_s, process.boot)
            if not self._goes_on(lambda: self._finished):
                return
            self.budget = 0
            self.doubles.settle()
            servers = [self.aggregator, *self.shards]
            # A site may be set back while a server starts again.
            if not self._goes_on(lambda: self._sites_finished and all(server.alive for server in servers)):
                return
            older = ("shard set back", "aggregator set back", "second aggregator", "twin of a shard")
            whole = not any(self.tally[what] for what in older)
            collectors = [s.journal for s in (self.shards if self.shards and whole else [self.aggregator])]
            self.watch.finish(self.aggregator.journal, collectors, self._folder)
            self._check_sites()
        for server in servers:
            server.close()

    def _goes_on(self, over: Callable[[], bool]) -> bool:
        """Until it is over; False where a person was told to begin anew before."""
        while not over():
            if self.told_to_begin_anew:
                return False
            for _ in range(10):
                self.clock.step()
            assert self.clock.now < UNTIL_S, f"deadlock: {self.states()}"
        return True

    @property
    def _finished(self) -> bool:
        """All sites have left, and not before an aggregator that is set back: to such a one they come again."""
        return self._sites_finished and any(map(self.has_finished, self.aggregators))

    @property
    def _sites_finished(self) -> bool:
        return all(site.finished or not site.awaited for site in (*self.sites, *self.twins))

    @property
    def told_to_begin_anew(self) -> bool:
        """Whether log and `show` say that moments cannot be summed a second time: a person must begin another run."""
        return any(
            event == "declined"
            and facts["reason"] == CAUSES["rewound"]
            and task_of(self.plan, facts["round"]) in {"moments", "second_moments"}
            for _, name, event, facts in self.facts
            if name.startswith("aggregator")
        )

    def _check_sites(self) -> None:
        version = self.aggregator.journal.versions.newest()
        with contextlib.closing(self.aggregator.journal):
            self.results = [row.results for row in self.aggregator.journal.rounds()]
            rounds = self.aggregator.server._rounds
            final, self.tensors = rounds.model_file(version), rounds._versions.tensors(version)
        for site in (*self.sites, *self.twins):
            assert not site.awaited or (site.folder / "state" / "final.fedfin").read_bytes() == final, (
                site.name
            )
        self.final = final
        if self.plan.privacy.noised:
            folders = {site.name: site.folder for site in self.sites}
            told = check_ledgers(self.plan, self.aggregator.folder, folders)
            self.tally["told in sums with noise"] += told

    @property
    def aggregator(self) -> AggregatorProcess:
        """The one that serves, or will: the newest that nobody has told to stop."""
        return next(each for each in reversed(self.aggregators) if not each.gone)

    # What the others ask of it.

    def misfortune(self, chance: float) -> bool:
        """Whether a cut or crash happens now; each is taken from the budget."""
        if chance <= 0.0 or self.budget <= 0 or self.rng.random() >= chance:
            return False
        self.budget -= 1
        return True

    def crash_point(self) -> None:
        """The running process may die here."""
        if self.current is not None and self.misfortune(self.faults.crash):
            self.happens(f"{self.current.kind} killed", self.current.name)
            raise CrashError

    def happens(self, what: str, name: str) -> None:
        """A misfortune, for the tally."""
        self.tally[what] += 1
        self.tell(name, what)

    def link(self, client_id: str, **how: Any) -> Link:
        """The link of a process that boots."""
        assert self.current is not None
        return self.current.adopt(Link(self, client_id, **how))

    def reporter(self, name: str) -> Callable[[str, dict[str, Any]], None]:
        """Where a shell reports what happens."""

        def report(event: str, facts: dict[str, Any]) -> None:
            self.tally[event] += 1
            self.facts.append((self.clock.now, name, event, facts))
            if self.on_report is not None:
                self.on_report(name, event, facts)
            self.tell(name, event, facts)
            if event == "round" and name.startswith("aggregator") and facts["state"] == "open":
                self.start_finished_again()
            if event == "waiting" and name.startswith("aggregator") and " waits for " in facts["reason"]:
                self.start_finished_again()
            if event == "waiting" and any(ask in facts["reason"] for ask in ("Start these", "start what")):
                self._start_finished_shards_again()
            if event == "sending":
                assert isinstance(self.current, SiteProcess)
                self.watch.offering(name, self.current.agent._machine.hello.life, facts["round"])
            if event == "rewound" and not self.plan.privacy.summed:
                # A site may be killed when it has written the new life down, and before it says so.
                sites = {site.name for site in (*self.sites, *self.twins)}
                for site in {name} if name in sites else sites:
                    self.watch.asked_anew(site)

        return report

    def start_finished_again(self) -> None:
        """Their people do, since the aggregator is at work again, or waits for them: its folder was set back."""
        for site in (*self.sites, *self.twins):
            if site.finished and site.awaited:
                self.start_again(site)
        self._start_finished_shards_again()

    def _start_finished_shards_again(self) -> None:
        for shard in self.shards:
            if shard.done:
                self.clock.after(0.0, shard.die)

    def start_again(self, site: SiteProcess) -> None:
        """Its people do, since it has the final model of rounds that are gone."""
        site.finished = False
        self.clock.after(self.rng.uniform(0.0, 30.0), site.boot)

    def has_finished(self, server: Process) -> bool:
        """Whether its journal has rounds, and none is open."""
        begun, closed = self._dbs[server.name].execute("SELECT count(*), count(closed) FROM round").fetchone()
        return begun == closed > 0

    def tell(self, name: str, event: str, facts: Any = "") -> None:
        """For whoever replays this schedule."""
        if self._trace is not None:
            self._trace(f"{self.clock.now:10.3f} {name:10} {event} {facts}")

    def is_durable(self, server: Process, name: str, id_: bytes) -> bool:
        """Whether its journal holds this update of a site, or a shard, as accepted. Read through another connection."""
        found = self._dbs[server.name].execute(
            "SELECT count(*) FROM upd WHERE site = ? AND id = ? AND accepted", (name, id_)
        )
        return bool(found.fetchone()[0])

    def accepted(self, server: Process) -> list[tuple[str, bytes]]:
        """The updates that its journal holds as accepted: by whom, and their ids."""
        return list(self._dbs[server.name].execute("SELECT site, id FROM upd WHERE accepted"))

    def is_summed(self, server: Process, site: str, round_: int) -> bool:
        """Whether its journal holds the site's part of this round's sum as accepted."""
        found = self._dbs[server.name].execute(
            "SELECT count(*) FROM upd WHERE site = ? AND round = ? AND accepted", (site, round_)
        )
        return bool(found.fetchone()[0])

    def states(self) -> dict[str, str]:
        """Where everyone stands."""
        sites = (*self.sites, *self.twins)
        states = {s.name: s.agent._machine.state.value for s in sites if s.life}
        servers = [server for server in (*self.aggregators, *self.shards) if server.life]
        return states | {server.name: server.server._machine.state.value for server in servers}

    @contextlib.contextmanager
    def _readers(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            self._stack, self._dbs = stack, {}
            for server in (self.aggregator, *self.shards):
                self.read_again(server)
            yield

    def read_again(self, server: AggregatorProcess | ShardProcess) -> None:
        """Its journal is another file now."""
        self._dbs[server.name] = self._stack.enter_context(open_reader(server.folder))
