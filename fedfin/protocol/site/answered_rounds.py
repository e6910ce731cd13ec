"""Which rounds a site has answered: in which run and which of its lives, and which it must not answer again."""

from fedfin.protocol.life import FIRST_LIFE, Life
from fedfin.protocol.site.memory import Memory


class AnsweredRounds:
    """Of one site. `run`, `life`, `settled`, `accepted`, `barred`, `begun`: as in Memory, and from there on."""

    def __init__(self, memory: Memory) -> None:
        self.run, self.life = memory.run, memory.life
        self.settled, self.accepted, self.barred = memory.settled, memory.accepted, memory.barred
        self.begun = memory.begun
        self._made = memory.answered

    def begin_run(self, run: str) -> None:
        """Nothing of it is answered."""
        self.run, self.life = run, FIRST_LIFE
        self.settled = self.accepted = self.barred = self.begun = 0

    def begin_life(self, life: Life, barred: int) -> None:
        """Nothing of it is accepted; rounds up to `barred` stay answered."""
        self.life, self.accepted, self.begun = life, 0, 0
        self.settled = self.barred = barred

    def settle(self, round_: int, *, accepted: bool, begun: int) -> None:
        """There is a receipt. `begun`: as in Settle."""
        self.settled = max(self.settled, round_)
        if accepted:
            self.accepted = max(self.accepted, round_)
        self.begun = max(self.begun, begun)

    def bar(self, round_: int) -> None:
        """It, and those before, are not answered again."""
        self.barred, self.settled = round_, max(self.settled, round_)

    def holds(self, round_: int) -> bool:
        """Whether the round is answered, or its answer was made and may have left."""
        return round_ <= self.settled or round_ in self._made.get((self.run, self.life), ())

    def last(self, *others: int, but: int) -> int:
        """The last round of this run, in any life, or of the `others`, whose answer was made; `but` does not count."""
        made = (max(rounds) for (run, _), rounds in self._made.items() if run == self.run and rounds)
        return max((number for number in (self.settled, *others, *made) if number != but), default=0)
