"""What goes wrong in one schedule."""

import random
from dataclasses import dataclass


class CrashError(BaseException):
    """SIGKILL: no `except Exception` sees it."""


@dataclass(frozen=True)
class Faults:
    """Chances: `drop`, `repeat` per message; `cut` per arrival; `crash` per durable write or publish.

    `broker`: that the broker dies, per message it gets; `persistent`: it then keeps what it last saved, else nothing;
    `ordered`: links keep the order of messages, as TCP does; `delay`: seconds a message may take; `budget`: cuts and
    crashes in one schedule, so that calm returns.
    """

    drop: float = 0.0
    repeat: float = 0.0
    cut: float = 0.0
    crash: float = 0.0
    broker: float = 0.0
    persistent: bool = True
    ordered: bool = True
    delay: float = 0.01
    budget: int = 12

    @classmethod
    def draw(cls, rng: random.Random) -> "Faults":
        """A bad day, of any kind."""
        return cls(
            drop=rng.choice([0.0, 0.05, 0.3]),
            repeat=rng.choice([0.0, 0.1, 0.5]),
            cut=rng.choice([0.0, 0.02]),
            crash=rng.choice([0.0, 0.005, 0.02]),
            broker=rng.choice([0.0, 0.0, 0.01]),
            persistent=rng.random() < 0.5,
            ordered=rng.random() < 0.5,
            delay=rng.choice([0.01, 1.0, 20.0]),
        )
