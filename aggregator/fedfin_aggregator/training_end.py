"""How training ended, from the journal: early or not, and which version went on."""

from dataclasses import dataclass

from fedfin.protocol.convergence import pooled_loss
from fedfin_aggregator.rounds.update_checks import BEST
from fedfin_aggregator.store.journal import Journal, RoundRow


@dataclass(frozen=True)
class TrainingEnd:
    """rounds: of training, as many as there were; at_most: the plan's.

    best_version: of the least loss on validation cases, best_loss: that; went_on_as: its number after training. None:
    nothing came after the best one, and the version that the last round made is the final one. without_sum: which of
    the rounds changed nothing, since they closed without a secure sum.
    """

    rounds: int
    at_most: int
    best_version: int | None
    best_loss: float | None
    went_on_as: int | None
    without_sum: tuple[int, ...] = ()

    @property
    def converged(self) -> bool:
        """Whether it ended before the plan's last round."""
        return self.rounds < self.at_most

    def __str__(self) -> str:
        return self._outcome + "".join(
            f"; round {round_} closed without a sum" for round_ in self.without_sum
        )

    @property
    def _outcome(self) -> str:
        if self.best_version is None:
            summed = self.at_most - len(self.without_sum)
            took = f"{summed} of" if self.without_sum else "all"
            return f"training took {took} {self.at_most} rounds, and the last version went on"
        ended = "stopped improving and ended" if self.converged else "ended"
        loss = "" if self.best_loss is None else f" (loss {self.best_loss:.4f})"
        return (
            f"training {ended} after {self.rounds} of at most {self.at_most} rounds; version {self.best_version} was"
            f" the best on validation cases{loss} and went on as version {self.went_on_as}"
        )


def training_end(journal: Journal) -> TrainingEnd | None:
    """None: training goes on, or the plan does not look at validation cases."""
    rows, plan = journal.rounds(), journal.plan
    trained = [row for row in rows if row.task == "train"]
    if not trained or rows[-1].task == "train" or not plan.rounds.stops_after:
        return None
    count, at_most = len(trained), plan.rounds.count
    without_sum = tuple(row.round for row in trained if not row.results.get("sites"))
    best = trained[-1].results.get(BEST)
    if best is None:
        return TrainingEnd(count, at_most, None, None, None, without_sum)
    after = next(row for row in rows if row.round > trained[-1].round)
    return TrainingEnd(count, at_most, int(best), _loss(trained, int(best)), after.version, without_sum)


def _loss(trained: list[RoundRow], version: int) -> float | None:
    """On validation cases, as the round measured it that started from this version."""
    return next((pooled_loss(row.results) for row in trained if row.version == version), None)
