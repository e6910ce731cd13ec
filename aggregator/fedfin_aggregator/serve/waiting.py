"""What the operator reads while a round waits: for whom, and whose updates were refused meanwhile."""

from dataclasses import asdict

from fedfin.protocol.rounds import effects as round_effects
from fedfin_aggregator.serve.incoming import Report
from fedfin_aggregator.store.journal import Journal


class Waiting:
    """Of the round that is open."""

    def __init__(self, journal: Journal, report: Report) -> None:
        self._journal, self._report = journal, report
        self._round = 0
        self._refusals: dict[str, str] = {}  # of offers, by site; those of updates are in the journal

    def begin(self, round_: int) -> None:
        """This round runs, perhaps since long."""
        if round_ != self._round:
            self._round, self._refusals = round_, {}

    def refused(self, effect: round_effects.Refused) -> None:
        """An offer was."""
        self._refusals[effect.site] = effect.reason
        answer = {"accepted": False, "reason": effect.reason, "bytes": 0, "id": effect.id.hex()}
        self._report("update", {"site": effect.site, "round": effect.round} | answer)

    def awaits(self, effect: round_effects.Awaiting) -> None:
        """Sites, for the time being."""
        self._report("waiting", {"reason": _awaiting(effect)})

    def lacks(self, effect: round_effects.Lacking | round_effects.Rewinding | round_effects.Unheard) -> None:
        """Shards."""
        self._report("waiting", {"reason": _lacking(effect)})

    def stalls(self, effect: round_effects.Stalled) -> None:
        """Its deadline has passed with too few updates."""
        more = {"missed": ", ".join(effect.missed) or "nobody new", "refused": self._reasons(effect.round)}
        self._report("stalled", asdict(effect) | more)

    def _reasons(self, round_: int) -> str:
        """Whose updates of this round were refused, and why."""
        receipts = self._journal.updates.receipts(round_).items()
        judged = {site: receipt.reason for site, receipt in receipts if not receipt.accepted}
        return "; ".join(f"{site}: {reason}" for site, reason in sorted((self._refusals | judged).items()))


def _awaiting(waiting: round_effects.Awaiting) -> str:
    names = ", ".join(waiting.away)
    away = f"{names}, late or offline before" if names else "sites that nobody has heard of"
    sites = ", ".join(waiting.sites) or away
    rest = max(0, waiting.quorum - waiting.accepted)
    until = f"it needs {rest} more" if rest else f"it closes without them in {waiting.seconds:.0f} s"
    return f"round {waiting.round} has {waiting.accepted} updates and waits for {sites}; {until}"


def _lacking(effect: round_effects.Lacking | round_effects.Rewinding | round_effects.Unheard) -> str:
    shards = ", ".join(effect.shards)
    match effect:
        case round_effects.Lacking(round_):
            return (
                f"round {round_} is closed, but these have not delivered: {shards}; start what does not run"
            )
        case round_effects.Rewinding(round_):
            return (
                f"this folder was restored from a backup of round {round_}; the rounds go on from there when all shards"
                f" have heard of it. Start these, with their folders: {shards}"
            )
        case round_effects.Unheard(round_, _, seconds):
            return f"round {round_}: no word for {seconds:.0f} s from {shards}; start what does not run"
