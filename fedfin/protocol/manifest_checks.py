"""What a manifest must say of a round that a plan has: its number, its task, its version, and where it ends.

Without keys nobody can tell a forged manifest from a true one; but one that no aggregator of this plan can have made is
nothing to remember, and one that skips rounds is believed only when it is told again.
"""

from fedfin.plan import Plan
from fedfin.protocol.messages.manifest import RoundManifest
from fedfin.protocol.schedule import last_round, task_of


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


class Succession:
    """Which manifests follow each other. Rounds advance by one, unless a site was away for some of them."""

    def __init__(self) -> None:
        self._doubted = 0  # the round of a manifest that skipped some, and was not told again yet

    def believes(self, manifest: RoundManifest, known: int) -> bool:
        """Whether this one can be followed, after round `known`; one that skips rounds must be told twice.

        The aggregator repeats its own whenever it is asked; on a healthy link that takes one question.
        """
        again = self._doubted and manifest.round in {self._doubted, self._doubted + 1}
        believed = manifest.round <= known + 1 or bool(again)
        self._doubted = 0 if believed else manifest.round
        return believed
