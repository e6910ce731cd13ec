"""The processes of the federation: real shells that may die at every publish and every durable write."""

import contextlib
import functools
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from fedfin import files
from fedfin.errors import EvictedError, FedfinError, StateError
from fedfin.model.model_spec import Task
from fedfin.plan import Plan
from fedfin.protocol.messages.secure_sums import Dealing, Dealt, Reveal
from fedfin.protocol.rounds import states as round_states
from fedfin.protocol.shards import states as shard_states
from fedfin.protocol.shards.shard import Shard
from fedfin.protocol.site import events as site_events
from fedfin.protocol.site import states as site_states
from fedfin.secure_sums.masks import Words
from fedfin.secure_sums.member import Member
from fedfin_aggregator.rounds.root_rounds import RootRounds
from fedfin_aggregator.rounds.rounds import Rounds
from fedfin_aggregator.rounds.secure_rounds import SecureRounds
from fedfin_aggregator.rounds.shard_rounds import ShardRounds
from fedfin_aggregator.serve.server import Server
from fedfin_aggregator.serve.shard_server import ShardServer
from fedfin_aggregator.store.journal import Journal
from fedfin_aggregator.store.shard_journal import ShardJournal
from fedfin_edge.agent import global_model
from fedfin_edge.agent.agent import Agent
from fedfin_edge.agent.summing import Summing
from fedfin_edge.site import CaseColumns, ModalitySettings, Site, SiteSettings
from fedfin_edge.tasks.task import TaskResult
from simulation import sum_keys, toy
from simulation.bad_dealer import BadDealer
from simulation.broker import Link, Queue
from simulation.faults import CrashError

if TYPE_CHECKING:
    from simulation.world import World

TRAINING_S = 30.0  # at most, unless a test says otherwise
FLUSH_S = 0.0, 2.0  # that an aggregator's disk takes
FLUSHED_S = 30.0  # after so long the kernel has written what nobody flushed
ASKED_S = 60.0  # people ask again after so long
TICK_S = 5.0  # rarer than the shells': every retry in the protocol is slower


class Process:
    """A process: it boots, is woken by its link, ticks, and dies."""

    kind = ""

    def __init__(self, world: "World", name: str, folder: Path) -> None:
        self.world, self.name, self.folder = world, name, folder
        self.life = 0  # counts boots
        self.unflushed: list[tuple[float, Path]] = []  # files that a power cut would damage, and since when
        self.asleep_s = 0.0  # until the first
        self.training_s = 0.1, TRAINING_S
        self.awaited = True  # the schedule is not over before it is finished
        self.alive = self.gone = self.finished = False  # gone: for ever
        self._busy = False
        self._links: list[Link] = []

    @property
    def heeds_rounds(self) -> bool:
        """Whether it does what a manifest says: a site that has joined."""
        return False

    def boot(self) -> None:
        """Start afresh from what is durable."""
        if self.gone or self.finished:
            return
        self.life += 1
        self.alive = True
        self.guard(self._start)
        self._tick(self.life)

    def wake(self) -> None:
        """Something is in the queue."""
        while self.alive and not self._busy and self._events():
            self.guard(self._step)

    def guard(self, action: Callable[[], None]) -> None:
        """Run a part of this process; it may die in it."""
        before, self.world.current, self._busy = self.world.current, self, True
        try:
            action()
        except CrashError:
            self.die()
        except FedfinError as error:
            self.end(error)
        finally:
            self.world.current, self._busy = before, False

    def die(self, *, for_ever: bool = False) -> None:
        """SIGKILL, or its machine loses power; the process is started again some time later."""
        self.alive = False
        if self.world.rng.random() < 0.3:
            self._lose_power()
        if for_ever and not self.finished:
            self.gone, self.awaited = True, False
        self.close()
        self.world.clock.after(self.world.rng.uniform(0.0, 30.0), self.boot)

    def end(self, error: FedfinError) -> None:
        """The command ends with an exit code: nobody starts it again."""
        raise error

    def _lose_power(self) -> None:
        for written, path in self.unflushed:
            if self.world.clock.now - written < FLUSHED_S and path.exists():  # else it was removed since
                path.write_bytes(path.read_bytes()[: self.world.rng.randrange(100)])
        self.unflushed.clear()

    def close(self) -> None:
        """What the kernel does when a process is gone."""
        for link in self._links:
            link.kill()
        self._links.clear()

    def adopt(self, link: Link) -> Link:
        """Its link, which dies with it."""
        self._links.append(link)
        return link

    def _tick(self, life: int) -> None:
        if life == self.life and self.alive:
            self.guard(self._step)
            self.world.clock.after(TICK_S, lambda: self._tick(life))

    def _start(self) -> None:
        raise NotImplementedError

    def _step(self) -> None:
        raise NotImplementedError

    def _events(self) -> Queue:
        raise NotImplementedError


class AggregatorProcess(Process):
    """`fedfin aggregator serve`, from a folder that is there, or a fresh one."""

    kind = "aggregator"

    def __init__(
        self,
        world: "World",
        folder: Path,
        *,
        shards: int = 0,
        name: str = "aggregator",
        take_over: bool = False,
    ) -> None:
        super().__init__(world, name, folder)
        self.training_s = FLUSH_S
        self._shards, self._take_over = shards, take_over
        path = folder / "journal.sqlite"
        self.journal = Journal(path, create=None if path.exists() else world.plan)

    def _start(self) -> None:
        self.journal = Journal(self.folder / "journal.sqlite")
        report, channel = self.world.reporter(self.name), None
        if (keys := self.world.keys) is not None:
            rounds, channel = SecureRounds(self.journal), keys.aggregator_end()
            rounds._payload = self.world.watch.opening(rounds._payload)
        else:
            rounds = RootRounds(self.journal) if self._shards else Rounds(self.journal)
            rounds.judge = self.world.watch.judging(rounds.judge)
            rounds.begin_life = self.world.watch.rewinding(self, rounds.begin_life)
        self.server = Server(
            rounds,
            "mqtt://broker",
            report,
            shards=self._shards,
            channel=channel,
            take_over=self._take_over,
        )
        self.server._link.start()

    def _step(self) -> None:
        self.server._step()

    def _events(self) -> Queue:
        return self.server._link.events

    def close(self) -> None:
        """An open transaction is rolled back, as SQLite does when it finds one."""
        super().close()
        self.journal.close()

    @property
    def done(self) -> bool:
        """Whether the last round is folded."""
        return self.alive and self.server._machine.state is round_states.State.FINISHED

    @property
    def serves(self) -> bool:
        """Whether it is the federation's aggregator by its own lights: one that asks may yet refuse."""
        return self.alive and self.server._own.tenure.serving

    def end(self, error: FedfinError) -> None:
        """Another one serves."""
        assert isinstance(error, StateError), error
        assert "another aggregator of this federation" in str(error), error
        self.world.happens("aggregator refused", self.name)
        self.alive, self.gone = False, True
        self.server._link.stop()
        self.close()


class ShardProcess(Process):
    """`fedfin aggregator serve --shard`."""

    kind = "shard"

    def __init__(self, world: "World", folder: Path, shard: Shard, *, name: str = "") -> None:
        super().__init__(world, name or f"shard-{shard.index}", folder)
        self.training_s = FLUSH_S
        self.shard = shard
        folder.mkdir(exist_ok=True)
        path = folder / "journal.sqlite"
        self.journal = Journal(path, create=None if path.exists() else world.plan)

    def _start(self) -> None:
        self.journal = ShardJournal(self.folder / "journal.sqlite")
        self.journal.adopt = self.world.watch.rewinding(self, self.journal.adopt)
        rounds = ShardRounds(self.journal, self.shard)
        rounds.judge = self.world.watch.judging(rounds.judge)
        rounds.rewind = self.world.watch.rewinding(self, rounds.rewind)
        self.server = ShardServer(rounds, "mqtt://broker", self.world.reporter(self.name))
        self.server._link.start()

    @property
    def done(self) -> bool:
        """Whether the root has finished."""
        return self.alive and self.server._machine.state is shard_states.State.FINISHED

    def _step(self) -> None:
        self.server._step()

    def _events(self) -> Queue:
        return self.server._link.events

    def end(self, error: FedfinError) -> None:
        """It is the later of two; or a word of its start before came late, and people start it again, as it says."""
        if isinstance(error, EvictedError):
            self._give_way(error)
            return
        assert isinstance(error, StateError), error
        assert "start it again" in str(error), error
        self.world.happens("shard ended as a twin", self.name)
        twofold = any(
            each.shard == self.shard for each in self.world.shards if each is not self and not each.gone
        )
        if twofold:
            self._stop()
        else:
            self.die()

    def _stop(self) -> None:
        self.alive, self.gone = False, True
        self.close()

    def _give_way(self, error: EvictedError) -> None:
        """The other one's sum counts: people start that one again if it has ended, as this one says."""
        assert "from that one's folder" in str(error), error
        self.world.happens("shard refused for its twin", self.name)
        self._stop()
        for other in self.world.shards:
            if other is not self and other.shard == self.shard and other.gone:
                other.gone = False
                self.world.clock.after(ASKED_S, other.boot)

    def close(self) -> None:
        """An open transaction is rolled back, as SQLite does when it finds one."""
        super().close()
        self.journal.close()


class SiteProcess(Process):
    """`fedfin edge run`."""

    kind = "site"

    def __init__(self, world: "World", name: str, folder: Path, *, site: str = "") -> None:
        super().__init__(world, name, folder)
        self.identity = site or name
        self._again = False
        modalities = {name: ModalitySettings(bundle=name, column=name) for name in ("image", "text")}
        cases = CaseColumns(table="cases.csv")
        settings = SiteSettings(
            site=self.identity, federation="ward", broker="mqtt://broker", cases=cases, modalities=modalities
        )
        self.site = Site(folder, settings)

    @property
    def heeds_rounds(self) -> bool:
        """It ignores them before."""
        return self.agent._machine.state is not site_states.State.JOINING

    def _start(self) -> None:
        keys = self.world.keys
        channel = None if keys is None else keys.site_end(self.identity)
        self.agent = Agent(self.site, self.world.reporter(self.name), channel=channel, again=self._again)
        self.agent._link.start()

    def _step(self) -> None:
        self.agent._step()
        if self.agent._machine.state is site_states.State.FINISHED:
            self.finished, self.alive = True, False
            self.agent._link.stop()

    def end(self, error: FedfinError) -> None:
        """Its people read that another run of the plan has begun, or of too many lives, and ask the coordinator."""
        assert "--again" in str(error), error
        self.alive, self._again = False, True
        self.close()
        self._wait_for_the_coordinator()

    def _wait_for_the_coordinator(self) -> None:
        """Who knows which run it is when one aggregator is left."""
        if sum(not each.gone for each in self.world.aggregators) > 1:
            self.world.clock.after(ASKED_S, self._wait_for_the_coordinator)
            return
        self.world.happens("site let into another run", self.name)
        self.world.watch.asked_anew(self.name)
        self.boot()

    def _events(self) -> Queue:
        return self.agent._events


class Worker:
    """One piece of work in another thread: it runs some time after its start, or when it is waited for."""

    def __init__(self, world: "World", target: Callable[..., None], args: tuple[Any, ...]) -> None:
        self._world, self._target, self._args = world, target, args
        assert world.current is not None
        self._process, self._life = world.current, world.current.life
        self._done = False

    def start(self) -> None:
        """Training takes its time, and so does a disk."""
        self._world.clock.after(self._world.rng.uniform(*self._process.training_s), self._later)

    def join(self) -> None:
        """It stops, or, stopped in its very last moment, has its result saved already."""
        if self._world.rng.random() < 0.2:
            for event in self._args:
                if isinstance(event, threading.Event):
                    event.clear()
        self._run()

    def _later(self) -> None:
        if self._process.alive and self._process.life == self._life:
            self._process.guard(self._run)
            self._process.wake()

    def _run(self) -> None:
        if not self._done:
            self._done = True
            self._target(*self._args)


class OneThread:
    """concurrent.futures.ThreadPoolExecutor for one thread, and the futures that it gives."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def submit(self, target: Callable[..., None], *args: Any) -> SimpleNamespace:
        """It runs some time later, or when its result is waited for."""
        worker = Worker(self._world, target, args)
        worker.start()
        return SimpleNamespace(result=worker.join)

    def shutdown(self) -> None:
        """Nothing is under way."""


class CrashyConnection(sqlite3.Connection):
    """A journal whose process may die before, within and after every transaction."""

    world: "World"

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        """A crash within a transaction leaves it open."""
        if sql.lstrip()[:6].upper() in {"INSERT", "UPDATE", "DELETE", "BEGIN"}:
            self.world.crash_point()
        return super().execute(sql, *parameters)

    def __exit__(self, *error: object) -> bool:
        if error[0] is None:
            self.world.crash_point()
        elif isinstance(error[1], CrashError):
            return False
        answer = super().__exit__(*error)
        self.world.crash_point()
        return answer


@contextlib.contextmanager
def make_believe(world: "World") -> Iterator[None]:
    """Put the world's clock, links, threads and crashes under the real shells."""
    replaced = _disk(world) | _time(world) | _chance(world) | _sites(world) | _sums(world)
    with contextlib.ExitStack() as stack:
        for name, value in replaced.items():
            stack.enter_context(patch(name, value))
        yield


def _disk(world: "World") -> dict[str, Any]:
    """Every durable write may be the last thing that a process does."""
    write, connect, flush = files._write, sqlite3.connect, os.fdatasync
    connection = type("Connection", (CrashyConnection,), {"world": world})

    def crashy_write(path: Path, data: bytes, *, spare: Path | None) -> None:
        world.crash_point()
        write(path, data, spare=spare)
        world.crash_point()

    def crashy_flush(descriptor: int) -> None:
        world.crash_point()
        flush(descriptor)
        world.crash_point()

    return {
        "fedfin.files._write": crashy_write,
        "fedfin_edge.agent.global_model.write_over": _crashy_write_over(world),
        "os.fdatasync": crashy_flush,
        "sqlite3.connect": lambda path, **how: connect(path, factory=connection, **how),
    }


def _crashy_write_over(world: "World") -> Callable[[Path, bytes], None]:
    """It may stop half-way, and nobody flushes what it wrote."""
    write_over = global_model.write_over

    def crashy(path: Path, data: bytes) -> None:
        before = path.read_bytes() if path.exists() else b""
        path.write_bytes(data[: len(data) // 2] + before[len(data) // 2 :])
        world.crash_point()
        write_over(path, data)
        if world.current is not None:
            world.current.unflushed.append((world.clock.now, path))
        world.crash_point()

    return crashy


def _time(world: "World") -> dict[str, Any]:
    """The world's clock and threads."""
    clock = SimpleNamespace(
        **vars(time) | {"monotonic": world.clock.monotonic, "time": world.clock.monotonic}
    )
    return {
        "fedfin_aggregator.serve.disk.ThreadPoolExecutor": lambda *_: OneThread(world),
        "fedfin_aggregator.serve.own_state.time": clock,
        "fedfin_aggregator.serve.server.time": clock,
        "fedfin_aggregator.serve.twin_reports.time": clock,
        "fedfin_aggregator.serve.shard_server.time": clock,
        "fedfin_edge.agent.agent.time": clock,
        "fedfin_edge.agent.worker.ThreadPoolExecutor": lambda *_: OneThread(world),
        "fedfin_edge.agent.worker.time": clock,
        "fedfin_edge.agent.agent.SimpleQueue": Queue,
    }


def _chance(world: "World") -> dict[str, Any]:
    """All draws and keys are the seed's."""
    chance = SimpleNamespace(urandom=world.rng.randbytes)
    secrets = SimpleNamespace(token_hex=lambda size: toy.hexadecimal(world.rng, size))
    new_key = SimpleNamespace(generate=lambda: sum_keys.new_key(world.rng))
    return {
        "fedfin_aggregator.store.journal.secrets": secrets,
        "fedfin.protocol.rounds.lives.secrets": secrets,
        "fedfin_aggregator.serve.own_state.secrets": secrets,
        "fedfin_aggregator.serve.shard_server.secrets": secrets,
        "fedfin_edge.agent.agent.secrets": secrets,
        "fedfin.trust.identity.public_key": functools.cache(sum_keys.Verifier),
        "fedfin.secure_sums.member.os": chance,
        "fedfin.secure_sums.member.X25519PrivateKey": new_key,
        "fedfin.protocol.rounds.secure_machine.os": chance,
        "fedfin.privacy.discrete_gaussian.os": chance,
    }


def _sites(world: "World") -> dict[str, Any]:
    """Links, cases and tasks of nothing but the world."""

    def run_task(plan: Plan, task: Task, round_: int, *more: Any, **how: Any) -> TaskResult:
        assert isinstance(world.current, SiteProcess)
        world.watch.computing(world.current.name, world.current.agent._machine.hello.life, round_)
        return toy.run_task(plan, task, round_, *more, **how)

    return {
        "fedfin.link.mqtt.Link": lambda _, client_id, **how: world.link(client_id, **how),
        "fedfin_edge.agent.participation.load_dataset": lambda site, plan: toy.cases(
            plan, site.settings.site
        ),
        "fedfin_edge.agent.agent.read_manifest": lambda _: SimpleNamespace(digest=lambda: toy.ENCODER),
        "fedfin_edge.agent.update.run_task": run_task,
    }


def _sums(world: "World") -> dict[str, Any]:
    """The watch sees what goes into secure sums, and what is revealed of them."""
    mask, answer, deal = Member.mask, Summing.answer, Member.deal

    def bad_dealer() -> BadDealer | None:
        """If it is the site at hand."""
        assert isinstance(world.current, SiteProcess)
        bad = world.bad_dealer
        return bad if bad is not None and bad.site == world.current.identity else None

    def watched_deal(member: Member, *asked: Any) -> Dealing:
        dealing = deal(member, *asked)
        return dealing if (bad := bad_dealer()) is None else bad.dealing(member, dealing)

    def watched_mask(member: Member, question: Dealt, words: Words) -> bytes:
        assert isinstance(world.current, SiteProcess)
        summand = words.copy()
        masked = mask(member, question, words)  # another machine of this site refuses: the key is not its own
        world.watch.sums.giving(world.current.identity, question.round, question.attempt, summand)
        return masked

    def watched_answer(summing: Summing, question: site_events.SumQuestion, *made: bytes) -> Any:
        assert isinstance(world.current, SiteProcess)
        if (bad := bad_dealer()) is not None and (accusation := bad.accusation(question)) is not None:
            return accusation
        given = answer(summing, question, *made)
        if isinstance(given, site_events.Masked):
            world.watch.sums.working_from(question.attempt, made[1])
        if isinstance(given, Reveal):
            world.watch.sums.revealing(world.current.identity, summing._member._kept, given)
        return given

    return {
        "fedfin.secure_sums.member.Member.deal": watched_deal,
        "fedfin.secure_sums.member.Member.mask": watched_mask,
        "fedfin_edge.agent.summing.Summing.answer": watched_answer,
    }
