"""Encoding in worker processes: inputs out, outcomes back in order, and no more in flight than stated.

Each worker is a fresh interpreter (spawn) with an encoder of its own on one thread: reading and encoding of one
input stay together, and features cannot depend on how many workers there are. A worker reads one input at a time,
and has the next one waiting in its pipe; the parent holds the outcomes of at most AHEAD inputs per worker. Inputs
and outcomes travel by pipes (`worker_messages`), never by disk.
"""

import contextlib
import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from fedfin.errors import BundleError, FedfinError, InputError, SettingsError
from fedfin.memory import keep_freed_memory
from fedfin_edge.cases.digests import Input
from fedfin_edge.cases.worker_messages import (
    Outcome,
    decode_input,
    decode_outcome,
    encode_error,
    encode_input,
    encode_outcome,
)
from fedfin_edge.providers import ON_CPU, Providers

# Inputs per worker between the oldest unfinished one and the newest begun: cheap ones need not wait for a dear one.
AHEAD = 8
# Given to a worker: the one that it reads, and the next, so that it never waits for the parent.
GIVEN = 2
# What waits in a pipe must fit into it, or parent and worker could each wait for the other to read.
WAITING_BYTES = 1 << 16
BEAT_S = 1.0  # a first input may take minutes, where TensorRT builds its engine

Key = TypeVar("Key")


class LocalEncoder:
    """The encoder in this process; it opens when the first input comes."""

    def __init__(self, bundle: Path, providers: Providers = ON_CPU) -> None:
        self._bundle, self._providers = bundle, providers

    def __enter__(self) -> "LocalEncoder":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def encode(self, inputs: Iterable[tuple[Key, Input]]) -> Iterator[tuple[Key, Outcome]]:
        """The outcomes in order. Raises BundleError when the bundle does not run, or SettingsError."""
        encoder = None
        for key, value in inputs:
            if encoder is None:
                # Here, so that a run with nothing to encode loads no onnxruntime.
                from fedfin_edge.cases.encoder import open_encoder

                encoder = open_encoder(self._bundle, self._providers)
            try:
                features, notes = encoder.encode_noted(value)
                outcome = Outcome(features, notes=notes)
            except InputError as error:
                outcome = Outcome(None, str(error))
            yield key, outcome


class Workers:
    """At most `processes` encoders in processes of their own; leaving the context ends them all at once.

    `beat` is called every second while they are waited for.
    """

    def __init__(
        self,
        bundle: Path,
        processes: int,
        providers: Providers = ON_CPU,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._bundle, self._providers = bundle, providers
        self._processes = processes
        self._beat = beat
        self._workers: dict[Connection, multiprocessing.process.BaseProcess] = {}
        self._given: dict[
            Connection, deque[int]
        ] = {}  # the numbers of the inputs that a worker has, oldest first

    def __enter__(self) -> "Workers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._workers.values():
            process.kill()  # they hold nothing that could be lost
        for pipe, process in self._workers.items():
            process.join()
            pipe.close()

    def encode(self, inputs: Iterable[tuple[Key, Input]]) -> Iterator[tuple[Key, Outcome]]:
        """The outcomes in the order of the inputs.

        Raises BundleError when the bundle does not run, SettingsError for providers that are not there, FedfinError
        when a worker was ended from outside.
        """
        begun: dict[int, Key] = {}
        finished: dict[int, Outcome] = {}
        todo = enumerate(inputs)
        upcoming, oldest = next(todo, None), 0
        while upcoming or begun:
            while upcoming and len(begun) < AHEAD * self._processes:
                number, (key, value) = upcoming
                if not self._give(number, encode_input(value)):
                    break
                begun[number] = key
                upcoming = next(todo, None)
            while oldest in finished:
                yield begun.pop(oldest), finished.pop(oldest)
                oldest += 1
            finished.update(self._answers())

    def _give(self, number: int, message: bytes) -> bool:
        """Give an input to a worker, if one may have it now."""
        if (pipe := self._least_busy(len(message))) is None:
            return False
        with contextlib.suppress(OSError):  # it has ended: its last answer says why, or `_receive` does
            pipe.send_bytes(message)
        self._given[pipe].append(number)
        return True

    def _least_busy(self, size: int) -> Connection | None:
        """An idle worker, else a new one, else one that has room for `size` bytes behind what it reads."""
        pipe = min(self._given, key=lambda each: len(self._given[each]), default=None)
        if pipe and not self._given[pipe]:
            return pipe
        if len(self._workers) < self._processes:
            return self._start()
        return pipe if pipe and len(self._given[pipe]) < GIVEN and size <= WAITING_BYTES else None

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(self._bundle, self._providers, theirs), daemon=True)
        process.start()
        theirs.close()  # or its end would not be seen
        self._workers[ours] = process
        self._given[ours] = deque()
        return ours

    def _answers(self) -> Iterator[tuple[int, Outcome]]:
        """What has come, at least one outcome if any input is given."""
        busy = [pipe for pipe, numbers in self._given.items() if numbers]
        for pipe in self._ready(busy) if busy else ():  # waiting for nothing would never end
            assert isinstance(pipe, Connection)  # of typeshed's union, for mypy
            yield self._given[pipe].popleft(), self._receive(pipe)

    def _ready(self, busy: list[Connection]) -> list[Any]:
        """Those that have an answer, at least one."""
        while not (ready := wait(busy, BEAT_S)):
            self._beat()
        return ready

    def _receive(self, pipe: Connection) -> Outcome:
        try:
            message = pipe.recv_bytes()
        except (EOFError, OSError):
            raise self._lost() from None
        return decode_outcome(message)

    def _lost(self) -> FedfinError:
        return FedfinError(
            "a process that encodes was ended from outside, most likely because memory ran out;"
            f" what was encoded is kept: run again with fewer --processes than {self._processes}"
        )


def _serve(bundle: Path, providers: Providers, pipe: Connection) -> None:
    """A worker's whole life: it ends with its parent, whose Ctrl-C is not for it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_freed_memory()  # each image takes and frees the same megabytes
    try:
        for _, outcome in LocalEncoder(bundle, providers).encode(_received(pipe)):
            pipe.send_bytes(encode_outcome(outcome))
    except (BundleError, SettingsError) as error:
        pipe.send_bytes(encode_error(error))
    except OSError:
        pass  # the parent is gone


def _received(pipe: Connection) -> Iterator[tuple[None, Input]]:
    while True:
        try:
            message = pipe.recv_bytes()
        except (EOFError, OSError):
            return
        yield None, decode_input(message)
