"""The attempts at the sum of one round: how long each may take, when there is no next one, and who is left out of it.

Each phase has twice the time of the attempt before, 64 times the plan's deadline at most: sites that are slow get
there, those that are gone cost no years. The seventh has so much. Three more may have ended as sites were started again
meanwhile, which takes no deadline; after these one more would meet what they have met, and the round closes without a
sum. Where the run needs the sum there is always a next one, and people hear that.
"""

from collections.abc import Iterable

from fedfin.model.model_spec import Task

GIVEN_UP = "one attempt at this sum after the other was given up; none was made"
NEEDED = frozenset({"moments", "second_moments"})  # without these sums there is no model
MOST_ATTEMPTS = 10
_MOST_DOUBLINGS = 6


class Attempts:
    """Of one round, whose task this is. `given_up`: how many."""

    def __init__(self, task: Task) -> None:
        self._needed = task in NEEDED
        self.given_up = 0
        self._left_out: set[str] = set()

    @property
    def patience(self) -> int:
        """How many times its deadline a phase of the next one has."""
        return 1 << min(self.given_up, _MOST_DOUBLINGS)

    @property
    def over(self) -> bool:
        """Whether there is no next one."""
        return self.given_up >= MOST_ATTEMPTS and not self._needed

    @property
    def goes_on(self) -> bool:
        """Whether there is one only as the run needs the sum."""
        return self.given_up >= MOST_ATTEMPTS and self._needed

    def leave_out(self, sites: Iterable[str]) -> list[str]:
        """What these deal is of no use. Those of them that were not left out before."""
        new = [site for site in sites if site not in self._left_out]
        self._left_out.update(new)
        return new

    def leaves_out(self, site: str) -> bool:
        """Whether the next one is without it."""
        return site in self._left_out

    def let_all_in(self) -> None:
        """Too few are left without them, and they may have been mended."""
        self._left_out.clear()
