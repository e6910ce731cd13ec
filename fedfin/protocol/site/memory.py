"""What a site remembers from before a restart."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fedfin.protocol.life import FIRST_LIFE, Life


@dataclass(frozen=True)
class Memory:
    """Of one site. `run`, `life`: where it stood; whatever is empty or None is not there.

    `settled`: the last round that has a receipt there; `accepted`: that has one that says so; `barred`: rounds up to
    this one are not answered again; `begun`: the last round of which a receipt there told that it had; `model`,
    `version`: id and version of the kept global model; `offer`: round and payload of an update without a receipt;
    `offer_model`: the id of the version that it was made from; `answered`: by run and life, the rounds whose answers
    were made, and may have left, whatever else was forgotten.
    """

    run: str = ""
    settled: int = 0
    model: bytes = b""
    version: int | None = None
    offer: tuple[int, bytes] | None = None
    answered: Mapping[tuple[str, Life], frozenset[int]] = field(default_factory=dict)
    life: Life = FIRST_LIFE
    accepted: int = 0
    barred: int = 0
    begun: int = 0
    offer_model: bytes = b""
