"""The global model from its parts as they came: opened, once the keys for them are here, and put together."""

from dataclasses import replace

from fedfin.errors import ProtocolError
from fedfin.plan import Plan
from fedfin.protocol.site.effects import Assemble
from fedfin.protocol.site.events import Assembled, Misfit
from fedfin.trust.channel import SiteEnd
from fedfin_edge.agent.global_model import GlobalModelFile


class Assembly:
    """Of one site. `waiting`: what lacks a group key."""

    def __init__(self, model: GlobalModelFile, channel: SiteEnd) -> None:
        self._model, self._channel = model, channel
        self.waiting: Assemble | None = None

    def assemble(self, wanted: Assemble, plan: Plan) -> Assembled | Misfit | None:
        """Make and keep the model. None: a group key is not here yet, which the answer to a hello brings."""
        if not self._has_keys(wanted):
            self.waiting = wanted
            return None
        self.waiting = None
        try:
            self._model.assemble(self._opened(wanted), plan)
        except ProtocolError as error:
            return Misfit(str(error))
        return Assembled(wanted.version, wanted.model)

    def _has_keys(self, wanted: Assemble) -> bool:
        snapshot = [] if wanted.snapshot is None else [wanted.snapshot]
        return all(map(self._channel.has_key, (*wanted.deltas, *snapshot)))

    def _opened(self, wanted: Assemble) -> Assemble:
        """With its parts as the aggregator made them. Raises ProtocolError."""
        first = wanted.version - len(wanted.deltas) + 1
        snapshot, checked = wanted.snapshot, wanted.checked
        if snapshot is not None:
            snapshot = self._channel.open_part("snapshot", first - 1, snapshot)
            # The digest of what was sealed is not the model's: under it the aggregator could seal each site another.
            checked &= snapshot is wanted.snapshot
        deltas = [
            self._channel.open_part("delta", version, delta)
            for version, delta in enumerate(wanted.deltas, first)
        ]
        return replace(wanted, snapshot=snapshot, deltas=tuple(deltas), checked=checked)
