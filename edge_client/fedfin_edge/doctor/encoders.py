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
            encoder = open_encoder(site.bundle_path(name), site.providers)
            yield from _encoder(probe, encoder)
            if passed_over := site.providers.passed_over(encoder.provider):
                yield _on_another(probe, passed_over, encoder.provider)
        except FedfinError as error:
            yield failed_by(probe, error)


def _on_another(probe: str, passed_over: str, used: str) -> Finding:
    """Of a GPU whose libraries do not load onnxruntime says nothing: the CPU computes, and takes its time."""
    return warn(
        f"{probe} provider",
        f"onnxruntime has {passed_over} here and could not use it: {used} computes",
        'install CUDA and cuDNN in the versions that this onnxruntime wants, or write providers = "cpu"',
    )


def _encoder(probe: str, encoder: Encoder) -> Iterator[Finding]:
    parts = golden_parts(encoder.folder, encoder.manifest.recipe)
    seconds = []
    for _ in range(RUNS):
        started = time.perf_counter()
        features = encoder.features(parts)
        seconds.append(time.perf_counter() - started)
    median = statistics.median(seconds)
    says = f"{encoder.manifest.name} {encoder.manifest.digest()[:12]}…, {median * 1000:.1f} ms an input"
    says += f" by {encoder.provider}"
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
