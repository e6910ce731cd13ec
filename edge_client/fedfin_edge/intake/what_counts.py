"""What polled sources were read by: where it changes, what was passed over may count now, so they are read again."""

import hashlib
from dataclasses import dataclass

import msgspec

from fedfin.encoders.bundle import read_manifest
from fedfin_edge.intake_settings import CodedLabel, IntakeSettings
from fedfin_edge.site import Site


@dataclass(frozen=True)
class WhatCounts:
    """digest: of the settings that say what counts and as what, and of the encoders; codes: of each label."""

    digest: str
    codes: dict[str, frozenset[str]]


def what_counts(site: Site, settings: IntakeSettings) -> WhatCounts:
    """Raises BundleError."""
    modalities = {rule.modality for rule in settings.take} | (
        {settings.reports} if settings.reports else set()
    )
    encoders = {name: read_manifest(site.bundle_path(name)).digest() for name in modalities}
    server = settings.fhir and settings.fhir.url
    parts = (settings.take, settings.reports, settings.oru, settings.resources, server, encoders)
    digest = hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()
    return WhatCounts(digest, _codes(settings.resources.labels))


def _codes(labels: tuple[CodedLabel, ...]) -> dict[str, frozenset[str]]:
    return {
        each.label: frozenset(
            f"{other.resource} {other.code}" for other in labels if other.label == each.label
        )
        for each in labels
    }
