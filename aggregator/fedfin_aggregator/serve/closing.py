"""The end of a round: it is folded, once nobody must be asked about it."""

from fedfin.protocol.rounds.effects import CloseRound
from fedfin_aggregator.rounds.rounds import Rounds
from fedfin_aggregator.rounds.update_checks import ROLLED_BACK
from fedfin_aggregator.serve.incoming import Report
from fedfin_aggregator.store.outlier_records import OutlierRow


class Closing:
    """Of all rounds. `report` is told of what was found, and of the results."""

    def __init__(self, rounds: Rounds, report: Report) -> None:
        self._rounds, self._report = rounds, report
        # A round that waits for the coordinator, and what was known of sites when it began to.
        self._asked: tuple[CloseRound, dict[str, OutlierRow]] | None = None

    def close(self, effect: CloseRound) -> bool:
        """Whether the round is closed: not while the coordinator is asked which of two sites is wrong."""
        self._name_outliers(effect.round)
        if asked := self._rounds.asked:
            self._asked = effect, self._rounds.journal.outliers.all()
            self._report("waiting", {"reason": _asking(effect.round, asked)})
            return False
        self._asked = None
        left_out = self._rounds.close(effect.round, effect.roster)
        if left_out:
            reason = "their second moments have no solution with those of the others"
            self._report("left-out", {"round": effect.round, "sites": ", ".join(left_out), "reason": reason})
        self._tell_results(effect.round)
        return True

    def _tell_results(self, round_: int) -> None:
        results = self._rounds.journal.results(round_)
        self._report("closed", {"round": round_} | results)
        if (better := results.get(ROLLED_BACK)) is not None:
            worse = self._rounds.journal.version_of(round_)
            self._report("rolled-back", {"round": round_, "version": worse, "to": int(better)})

    @property
    def answered(self) -> CloseRound | None:
        """The round that waited, once the coordinator has written an answer into the journal."""
        if self._asked is None or self._asked[1] == self._rounds.journal.outliers.all():
            return None
        return self._asked[0]

    def _name_outliers(self, round_: int) -> None:
        for outlier in self._rounds.outliers(round_):
            standing = {"standing": outlier.standing, "reason": outlier.evidence}
            self._report("outlier", {"site": outlier.site, "round": round_} | standing)


def _asking(round_: int, asked: frozenset[str]) -> str:
    return (
        f"round {round_}: {', '.join(sorted(asked))} are unlike each other, and no third site says which is wrong; the"
        " round waits for the coordinator: `fedfin aggregator include FOLDER SITE` with each that is right"
    )
