"""What a manifest must say of a round that a plan has: its number, its task, its version, and where it ends.

Without keys nobody can tell a forged manifest from a true one; but one that no aggregator of this plan can have made is
nothing to remember, and one that skips rounds is believed only when it is told again.
"""

from enum import Enum

from fedfin.model.model_spec import model_shapes
from fedfin.plan import Plan
from fedfin.protocol.life import Life
from fedfin.protocol.messages.manifest import RoundManifest
from fedfin.protocol.padding import most_sealed_bytes
from fedfin.protocol.payloads import most_model_bytes
from fedfin.protocol.schedule import last_round, task_of


class Place(Enum):
    """Where a manifest stands beside the one that a site follows."""

    NEWER = "newer"  # it runs
    KNOWN = "known"  # told again, or late
    OUTDATED = (
        "outdated"  # of a life or round before what the site has seen: its aggregator must hear of that
    )
    REWOUND = "rewound"  # of a newer life
    DOUBTED = "doubted"  # it skips rounds, and was not told again yet


def objection(plan: Plan, manifest: RoundManifest) -> str | None:
    """Why no aggregator of this plan can have made the manifest; None if one can."""
    round_, last = manifest.round, last_round(plan)
    if not 1 <= round_ <= last:
        return f"a manifest is of round {round_}; the plan has rounds 1 to {last}"
    if manifest.task != (task := task_of(plan, round_)):
        return f"a manifest asks for {manifest.task} in round {round_}, which is for {task}"
    if manifest.version != round_ - 1:
        return f"a manifest starts round {round_} from version {manifest.version}, not from {round_ - 1}"
    if manifest.state == "finished" and round_ != last:
        return f"a manifest says finished in round {round_}; the plan's last is {last}"
    return None


def too_large(plan: Plan, manifest: RoundManifest) -> str | None:
    """Why its model cannot be the plan's; None if it can. Asked before anything is allocated.

    The deltas are no larger together.
    """
    size, most = manifest.snapshot.outline.size, most_sealed_bytes(most_model_bytes(model_shapes(plan)))
    return f"the model that it announces has {size} bytes, the plan's at most {most}" if size > most else None


class Succession:
    """Which manifests follow each other. Rounds advance by one, unless a site was away for some of them."""

    def __init__(self) -> None:
        self._doubted = 0  # the round of a manifest that skipped some, and was not told again yet

    def judge(self, manifest: RoundManifest, known: RoundManifest | None, life: Life) -> Place:
        """Where this one stands for a site that follows `known` (None: none yet) in `life`."""
        if manifest.life != life:
            return Place.OUTDATED if manifest.life.number <= life.number else Place.REWOUND
        if known is None:
            return Place.NEWER
        if _age(manifest) <= _age(known):
            return Place.OUTDATED if manifest.round < known.round else Place.KNOWN
        return Place.NEWER if self._believes(manifest, known.round) else Place.DOUBTED

    def _believes(self, manifest: RoundManifest, known: int) -> bool:
        """Whether this one can be followed, after round `known`; one that skips rounds must be told twice.

        The aggregator repeats its own whenever it is asked; on a healthy link that takes one question.
        """
        again = self._doubted and manifest.round in {self._doubted, self._doubted + 1}
        believed = manifest.round <= known + 1 or bool(again)
        self._doubted = 0 if believed else manifest.round
        return believed


def _age(manifest: RoundManifest) -> tuple[int, bool, int]:
    """Later rounds are newer; so is the same round when it asks more sites than before."""
    return manifest.round, manifest.state == "finished", manifest.threshold
