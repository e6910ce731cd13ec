"""Whether this site is connected and heard; where it is not, people hear why, and what to do."""

from fedfin.errors import LinkError
from fedfin.protocol.site.states import State
from fedfin_edge.agent.silence import Silence
from fedfin_edge.site import SiteSettings

OFFLINE_S = 120.0  # a first connection that takes longer is given up; a later loss is waited out
WORD_S = 3.0  # an aggregator that is there answers sooner


class Connection:
    """Of one agent. Times: `now` monotonic, `clock` seconds since the epoch."""

    def __init__(self, settings: SiteSettings) -> None:
        self._settings = settings
        self._ever_up = self._is_up = False
        self._reason = "no answer"  # why it is not
        self._word_due: float | None = None  # when to complain that nobody has answered since it is up
        self._silence = Silence()

    def up(self, now: float, *, welcomed: bool) -> None:
        """It stands; an aggregator that has not `welcomed` this site before is to say a word."""
        self._ever_up = self._is_up = True
        self._word_due = None if welcomed else now + WORD_S

    def down(self, reason: str) -> None:
        """It does not."""
        self._is_up, self._reason = False, reason

    def heard(self, now: float, clock: float) -> None:
        """The aggregator has answered this site."""
        self._silence.heard(now, clock)

    def check(self, seconds: float) -> None:
        """Raises LinkError where the first connection takes longer than `seconds` may be."""
        if not self._ever_up and seconds > OFFLINE_S:
            raise LinkError(
                f"no connection to {self._settings.broker} within {OFFLINE_S:.0f} s: {self._reason}. Mend that, or"
                " start the broker, or correct `broker` in site.toml, and run again"
            )

    def complaint(self, state: State, now: float, clock: float, *, welcomed: bool) -> str | None:
        """What to tell people; None while nothing is to be told."""
        if not welcomed and self._word_due is not None and now >= self._word_due:
            self._word_due = None
            return (
                f"connected; no word yet from federation {self._settings.federation!r}:"
                " ask its coordinator whether the name is right and the aggregator runs"
            )
        if not self._is_up:  # that is what people hear
            self._silence.heard(now, clock)
            return None
        return self._silence.complaint(state, now, clock)
