"""Encoding in worker processes: inputs out, outcomes back in order, and no more in flight than stated.

Each worker is a fresh interpreter (spawn) with an encoder of its own on one thread: reading and encoding of one
input stay together, and features cannot depend on how many workers there are. A worker holds one input at a time;
the parent holds the outcomes of at most AHEAD inputs per worker. Inputs and outcomes travel by pipes, never by disk.
"""

import multiprocessing
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fedfin.errors import FedfinError, InputError
from fedfin_edge.cases.digests import Input

# Inputs per worker between the oldest unfinished one and the newest begun: cheap ones need not wait for a dear one.
AHEAD = 8

Key = TypeVar("Key")


@dataclass(frozen=True)
class Outcome:
    """What became of one input: its features, float32 [dim], or the reason why it has none; what was noted."""

    features: NDArray[np.float32] | None
    reason: str = ""
    notes: tuple[str, ...] = ()


class LocalEncoder:
    """The encoder in this process; it opens when the first input comes."""

    def __init__(self, bundle: Path) -> None:
        self._bundle = bundle

    def __enter__(self) -> "LocalEncoder":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def encode(self, inputs: Iterable[tuple[Key, Input]]) -> Iterator[tuple[Key, Outcome]]:
        """The outcomes in order. Raises BundleError when the bundle does not run."""
        encoder = None
        for key, value in inputs:
            if encoder is None:
                # Here, so that a run with nothing to encode loads no onnxruntime.
                from fedfin_edge.cases.encoder import open_encoder

                encoder = open_encoder(self._bundle)
            try:
                features, notes = encoder.encode_noted(value)
                outcome = Outcome(features, notes=notes)
            except InputError as error:
                outcome = Outcome(None, str(error))
            yield key, outcome


class Workers:
    """At most `processes` encoders in processes of their own; leaving the context ends them all at once."""

    def __init__(self, bundle: Path, processes: int) -> None:
        self._bundle = bundle
        self._processes = processes
        self._workers: dict[Connection, multiprocessing.process.BaseProcess] = {}
        self._idle: list[Connection] = []

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

        Raises BundleError when the bundle does not run, FedfinError when a worker was ended from outside.
        """
        begun: dict[int, Key] = {}
        at: dict[Connection, int] = {}
        finished: dict[int, Outcome] = {}
        todo = enumerate(inputs)
        more, oldest = True, 0
        while more or begun:
            while more and len(at) < self._processes and len(begun) < AHEAD * self._processes:
                if (found := next(todo, None)) is None:
                    more = False
                    break
                number, (key, value) = found
                begun[number] = key
                at[self._send(value)] = number
            while oldest in finished:
                yield begun.pop(oldest), finished.pop(oldest)
                oldest += 1
            for pipe in wait(list(at)) if at else ():  # waiting for nothing would never end
                assert isinstance(pipe, Connection)  # of typeshed's union, for mypy
                finished[at.pop(pipe)] = self._receive(pipe)

    def _send(self, value: Input) -> Connection:
        """Give an input to an idle worker, or to a new one."""
        pipe = self._idle.pop() if self._idle else self._start()
        try:
            pipe.send(value)
        except OSError:
            raise self._lost() from None
        return pipe

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(self._bundle, theirs), daemon=True)
        process.start()
        theirs.close()  # or its end would not be seen
        self._workers[ours] = process
        return ours

    def _receive(self, pipe: Connection) -> Outcome:
        try:
            answer = pipe.recv()
        except (EOFError, OSError):
            raise self._lost() from None
        if isinstance(answer, FedfinError):
            raise answer
        self._idle.append(pipe)
        outcome: Outcome = answer
        return outcome

    def _lost(self) -> FedfinError:
        return FedfinError(
            "a process that encodes was ended from outside, most likely because memory ran out;"
            f" what was encoded is kept: run again with fewer --processes than {self._processes}"
        )


def _serve(bundle: Path, pipe: Connection) -> None:
    """A worker's whole life: it ends with its parent, whose Ctrl-C is not for it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        for _, outcome in LocalEncoder(bundle).encode(_received(pipe)):
            pipe.send(outcome)
    except FedfinError as error:
        pipe.send(error)
    except OSError:
        pass  # the parent is gone


def _received(pipe: Connection) -> Iterator[tuple[None, Input]]:
    while True:
        try:
            value: Input = pipe.recv()
        except (EOFError, OSError):
            return
        yield None, value
