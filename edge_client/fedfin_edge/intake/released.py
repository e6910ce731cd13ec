"""Features that no image, report or fixed case makes use of any more: out of the feature store."""

from fedfin_edge.cases.digests import digest_input
from fedfin_edge.cases.feature_store import FeatureStore
from fedfin_edge.intake.case_table import kept_in
from fedfin_edge.intake.intake_store import IntakeStore
from fedfin_edge.site import Site


def drop_released(site: Site, store: IntakeStore, features: FeatureStore) -> None:
    """A kill between the two steps leaves what is to be done again to the same effect. Raises StateError."""
    if (released := store.released()) and (released := released - kept_in(site)):
        features.remove(map(digest_input, released))
        store.drop_released(released)
