"""The agent's part in secure sums: what this site gives, between the link and the disk.

What it signed is in `secure-sum.msgpack` in `state/`; of which sums it revealed shares, in answers.jsonl, which
outlives `state/`.
"""

from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from fedfin.decoding import UNDECODABLE
from fedfin.errors import SettingsError, StateError
from fedfin.files import write_atomically
from fedfin.model.blocks import Blocks, blocks_of
from fedfin.model.model_spec import task_specs
from fedfin.plan import Plan
from fedfin.protocol.cohorts import most_summed
from fedfin.protocol.messages.secure_sums import Cohort, Consent, Dealing, Dealt, Ready, Reveal, Survivors
from fedfin.protocol.payloads import Update, decode_payload, open_update
from fedfin.protocol.schedule import levels_up, task_of
from fedfin.protocol.site.events import Masked, SumQuestion
from fedfin.protocol.subtraction import answered_once
from fedfin.protocol.sum_groups import most_groups
from fedfin.secure_sums.ledger import Kept
from fedfin.secure_sums.masks import Words
from fedfin.secure_sums.member import LostError, Member
from fedfin.secure_sums.summand import Summand
from fedfin.trust.channel import SiteEnd
from fedfin_edge.agent.answers import Answers


class Ledger:
    """What a site makes durable of its part in one run. Raises StateError when a file is damaged."""

    def __init__(self, plan: Plan, run: str, path: Path, answers: Answers) -> None:
        self._plan, self._run, self._path, self._answers = plan, run, path, answers

    @property
    def kept(self) -> Kept | None:
        """What was kept last."""
        try:
            return msgspec.msgpack.decode(self._path.read_bytes(), type=Kept)
        except FileNotFoundError:
            return None
        except UNDECODABLE:
            raise StateError(
                f"{self._path} is damaged; remove it: a sum that waits for this site's shares closes without them"
            ) from None

    def keep(self, kept: Kept | None) -> None:
        """In place of what was kept before."""
        if kept is None:
            self._path.unlink(missing_ok=True)
        else:
            write_atomically(self._path, msgspec.msgpack.encode(kept))

    def revealed(self, round_: int) -> bytes | None:
        """The attempt of this round of which shares may have left."""
        return self._answers.revealed(self._run, round_)

    def reveal(
        self, round_: int, attempt: bytes, sites: tuple[str, ...], grouped: tuple[str, ...] = ()
    ) -> None:
        """Shares of this attempt at a sum over these sites, in such groups, are about to leave."""
        self._answers.reveal(self._run, round_, attempt, sites, grouped)

    @property
    def grouped(self) -> tuple[str, ...]:
        """Who was dealt into groups: those of the run's first sum. None where this site has not helped to open any."""
        reveals = self._answers.reveals(self._run)
        first = [r.sites for r in reveals if r.round == 1]
        return next((r.grouped for r in reveals if r.grouped), first[0] if first else ())

    def beside(self, round_: int) -> list[frozenset[str]]:
        """The sites of this run's other sums of statistics, where this round's is one, too."""
        if not answered_once(task_of(self._plan, round_)):
            return []
        others = (r for r in self._answers.reveals(self._run) if r.round != round_ and r.sites)
        return [frozenset(r.sites) for r in others if answered_once(task_of(self._plan, r.round))]


class Summing:
    """One site's, in one run. Raises SettingsError without keys, StateError when a file is damaged."""

    def __init__(
        self, plan: Plan, channel: SiteEnd, site: str, ledger: Ledger, run: str, labels: NDArray[np.bool_]
    ) -> None:
        """labels: of which this site knows enough to tell that, bool [labels]."""
        if channel.identity is None:
            raise SettingsError(
                f'the plan\'s privacy.level is "{plan.privacy.level}", which needs keys: `fedfin edge request`, and'
                " `accept` what comes back (docs/keys.md)"
            )
        self._plan, self._channel = plan, channel
        least = max(plan.rounds.min_sites, channel.least_sites)
        self._member = Member(
            site,
            run,
            channel.identity,
            lambda: channel.roster,
            least=least,
            most=most_summed(plan),
            ledger=ledger,
            most_groups=lambda round_: most_groups(plan, round_),
            blocks=self._blocks,
        )
        self._masked_for = b""  # the newest attempt for which values were masked, and what travels for it
        self._sealed = Masked(0, b"")
        self._labels = labels
        self._withheld: list[str] = []  # of the newest sum, in words: what is in it of no site

    def _blocks(self, round_: int) -> Blocks | None:
        return blocks_of(self._plan, task_of(self._plan, round_))

    def withheld(self) -> list[str]:
        """In words what too few sites of the sum at hand have, so that it is not in it; told once."""
        found, self._withheld = self._withheld, []
        return found

    def answer(
        self, question: SumQuestion, update: bytes, model: bytes
    ) -> Dealing | Consent | Reveal | Ready | Masked:
        """A message, or this update's values, masked and sealed. model: the id of the version it was made from.

        Raises ProtocolError for what must not be answered.
        """
        try:
            return self._answer(question, update, model)
        except LostError:
            return Ready(run=question.run, round=question.round, lost=question.attempt)

    def _answer(
        self, question: SumQuestion, update: bytes, model: bytes
    ) -> Dealing | Consent | Reveal | Masked:
        if isinstance(question, Cohort):
            return self._member.deal(question, model, self._gives(question.round, update))
        if isinstance(question, Dealt):
            return self._masked(question, update)
        if isinstance(question, Survivors):
            return self._member.consent(question)
        return self._member.reveal(question)

    def _masked(self, question: Dealt, update: bytes) -> Masked:
        """Made once: to the same question the same bytes."""
        if question.attempt != self._masked_for:
            round_, words = question.round, self._words(update, question)
            masked, consent = self._member.mask(question, words), self._member.consent_to_all(question)
            sealed = self._channel.seal_update(masked, round_, self._channel.new_seal(round_))
            self._masked_for, self._sealed = question.attempt, Masked(round_, sealed, consent)
        return self._sealed

    def _gives(self, round_: int, payload: bytes) -> bytes:
        """To which blocks; nothing where the plan does not ask."""
        if (blocks := self._blocks(round_)) is None:
            return b""
        update = decode_payload(payload, Update)
        return blocks.given(*open_update(update, task_specs(self._plan, update.task)), self._labels)

    def _words(self, payload: bytes, question: Dealt) -> Words:
        """Without what too few sites give.

        A tensor counts as no more cases than the charter grants: nobody else can say so.
        """
        update = decode_payload(payload, Update)
        values, weights = open_update(update, task_specs(self._plan, update.task))
        if (blocks := self._blocks(question.round)) is not None:
            judgement = blocks.judge(question.gives or {})
            values, weights = judgement.apply(values, weights)
            self._withheld = judgement.says()
        granted = {name: min(weight, self._channel.case_cap) for name, weight in weights.items()}
        form = Summand(self._plan, update.task, levels_up(self._plan, update.round))
        for name in values.keys() & form.quantized.keys():  # whole steps are of weight times value
            values[name] = np.trunc(values[name] * (granted[name] / weights[name])).astype(np.float32)
        return form.words(values, granted, update.metrics, len(question.keys))
