"""The agent's part in secure sums: what this site holds, between the link and `secure-sum.msgpack` in `state/`."""

from pathlib import Path

import msgspec

from fedfin.decoding import UNDECODABLE
from fedfin.errors import SettingsError, StateError
from fedfin.files import write_atomically
from fedfin.model.model_spec import task_specs
from fedfin.plan import Plan
from fedfin.protocol.messages import Cohort, Consent, Dealing, Dealt, Ready, Reveal, Survivors
from fedfin.protocol.payloads import Update, decode_payload, open_update
from fedfin.protocol.site_states import SumQuestion
from fedfin.secure_sums.masks import Words
from fedfin.secure_sums.member import Kept, Member
from fedfin.secure_sums.summand import summand
from fedfin.trust.channel import SiteEnd


class Summing:
    """One site's, in one run. Raises SettingsError without keys, StateError when its file is damaged."""

    def __init__(self, site: str, plan: Plan, run: str, channel: SiteEnd, folder: Path) -> None:
        if channel.identity is None:
            raise SettingsError(
                f'the plan\'s privacy.level is "{plan.privacy.level}", which needs keys: `fedfin edge request`, and'
                " `accept` what comes back (docs/keys.md)"
            )
        self._plan, self._run, self._path = plan, run, folder / "secure-sum.msgpack"
        self._member = Member(
            site,
            run,
            channel.identity,
            lambda: channel.roster,
            least=plan.rounds.min_sites,
            kept=self._read(),
            keep=self._keep,
        )

    def ready(self, round_: int) -> Ready:
        """That the values are here."""
        return Ready(run=self._run, round=round_, attempt=self._member.attempt(round_))

    def answer(self, question: SumQuestion, update: bytes) -> Dealing | Consent | Reveal | bytes:
        """A message, or the masked values of this update. Raises ProtocolError for what a site must not answer."""
        if isinstance(question, Cohort):
            return self._member.deal(question)
        if isinstance(question, Dealt):
            return self._member.mask(question, self._words(update))
        if isinstance(question, Survivors):
            return self._member.consent(question)
        return self._member.reveal(question)

    def _words(self, payload: bytes) -> Words:
        update = decode_payload(payload, Update)
        values, weights = open_update(update, task_specs(self._plan, update.task))
        return summand(self._plan, update.task, values, weights, update.metrics)

    def _read(self) -> Kept | None:
        try:
            return msgspec.msgpack.decode(self._path.read_bytes(), type=Kept)
        except FileNotFoundError:
            return None
        except UNDECODABLE:
            raise StateError(
                f"{self._path} is damaged; restore it from a backup: without it, what this site revealed is not known"
            ) from None

    def _keep(self, kept: Kept | None) -> None:
        if kept is None:
            self._path.unlink(missing_ok=True)
        else:
            write_atomically(self._path, msgspec.msgpack.encode(kept))
