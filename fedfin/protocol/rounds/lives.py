"""In which life a run's rounds go on (life.py), and whether a site has seen one that we know nothing of."""

import secrets
from collections import Counter

from fedfin import limits
from fedfin.protocol.life import Life
from fedfin.protocol.messages.joining import Hello


class Lives:
    """Of one run; `now`: the one we are in."""

    def __init__(self, run: str, life: Life) -> None:
        self._run, self.now = run, life
        self._renewals: Counter[str] = Counter()  # by the party that made us begin a new one

    def draw(self, party: str, known: Life) -> Life | None:
        """The next one after ours and the party's; None when it has made us draw as many as one may.

        A number that is further ahead than restores can be counts as one that is not: who is there says hello again.
        """
        if self._renewals[party] >= limits.LIVES:
            return None
        self._renewals[party] += 1
        ours = self.now.number
        number = max(ours, min(known.number, ours + limits.LIVES_AHEAD)) + 1
        return Life(number, secrets.token_hex(8))

    def is_behind(self, hello: Hello, round_: int, *, lost: bool) -> bool:
        """Whether the site knows of more than we do in this round. `lost`: we hold no update of it."""
        if hello.run != self._run:
            return False
        if hello.life != self.now:
            return hello.life.number >= self.now.number
        return hello.seen > round_ or (lost and hello.accepted == round_)
