"""Rounds' tasks in a process of their own, which ends when none has come for a while.

torch takes some 200 MB of memory and gives none of it back while its process lives. A site waits most of the time:
between rounds, and for months between studies. So the agent, which has to be there, does without torch: the process
starts with the first task, and stays while rounds follow each other, because importing torch takes seconds.

The process is a fresh interpreter (spawn). It holds nothing that could be lost: what counts, the agent has on the disk.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

import msgspec

from fedfin.codec import Tensors
from fedfin.errors import FedfinError
from fedfin.memory import give_back_freed_memory, keep_freed_memory, peak_rss_mb
from fedfin.model.model_spec import Task
from fedfin.plan import Plan
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.tasks import task_messages as wire
from fedfin_edge.tasks.run_task import run_task
from fedfin_edge.tasks.task import TaskResult, TaskStoppedError

IDLE_S = 60.0  # without a task, then the process ends
ASK_S = 0.1  # how often `stop` is asked
STOP_S = 3.0  # for what has been stopped to end by itself: a second moment is no batch
_ENDED = "the process that trains was ended from outside, most likely because memory ran out: free some and start again"


class TaskProcess:
    """Where an agent's tasks run. `peak_rss_mb`: the most memory that a process of it took, MB; 0 before the first."""

    def __init__(self, idle_s: float = IDLE_S) -> None:
        self.peak_rss_mb = 0.0
        self._idle_s = idle_s
        self._at_work = threading.Lock()
        self._used_at = 0.0
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None
        self._dataset: Dataset | None = None  # that the process has

    def run_task(
        self,
        plan: Plan,
        task: Task,
        round_number: int,
        model: Tensors,
        dataset: Dataset,
        site: str,
        *,
        progress: Callable[[float], None],
        stop: Callable[[], bool],
        secret: bytes = b"",
    ) -> TaskResult:
        """As `tasks.run_task.run_task`; FedfinError when the process was ended from outside."""
        with self._at_work:
            pipe = self._pipe or self._start()
            cases = None if dataset is self._dataset else wire.pack_cases(dataset)
            question = wire.Question(plan, task, round_number, site, secret, wire.pack(model), cases)
            try:
                pipe.send_bytes(msgspec.msgpack.encode(question))
                self._dataset = dataset
                return self._answer(pipe, progress, stop)
            except (EOFError, OSError):
                self._end()
                raise FedfinError(_ENDED) from None
            finally:
                self._used_at = time.monotonic()

    def end_if_idle(self) -> None:
        """End the process when no task has come for a while; to be called now and then, by any thread."""
        if self._pipe is None or not self._at_work.acquire(blocking=False):
            return
        try:
            if time.monotonic() - self._used_at > self._idle_s:
                self._end()
                give_back_freed_memory()
        finally:
            self._at_work.release()

    def close(self) -> None:
        """End the process, if there is one. Nothing may be at work."""
        with self._at_work:
            self._end()

    def _answer(
        self, pipe: Connection, progress: Callable[[float], None], stop: Callable[[], bool]
    ) -> TaskResult:
        while True:
            if stop():
                self._stop(pipe)
                raise TaskStoppedError
            if not pipe.poll(ASK_S):
                continue
            match msgspec.msgpack.decode(pipe.recv_bytes(), type=wire.Answer):
                case wire.Progress(share):
                    progress(share)
                case wire.Result() as result:
                    self.peak_rss_mb = max(self.peak_rss_mb, result.peak_mb)
                    return wire.task_result(result)
                case wire.Failure() as failure:
                    raise wire.error_of(failure)

    def _stop(self, pipe: Connection) -> None:
        """Let it come to its end, and drop what it has; a process that takes long is ended."""
        pipe.send_bytes(wire.STOP)
        until = time.monotonic() + STOP_S
        while pipe.poll(max(0.0, until - time.monotonic())):
            answer = msgspec.msgpack.decode(pipe.recv_bytes(), type=wire.Answer)
            if not isinstance(answer, wire.Progress):
                return
        self._end()

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), name="tasks", daemon=True)
        self._process.start()
        theirs.close()  # or its end would not be seen
        return self._pipe

    def _end(self) -> None:
        if self._process is not None and self._pipe is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
        self._process = self._pipe = self._dataset = None


def _serve(pipe: Connection) -> None:
    """The process's whole life: it ends with its parent, whose Ctrl-C is not for it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    keep_freed_memory()
    dataset = None
    while True:
        try:
            message = pipe.recv_bytes()
            if message == wire.STOP:  # it came when the task was done
                continue
            question = msgspec.msgpack.decode(message, type=wire.Question)
            dataset = dataset if question.cases is None else wire.unpack_cases(question.cases)
            assert dataset is not None  # the first question has cases
            pipe.send_bytes(msgspec.msgpack.encode(_answer(question, dataset, pipe)))
        except (EOFError, OSError):
            return


def _answer(question: wire.Question, dataset: Dataset, pipe: Connection) -> wire.Answer:
    """Any message that comes meanwhile is STOP."""
    try:
        result = run_task(
            question.plan,
            question.task,
            question.round,
            wire.unpack(question.model),
            dataset,
            question.site,
            progress=lambda share: pipe.send_bytes(msgspec.msgpack.encode(wire.Progress(share))),
            stop=pipe.poll,
            secret=question.secret,
        )
    except TaskStoppedError:
        return wire.Stopped()
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - the parent raises it again
        return wire.failure_of(error)
    return wire.result_of(result, peak_rss_mb())


def _end_with_parent() -> None:
    """In the middle of a task, too: what nobody waits for takes no more time."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
