"""Any case table as arrays: every input encoded once, with a site's own reader, encoders and feature store.

The features are kept in `cache` under the digests of encoder and input, so another table of the same files
encodes nothing again, and an encoding that was interrupted goes on where it stopped.
"""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.cases.leaks import twins
from benchmarks.data.cases import Cases, group
from fedfin.encoders.bundle import Manifest, read_manifest
from fedfin.errors import InputError
from fedfin.files import make_folder
from fedfin_edge.cases.encoding import encode_site
from fedfin_edge.cases.feature_store import FeatureStore
from fedfin_edge.cases.table import Case, Table, input_column, parse_table
from fedfin_edge.site import CaseColumns, ModalitySettings, Site, SiteSettings

Step = Callable[[int, int], None]
Vectors = dict[str, NDArray[np.float32]]
_LOST = ("row skipped", "input left out")


def load(table: Path, bundles: Mapping[str, Path], cache: Path, step: Step) -> Cases:
    """The table's cases; a modality is called as its column, and `bundles` has its encoder.

    A group is a patient, with all who share his findings or text word for word (benchmarks.cases.leaks).
    `step` is told the inputs done of all. Cases of which nothing can be encoded are left out. Raises InputError when
    the table has no usable case, SettingsError when it lacks a modality's column, BundleError when a bundle does not
    run, StateError when the features that are kept are damaged.
    """
    site = _site(table, bundles, cache)
    manifests = {name: read_manifest(folder) for name, folder in sorted(bundles.items())}
    inputs = {name: input_column(name, manifest) for name, manifest in manifests.items()}
    parsed = parse_table(table, site.settings.cases, inputs, settings="the study")
    _encode(site, parsed, step)
    with FeatureStore(site.features_path) as store:
        found = [_vectors(store, case, manifests) for case in parsed.cases]
    kept = [(case, vectors) for case, vectors in zip(parsed.cases, found, strict=True) if vectors]
    if not kept:
        raise InputError(f"{table}: not one case can be used; `fedfin edge encode` tells why")
    texts = [name for name, source in inputs.items() if source.kind == "text"]
    return _assemble([case for case, _ in kept], [one for _, one in kept], manifests, texts, parsed.labels)


def _site(table: Path, bundles: Mapping[str, Path], cache: Path) -> Site:
    """A site in memory only: nobody connects to its broker."""
    folder = cache / "tables"
    make_folder(folder)
    modalities = {
        name: ModalitySettings(bundle=str(path.resolve()), column=name)
        for name, path in sorted(bundles.items())
    }
    cases = CaseColumns(table=str(table.resolve()))
    settings = SiteSettings(
        site="study", federation="study", broker="mqtt://none", cases=cases, modalities=modalities
    )
    return Site(folder, settings)


def _encode(site: Site, table: Table, step: Step) -> None:
    done = dict.fromkeys(site.settings.modalities, 0)
    total = sum(len(case.inputs) for case in table.cases)

    def on_progress(modality: str, count: int, _of: int) -> None:
        done[modality] = count
        step(sum(done.values()), total)

    report = encode_site(site, progress=on_progress)
    lost = sum(problem.effect in _LOST for problem in report.problems)
    if lost:
        text = "%s: %d rows or inputs cannot be used; `fedfin edge encode` lists them"
        logging.getLogger(__name__).warning(text, site.table_path, lost)


def _vectors(store: FeatureStore, case: Case, manifests: Mapping[str, Manifest]) -> Vectors:
    """The case's features by modality; what could not be encoded is absent."""
    found: Vectors = {}
    for name, value in case.inputs.items():
        try:
            digest = store.digest(value)
        except OSError:
            continue  # counted when it was to be encoded
        vector = store.get(manifests[name].digest(), digest, manifests[name].columns)
        if vector is not None:
            found[name] = vector
    return found


def _assemble(
    cases: list[Case],
    found: list[Vectors],
    manifests: Mapping[str, Manifest],
    texts: list[str],
    labels: list[str],
) -> Cases:
    raw = {name: [str(case.inputs.get(name, "")) for case in cases] for name in texts}
    group_of = twins(
        [
            {"patient": case.patient} | {name: raw[name][row] for name in texts}
            for row, case in enumerate(cases)
        ]
    )
    blank = {name: np.zeros(manifest.columns, np.float32) for name, manifest in manifests.items()}
    return Cases(
        {name: np.stack([vectors.get(name, blank[name]) for vectors in found]) for name in manifests},
        {name: np.array([name in vectors for vectors in found], np.bool_) for name in manifests},
        np.array([[case.labels.get(label, np.nan) for label in labels] for case in cases], np.float32),
        np.array([group(group_of[case.patient]) for case in cases], np.int64),
        raw,
        tuple(labels),
    )
