"""What the site machine asks for, done: sent, worked on, written to the disk."""

from collections.abc import Callable
from itertools import groupby

from fedfin.errors import EvictedError, FedfinError
from fedfin.model.model_file import ModelFile, write_model
from fedfin.plain_text import plain_text
from fedfin.plan import Plan
from fedfin.protocol.messages.joining import Decline
from fedfin.protocol.messages.message import Message
from fedfin.protocol.messages.secure_sums import Ready
from fedfin.protocol.messages.transfers import Begin
from fedfin.protocol.refusals import TWICE
from fedfin.protocol.site import effects as site_effects
from fedfin.protocol.site.events import Assembled, Event, Misfit
from fedfin.trust.channel import SiteEnd
from fedfin_edge.agent.answers import Answers
from fedfin_edge.agent.assembly import Assembly
from fedfin_edge.agent.participation import Participation
from fedfin_edge.agent.site_link import SiteLink
from fedfin_edge.agent.state import AgentState
from fedfin_edge.agent.update import Report
from fedfin_edge.agent.worker import Worker
from fedfin_edge.site import Site


class Actions:
    """Of one agent. `put`: takes events for the machine; `greet`: says hello; `again`: as Agent."""

    def __init__(
        self,
        site: Site,
        state: AgentState,
        answers: Answers,
        channel: SiteEnd,
        link: SiteLink,
        worker: Worker,
        report: Report,
        *,
        put: Callable[[Event], None],
        greet: Callable[[], None],
        again: bool,
    ) -> None:
        self._site, self._state, self._answers, self._again = site, state, answers, again
        self._channel, self._link, self._worker = channel, link, worker
        self._report, self._put, self._greet = report, put, greet
        self._assembly = Assembly(state.model, channel)
        self._part: Participation | None = None  # once the aggregator has sent its plan
        self._sending = b""  # the id of the update that was offered last

    @property
    def joined(self) -> bool:
        """Whether the aggregator has sent its plan, and this site follows it."""
        return self._part is not None

    def do(self, effects: list[site_effects.Effect]) -> None:
        """Raises EvictedError, and other FedfinErrors, when this site must not take part any more."""
        for kind, alike in groupby(effects, type):
            if kind is site_effects.Follow:
                self._link.follow(*alike)
            elif kind is site_effects.Unfollow:
                self._link.unfollow(*alike)
            else:
                for effect in alike:
                    self._do(effect)

    def _do(self, effect: site_effects.Effect) -> None:  # noqa: C901, PLR0912 - one flat case per effect
        match effect:
            case site_effects.Send(channel, message):
                self._send(channel, message)
            case site_effects.Join(run, plan):
                self._join(run, plan)
            case site_effects.MakeFirst():
                self._make_first()
            case site_effects.Assemble():
                self._assemble(effect)
            case site_effects.Work():
                self._work(effect)
            case site_effects.SayReady(round_):
                self._link.send(Ready(run=self._participation.run, round=round_))
            case site_effects.TakePart(message):
                self._worker.take_part(self._participation, message)
            case site_effects.Abandon():
                self._worker.abandon()
                self._state.abandon()
            case site_effects.BeginLife():
                self._begin_life(effect)
            case site_effects.Bar(round_):
                self._state.bar(round_)
                self._report("barred", {"round": round_})
            case site_effects.Settle(round_, accepted, reason, begun):
                self._state.settle(accepted=accepted, twice=reason == TWICE, begun=begun)
                self._report("received", {"round": round_, "accepted": accepted, "reason": reason})
            case site_effects.Finish(version):
                self._finish(version)
            case site_effects.Distrust(reason):
                self._report("bad-manifest", {"reason": reason})
            case site_effects.Leave(reason):
                raise EvictedError(f"the aggregator dropped this site: {plain_text(reason)}")

    def decline(self, error: BaseException) -> None:
        """Work has failed, and this site takes part no further."""
        self._decline(self._participation.run, error)

    def assemble_waiting(self) -> None:
        """New keys have come: what lacked them may be put together."""
        if (wanted := self._assembly.waiting) is not None:
            self._assemble(wanted)

    @property
    def _participation(self) -> Participation:
        """There is one: what is asked for comes after a Join."""
        assert self._part is not None
        return self._part

    def _send(self, channel: str, message: Message) -> None:
        if isinstance(message, Begin):
            self._report_sending(message)
        self._link.send(message, channel)

    def _report_sending(self, begin: Begin) -> None:
        """Once for each update: it is on the disk, and from now on it can leave this site."""
        outbox, id_ = self._state.waiting, begin.outline.id
        if outbox is None or id_ == self._sending:
            return
        self._sending = id_
        facts = {"round": begin.round, "task": outbox.task, "bytes": begin.outline.size, "id": id_.hex()}
        self._report("sending", facts | {"to": self._channel.aggregator})

    def _join(self, run: str, plan: Plan) -> None:
        """Raises EvictedError, InputError, SettingsError, ProtocolError or StateError: this site must not take part."""
        try:
            self._part = Participation(
                self._site,
                plan,
                run,
                state=self._state,
                answers=self._answers,
                channel=self._channel,
                again=self._again,
            )
        except FedfinError as error:
            self._decline(run, error)
            raise
        self._part.begin(self._report)

    def _decline(self, run: str, error: BaseException) -> None:
        """Say that nobody need wait for this site, in one word."""
        if isinstance(error, FedfinError) and error.declines is not None:
            self._link.send(Decline(run=run, cause=error.declines))

    def _begin_life(self, begin: site_effects.BeginLife) -> None:
        """An update on its way is one of this life, too."""
        self._state.begin_life(begin.life, begin.round, begin.barred)
        self._report("rewound", {"round": begin.round, "life": begin.life.number})
        if (outbox := self._state.waiting) is not None:
            self._participation.record(outbox, self._report)

    def _make_first(self) -> None:
        model = self._state.model
        model.make_first(self._participation.plan)
        self._put(Assembled(0, model.id))

    def _assemble(self, wanted: site_effects.Assemble) -> None:
        outcome = self._assembly.assemble(wanted, self._participation.plan)
        if outcome is None:
            self._greet()
            return
        if isinstance(outcome, Misfit):
            self._report("bad-model", {"version": wanted.version, "reason": outcome.reason})
        self._put(outcome)

    def _work(self, work: site_effects.Work) -> None:
        self._report("round", {"round": work.round, "task": work.task})
        self._worker.compute(self._participation, work)

    def _finish(self, version: int) -> None:
        plan = self._participation.plan
        tensors = self._state.model.tensors(plan)
        write_model(self._state.final_path, ModelFile(plan, version, tensors))
        self._state.finish()
        self._report("finished", {"version": version, "model": str(self._state.final_path)})
