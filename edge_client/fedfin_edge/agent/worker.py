"""What takes time at a site, in a thread beside its link: a round's update, or what a secure sum asks for.

Keepalives and chunks go on meanwhile. One piece of work at a time; its end comes as an event, as all else does.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import structs

from fedfin.errors import ProtocolError
from fedfin.protocol.messages.message import Message
from fedfin.protocol.messages.secure_sums import Dealt, Ready
from fedfin.protocol.site import effects as site_effects
from fedfin.protocol.site import events as site_events
from fedfin.secure_sums.member import BadDealingError, RevealedError
from fedfin.trust.channel import SiteEnd
from fedfin_edge.agent.answers import AnsweredError
from fedfin_edge.agent.outbox import Outbox
from fedfin_edge.agent.participation import Participation
from fedfin_edge.agent.state import AgentState
from fedfin_edge.agent.update import Report, first_things_first, make_update
from fedfin_edge.tasks.task import TaskStoppedError
from fedfin_edge.tasks.task_process import TaskProcess


@dataclass(frozen=True)
class Failed:
    """The worker ended with an error."""

    error: BaseException


@dataclass(frozen=True)
class Computed:
    """The worker has saved an update; `stop`: its own, which tells it from what was abandoned meanwhile."""

    done: site_events.Done
    stop: threading.Event


class Worker:
    """`put` takes events: Computed, Failed, or what the site machine hears; `answer` sends a message that is none.

    `seconds`: how long updates took, together. `keep_deltas`, `tasks`: as Agent.
    """

    def __init__(
        self,
        site: str,
        state: AgentState,
        channel: SiteEnd,
        report: Report,
        put: Callable[[Any], None],
        answer: Callable[[Message], object],
        *,
        keep_deltas: Path | None,
        tasks: TaskProcess | None,
    ) -> None:
        self._site, self._state, self._channel, self._report = site, state, channel, report
        self._put, self._answer = put, answer
        self._keep_deltas, self._tasks = keep_deltas, tasks
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(1, "work")
        self._at_work: Future[None] | None = None
        self.seconds = 0.0

    def compute(self, part: Participation, work: site_effects.Work) -> None:
        """Begin to make the update of a round."""
        self._stop = threading.Event()
        self._start(self._compute, part, work, self._stop)

    def take_part(self, part: Participation, message: site_events.SumQuestion) -> None:
        """Answer one question of a secure sum after the other; masking is work, as training is."""
        self.stop()
        if (outbox := self._state.waiting) is None:  # it was not saved, or is settled already
            return
        if isinstance(message, Dealt):
            self._start(self._take_part, part, message, outbox)
        else:
            self._take_part(part, message, outbox)

    def is_wanted(self, computed: Computed) -> bool:
        """Whether nothing was begun or abandoned since."""
        return computed.stop is self._stop

    def abandon(self) -> None:
        """Stop, and want nothing of what was made."""
        self.stop()
        self._stop = threading.Event()

    def stop(self) -> None:
        """Wait until nothing is at work."""
        self._stop.set()
        if self._at_work is not None:
            self._at_work.result()
            self._at_work = None

    def _start(self, target: Callable[..., None], *args: object) -> None:
        self._at_work = self._pool.submit(target, *args)

    def _compute(self, part: Participation, work: site_effects.Work, stop: threading.Event) -> None:
        started = time.monotonic()
        try:
            outbox = self._state.made_before(work.round, self._state.model.id)
            if outbox is None:
                outbox = self._made(part, work, stop)
            part.check(outbox)
            if part.sums is not None:  # "ready" tells nothing of it; what does waits for this thread
                self._put(Computed(site_events.Done(work.round, outbox.payload), stop))
            self._state.put_update(outbox)
            part.record(outbox, self._report)
            if part.sums is None:
                offer = self._channel.seal_update(outbox.payload, work.round, outbox.seal)
                leaves = outbox.leaves if offer is outbox.payload else b""
                self._put(Computed(site_events.Done(work.round, offer, leaves), stop))
        except TaskStoppedError:
            pass
        except AnsweredError as error:  # in an earlier life, in its last moment: there is no second sum
            self._put(site_events.Barred(work.round) if part.sums is not None else Failed(error))
        except Exception as error:  # noqa: BLE001 - the main thread raises it again
            self._put(Failed(error))
        finally:
            self.seconds += time.monotonic() - started

    def _made(self, part: Participation, work: site_effects.Work, stop: threading.Event) -> Outbox:
        """The update of this round. Raises TaskStoppedError."""
        progress, model = self._state.progress, self._state.model.tensors(part.plan)
        part.check_pool(work.task, model, self._report)
        outbox = make_update(
            part.plan,
            first_things_first(part.plan, work, gave_second_moments=progress.gave_second_moments),
            model,
            part.dataset,
            self._site,
            part.run,
            self._state.feedback(),
            report=self._report,
            stop=stop.is_set,
            keep=self._keep_deltas,
            tasks=self._tasks,
            secret=part.secret,
        )
        # In a sum it never leaves as it is: what travels is made, and sealed, for each attempt (summing.py).
        seal = b"" if part.sums is not None else self._channel.new_seal(work.round)
        return structs.replace(outbox, seal=seal, model=self._state.model.id)

    def _take_part(self, part: Participation, message: site_events.SumQuestion, outbox: Outbox) -> None:
        """A lie of the aggregator's costs its sum, and is told."""
        assert part.sums is not None  # the machine asks for none without
        try:
            answer = part.sums.answer(message, outbox.payload, outbox.model)
        except RevealedError:
            self._put(site_events.Barred(message.round))
        except BadDealingError as error:
            self._report("bad-message", {"reason": str(error)})
            self._answer(_unopened(message, error.names))
        except ProtocolError as error:
            self._report("bad-message", {"reason": str(error)})
        except Exception as error:  # noqa: BLE001 - the main thread raises it again
            self._put(Failed(error))
        else:
            if isinstance(answer, site_events.Masked):
                if withheld := part.sums.withheld():
                    self._report("withheld", {"round": message.round, "blocks": ", ".join(withheld)})
                self._put(answer)
            else:
                self._answer(answer)


def _unopened(question: site_events.SumQuestion, names: tuple[str, ...]) -> Ready:
    """The site takes no part in this attempt, as it has no use of what these have dealt."""
    return Ready(run=question.run, round=question.round, lost=question.attempt, unopened=names)
