"""Each encoder bundle at work: whole, loaded, quick, and of the same features as where it was exported."""

import statistics
import time
from collections.abc import Iterator

from fedfin.broker.check.finding import Finding, fail, failed_by, not_reached, passed, warn
from fedfin.encoders.golden import LEAST_COSINE, cosine, golden_parts, read_golden
from fedfin.errors import FedfinError
from fedfin_edge.cases.encoder import Encoder, open_encoder
from fedfin_edge.site import Site

RUNS = 5
SLOW_S = 2.0  # an input: a thousand take half an hour


def encoders(site: Site) -> Iterator[Finding]:
    """Of each modality."""
    for name in site.settings.modalities:
        probe = f"encoder {name}"
        try:
            yield from _encoder(probe, open_encoder(site.bundle_path(name), site.providers))
        except FedfinError as error:
            yield failed_by(probe, error)


def _encoder(probe: str, encoder: Encoder) -> Iterator[Finding]:
    parts = golden_parts(encoder.folder, encoder.manifest.recipe)
    seconds = []
    for _ in range(RUNS):
        started = time.perf_counter()
        features = encoder.features(parts)
        seconds.append(time.perf_counter() - started)
    median = statistics.median(seconds)
    says = f"{encoder.manifest.name} {encoder.manifest.digest()[:12]}…, {median * 1000:.1f} ms an input"
    if median > SLOW_S:
        yield warn(probe, says, "encoding will take long: see what else works here, and the power mode")
    else:
        yield passed(probe, says)
    known = read_golden(encoder.folder)
    if known is None:
        yield not_reached(f"{probe} parity", "the bundle was exported without features to compare with")
        return
    likeness = cosine(known, features)
    says = f"cosine {likeness:.5f} to the features that were exported with it"
    if likeness < LEAST_COSINE:
        remedy = "this processor or this onnxruntime computes otherwise: update onnxruntime, or ask the coordinator"
        yield fail(f"{probe} parity", says, remedy)
    else:
        yield passed(f"{probe} parity", says)
