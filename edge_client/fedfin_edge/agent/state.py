"""What a site's agent must remember across a restart, as files in the site's `state/` folder.

    proposed.json        the plan that was asked last, for `fedfin edge review`; joined or not
    plan.json            the federation's plan
    progress.json        the run, and the last round that has a receipt
    model.msgpack        the newest global model
    feedback.msgpack     what earlier updates still owe (fedfin_edge/agent/error_feedback.py)
    outbox.msgpack       an update without a receipt yet: saved before it is sent
    last-update.msgpack  the last update that has one, for `fedfin edge explain-update`
    spare.msgpack        the one before it, to be written over by the next
    final.fedfin         the final model

Each file is replaced as a whole, so a crash leaves the old one or the new one; all but the model: a damaged one is
found out, and fetched again. An update in the outbox may have been accepted or not: after a restart the site asks
again, gets the same receipt, and settles it as if for the first time.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from fedfin.decoding import UNDECODABLE
from fedfin.errors import ProtocolError, StateError
from fedfin.files import make_folder, write_atomically
from fedfin.model.plan_size import check_size
from fedfin.plan import Plan
from fedfin.protocol.life import FIRST_LIFE, Life
from fedfin.protocol.payloads import Update, decode_payload
from fedfin.protocol.site.memory import Memory
from fedfin_edge.agent.error_feedback import Feedback
from fedfin_edge.agent.global_model import GlobalModelFile
from fedfin_edge.agent.outbox import Outbox

JOIN = "`fedfin edge run` takes part and makes updates"


Seal = Callable[[bytes, int, bytes], bytes]
FORMAT = 1  # 0.1.0; versions before wrote none, and their folders are read as of this one


class Progress(msgspec.Struct, frozen=True):
    """How far the site is in which life of which run, whether its second moments are in, and whether it has the model.

    `settled`: the last round that has a receipt, `accepted`: that has one that says so; `barred`: up to it rounds are
    not answered again; `begun`: the last of which a receipt told that it had; `gave_in`: the round in which second
    moments were given. `format`: of all files in the folder; a change that an older version would misread is a new one.
    """

    format: int = FORMAT
    run: str = ""
    life: Life = FIRST_LIFE
    settled: int = 0
    accepted: int = 0
    barred: int = 0
    begun: int = 0
    gave_second_moments: bool = False
    gave_in: int = 0
    finished: bool = False


class Proposal(msgspec.Struct, frozen=True):
    """A plan that this site is asked to take part in, in which run; `least_sites`: of the charter."""

    plan: Plan
    run: str
    least_sites: int = 1


class AgentState:
    """The folder."""

    def __init__(self, folder: Path, *, make: bool = True) -> None:
        """Raises StateError when its progress is damaged, or a newer version wrote it. `make`: unless it is there."""
        if make:
            make_folder(folder)
        self.folder = folder
        self._plan = folder / "plan.json"
        self._proposed = folder / "proposed.json"
        self._progress = folder / "progress.json"
        self._feedback = folder / "feedback.msgpack"
        self._outbox = folder / "outbox.msgpack"
        self._waiting: Outbox | None = None  # what is in the outbox, if this process put it there
        self._last = folder / "last-update.msgpack"
        self._spare = folder / "spare.msgpack"
        self.model = GlobalModelFile(folder / "model.msgpack")
        self.final_path = folder / "final.fedfin"
        _ = self.progress  # another version's folder is left as it is

    @property
    def progress(self) -> Progress:
        """How far the site is. Raises StateError when the file is damaged."""
        if not self._progress.exists():
            return Progress()
        try:
            progress = msgspec.json.decode(self._progress.read_bytes(), type=Progress)
        except UNDECODABLE:
            raise StateError(f"{self._progress} is damaged; remove {self.folder} to join afresh") from None
        if progress.format > FORMAT:
            raise StateError(
                f"{self.folder}: a newer version of FedFIN wrote it (format {progress.format}; this version reads up"
                f" to {FORMAT}); install the version that ran here last"
            )
        return progress

    @property
    def waiting(self) -> Outbox | None:
        """The update without a receipt, if there is one."""
        outbox = self._waiting or _read(self._outbox, Outbox)
        if outbox is not None and not outbox.model:  # as 0.1.0 began; no later version was fetched since
            return replace(outbox, model=self.model.id)
        return outbox

    def memory(
        self, answered: Mapping[tuple[str, Life], frozenset[int]], seal: Seal = lambda update, *_: update
    ) -> Memory:
        """What the site machine must know of earlier lives.

        `answered`: rounds, by run and life (answers.py); `seal`: makes of an update the bytes that travelled.
        """
        progress, outbox = self.progress, self.waiting
        offer = None if outbox is None else (outbox.round, seal(outbox.payload, outbox.round, outbox.seal))
        return Memory(
            progress.run,
            progress.settled,
            self.model.id,
            self.model.version,
            offer,
            answered,
            progress.life,
            progress.accepted,
            progress.barred,
            progress.begun,
            b"" if outbox is None else outbox.model,
        )

    def join(self, run: str, plan: Plan) -> None:
        """Remember the run and its plan; what belongs to another one is dropped."""
        if self.progress.run != run:
            self._waiting = None
            for path in (self._outbox, self._last, self._spare, self._feedback):
                path.unlink(missing_ok=True)
            self.model.forget()
            write_atomically(self._plan, msgspec.json.encode(plan))
            self._save(Progress(run=run))

    def propose(self, proposal: Proposal) -> None:
        """Keep what people may want to read before this site joins."""
        data = msgspec.json.encode(proposal)
        if not self._proposed.exists() or self._proposed.read_bytes() != data:
            write_atomically(self._proposed, data)

    @property
    def has_proposal(self) -> bool:
        """Whether any plan has come."""
        return self._proposed.exists()

    def proposed(self) -> Proposal:
        """The plan that was asked last. StateError when there is none, or it is damaged."""
        try:
            return _checked(msgspec.json.decode(self._proposed.read_bytes(), type=Proposal))
        except FileNotFoundError:
            raise StateError(
                f"{self.folder}: no plan has come yet; `fedfin edge accept` or `fedfin edge run` brings one"
            ) from None
        except UNDECODABLE:
            raise StateError(
                f"{self._proposed} is damaged; remove it: the next start brings it anew"
            ) from None

    def begin_life(self, life: Life, round_: int, barred: int) -> None:
        """The aggregator was set back to this round; what it had in earlier ones it still has."""
        self._make_up_for_nothing()
        before = self.progress
        gave = before.gave_second_moments and before.gave_in < round_
        given = before.gave_in if gave else 0
        self._save(
            Progress(
                run=before.run,
                life=life,
                settled=barred,
                barred=barred,
                gave_second_moments=gave,
                gave_in=given,
            )
        )

    def _make_up_for_nothing(self) -> None:
        """What did not count in a life before is asked anew in this one, or counts in it after all."""
        feedback = self.feedback()
        if feedback.lost:
            self._put_feedback(replace(feedback, lost=b""))
        if self.waiting is not None:
            self.put_update(replace(self.waiting, lost=b""))

    def bar(self, round_: int) -> None:
        """The round is not answered again, with what waits in the outbox or with anything else."""
        before = self.progress
        self._save(replace(before, settled=max(round_, before.settled), barred=max(round_, before.barred)))
        self.abandon()

    def made_before(self, round_: int, model: bytes) -> Outbox | None:
        """The last update that has a receipt, if it is the one of this round from this model."""
        last = _read(self._last, Outbox)
        fits = last is not None and (last.round, last.model) == (round_, model)
        return last if fits else None

    def remember_second_moments(self, round_: int) -> None:
        """They were given in this round, before this folder was lost."""
        self._save(replace(self.progress, gave_second_moments=True, gave_in=round_))

    def finish(self) -> None:
        """The final model is on disk."""
        self._save(replace(self.progress, finished=True))

    def plan(self) -> Plan:
        """The plan of the run that this site takes part in. StateError when there is none, or it is damaged."""
        try:
            plan = msgspec.json.decode(self._plan.read_bytes(), type=Plan)
            check_size(plan)
        except FileNotFoundError:
            raise StateError(f"{self.folder}: this site has not taken part yet; {JOIN}") from None
        except UNDECODABLE:
            raise StateError(f"{self._plan} is damaged; remove {self.folder} to join afresh") from None
        return plan

    def feedback(self) -> Feedback:
        """What the next update owes; nothing when the file is of another run, or damaged."""
        run = self.progress.run
        known = _read(self._feedback, Feedback)
        return known if known is not None and known.run == run else Feedback(run)

    def put_update(self, outbox: Outbox) -> None:
        """Save an update before it is sent."""
        write_atomically(self._outbox, msgspec.msgpack.encode(outbox), spare=self._spare)
        self._waiting = outbox

    def settle(self, *, accepted: bool, twice: bool = False, begun: int = 0) -> None:
        """The update in the outbox has its receipt. `begun`: as in the effect Settle.

        `twice`: another one, from before this folder was set back, counts.

        Any prefix of these steps can be done twice: each writes what follows from the outbox and the receipt alone.
        """
        outbox = self._take_waiting()
        if outbox is None:
            return
        if not twice:
            self._owe(outbox, accepted=accepted)
        before = self.progress
        gives = accepted and outbox.task == "second_moments"
        gave = before.gave_second_moments or gives
        given = outbox.round if gives else before.gave_in
        settled = max(outbox.round, before.settled)
        counted = max(outbox.round, before.accepted) if accepted else before.accepted
        self._save(
            replace(
                before,
                settled=settled,
                accepted=counted,
                begun=max(begun, before.begun),
                gave_second_moments=gave,
                gave_in=given,
            )
        )
        if self._last.exists():
            self._last.replace(self._spare)
        self._outbox.replace(self._last)

    def abandon(self) -> None:
        """The update in the outbox, if there is one, is not offered: its round closed in the moment when it was done.

        The next one does not make up for it: one of this site may count in that round, from before its folder was set
        back or from another machine with its identity, and would count twice.
        """
        if self._take_waiting() is not None:
            self._outbox.unlink()

    def _take_waiting(self) -> Outbox | None:
        outbox, self._waiting = self.waiting, None
        return outbox

    def _owe(self, outbox: Outbox, *, accepted: bool) -> None:
        if outbox.task != "train":
            return
        before = self.feedback()
        owed, lost = (outbox.owed, b"") if accepted else (before.owed, outbox.lost_body())
        self._put_feedback(Feedback(before.run, owed, lost))

    def _put_feedback(self, feedback: Feedback) -> None:
        if feedback.owed or feedback.lost:
            write_atomically(self._feedback, msgspec.msgpack.encode(feedback))
        else:
            self._feedback.unlink(missing_ok=True)

    def last_update(self) -> Update:
        """The newest update: waiting for its receipt, or the last that has one. StateError if none, or damaged."""
        path = self._outbox if self._outbox.exists() else self._last
        if not path.exists():
            raise StateError(f"{self.folder}: no update was made yet; {JOIN}")
        try:
            return decode_payload(msgspec.msgpack.decode(path.read_bytes(), type=Outbox).payload, Update)
        except (*UNDECODABLE, ProtocolError):
            raise StateError(
                f"{path} is damaged, or of another version of FedFIN; remove it: the next round makes a new one"
            ) from None

    def _save(self, progress: Progress) -> None:
        write_atomically(self._progress, msgspec.json.encode(progress))


def _checked(proposal: Proposal) -> Proposal:
    """Raises ValueError when its plan is too large to be looked at."""
    check_size(proposal.plan)
    return proposal


_T = TypeVar("_T", Feedback, Outbox)


def _read(path: Path, kind: type[_T]) -> _T | None:
    """None when there is no such file, or it is damaged."""
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, *UNDECODABLE):
        return None
