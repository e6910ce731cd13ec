"""Secure sums at the server: the machine decides, the rounds reckon, sites and the operator hear of it."""

from collections.abc import Callable

from fedfin.protocol.messages.message import Message
from fedfin.protocol.messages.secure_sums import Summed
from fedfin.protocol.refusals import late
from fedfin.protocol.rounds import sum_effects as sums
from fedfin.protocol.rounds.events import SumEnded
from fedfin_aggregator.rounds.secure_rounds import UNOPENED, SecureRounds
from fedfin_aggregator.serve.incoming import Report

Effect = (
    sums.NewSum
    | sums.FixSum
    | sums.KeepSum
    | sums.OpenSum
    | sums.GiveUpSum
    | sums.AwaitCohort
    | sums.NoCohort
    | sums.BadDealing
    | sums.GoesOn
    | sums.TellOutcome
)
Post = Callable[[str, str, Message], None]  # site, channel


class Sums:
    """`post` sends a site a message, `ended` tells the machine what came of a sum."""

    def __init__(
        self, rounds: SecureRounds, report: Report, post: Post, ended: Callable[[SumEnded], None]
    ) -> None:
        self._rounds, self._report, self._post, self._ended = rounds, report, post, ended

    def act(self, effect: Effect) -> None:
        """What the machine asks for."""
        match effect:
            case sums.NewSum(round_, attempt, names, groups):
                self._rounds.begin_sum(attempt, groups)
                self._report("cohort", {"round": round_, "sites": ", ".join(names)})
            case sums.FixSum(attempt):
                self._rounds.fix_sum(attempt)
            case sums.KeepSum(sum_):
                self._keep(sum_)
            case sums.OpenSum():
                self._open(effect)
            case sums.GiveUpSum(sum_):
                self._give_up(sum_)
            case sums.AwaitCohort() | sums.GoesOn():
                self._report("waiting", {"reason": _waiting(effect)})
            case sums.NoCohort(round_, ready, reason):
                self._rounds.close_without_sum(reason)
                self._tell(round_, ready, accepted=False, reason=reason)
            case sums.BadDealing(site, round_, accusers, accused):
                reason = _bad_dealing(accusers, accused)
                self._report("bad-dealing", {"site": site, "round": round_, "reason": reason})
            case sums.TellOutcome(site, round_):
                self._tell_outcome(site, round_)

    def _keep(self, sum_: sums.OpenSum) -> None:
        self._rounds.keep_sum(sum_)
        if (ledger := self._rounds.ledger) is not None:
            epsilon = max(map(ledger.epsilon_spent, sum_.survivors))
            spent = {"epsilon": round(epsilon, 3), "of": self._rounds.plan.privacy.epsilon}
            self._report("released", {"round": sum_.round} | spent)

    def _open(self, sum_: sums.OpenSum) -> None:
        receipt = self._rounds.open_sum(sum_)
        self._tell(sum_.round, sum_.survivors, accepted=receipt.accepted, reason=receipt.reason)
        if withheld := self._rounds.withheld:
            self._report("withheld", {"round": sum_.round, "blocks": ", ".join(withheld)})
        if suppressed := self._rounds.suppressed:
            self._report("suppressed", {"round": sum_.round, "left_out": "; ".join(suppressed)})
        self._ended(SumEnded(sum_.attempt, sum_.survivors, receipt))

    def _give_up(self, sum_: sums.OpenSum) -> None:
        """Told first: a life that ends after it is written would not tell it."""
        self._tell(sum_.round, sum_.survivors, accepted=False, reason=UNOPENED)
        self._ended(SumEnded(sum_.attempt, sum_.survivors, self._rounds.give_up_sum(sum_)))

    def _tell(self, round_: int, sites: tuple[str, ...], *, accepted: bool, reason: str) -> None:
        facts = {"accepted": accepted, "reason": reason}
        self._report("sum", {"round": round_, "sites": ", ".join(sites)} | facts)

    def _tell_outcome(self, site: str, round_: int) -> None:
        journal = self._rounds.journal
        receipt = journal.updates.receipt(round_, site)
        accepted = receipt is not None and receipt.accepted
        reason = late(round_) if receipt is None else receipt.reason
        outcome = Summed(run=journal.run, round=round_, accepted=accepted, reason=reason)
        self._post(site, "dn/ctl", outcome)


def _waiting(effect: sums.AwaitCohort | sums.GoesOn) -> str:
    if isinstance(effect, sums.GoesOn):
        return (
            f"round {effect.round}: {effect.attempts} attempts at its sum were given up; as there is no model without"
            " this sum, another one is made. Ask the sites that bad-dealing and stalled name"
        )
    missing = ", ".join(effect.missing) or "others"
    return (
        f"round {effect.round}: {effect.reason}; bring {missing} back within {effect.seconds:.0f} s. After that more"
        " sites are left out, or the round closes without a sum"
    )


def _bad_dealing(accusers: tuple[str, ...], accused: tuple[str, ...]) -> str:
    parts = [f"{', '.join(accusers)} could not open what it has dealt to them"] if accusers else []
    parts += [f"it says that it could not open what {', '.join(accused)} dealt to it"] if accused else []
    return "; ".join(parts) or "its key for this sum is of small order: nobody can mask beside it"
