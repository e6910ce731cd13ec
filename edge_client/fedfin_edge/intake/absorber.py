"""From the spool to features: encode a batch, keep the features, keep the records, then drop the files.

In this order, a kill at any instant loses nothing and makes no case twice: what was encoded and not recorded is
encoded again to the same bits; what was recorded and not dropped is recorded again under the same keys. Only the
counts of what came may have that batch twice.
"""

from pathlib import Path

from fedfin.errors import BundleError, FedfinError, SettingsError, StateError
from fedfin_edge.cases.feature_store import FeatureStore
from fedfin_edge.intake.batch import Batch
from fedfin_edge.intake.encoders import Encoders
from fedfin_edge.intake.folder import IntakeFolder
from fedfin_edge.intake.intake_store import IntakeStore
from fedfin_edge.intake.released import drop_released
from fedfin_edge.intake.spool import Spool
from fedfin_edge.site import Site

BATCH = 32


class Absorber:
    """Works through a spool."""

    def __init__(
        self,
        site: Site,
        folder: IntakeFolder,
        spool: Spool,
        store: IntakeStore,
        features: FeatureStore,
        encoders: Encoders,
    ) -> None:
        self._site = site
        self._folder = folder
        self._spool = spool
        self._store = store
        self._features = features
        self._encoders = encoders

    def absorb(self) -> dict[str, int]:
        """One batch; what became of it, by kind and reason; empty when nothing waits.

        What ends the process that reads it is set aside. Raises BundleError, SettingsError and StateError when nothing
        can be encoded or kept now: then the batch is still in the spool.
        """
        with self._folder.batch():
            paths = self._spool.upcoming(BATCH)
            if not paths:
                return {}
            try:
                return self._absorb(paths)
            except (BundleError, SettingsError, StateError):
                raise
            except FedfinError:
                return self._one_by_one(paths)

    def _absorb(self, paths: list[Path]) -> dict[str, int]:
        batch = Batch()
        for path in paths:
            batch.read(path, self._folder.identity, self._folder.settings)
        batch.encode(self._encoders, self._features)
        batch.keep(self._store)
        self._spool.remove(paths)
        drop_released(self._site, self._store, self._features)
        return batch.counts

    def _one_by_one(self, paths: list[Path]) -> dict[str, int]:
        """A process has ended: find out at whose image, each in a process of its own."""
        counts: dict[str, int] = {}
        for path in paths:
            self._encoders.close()
            try:
                done = self._absorb([path])
            except (BundleError, SettingsError, StateError):
                raise
            except FedfinError:
                self._spool.set_aside(path)
                done = {"set aside": 1}
            for reason, number in done.items():
                counts[reason] = counts.get(reason, 0) + number
        self._encoders.close()
        return counts
