"""Encode a site's cases: each distinct input once per encoder, batch by batch, into the feature store."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from fedfin.encoders.bundle import Manifest, read_manifest
from fedfin.errors import InputError
from fedfin_edge.cases.digests import Input
from fedfin_edge.cases.feature_store import FeatureStore
from fedfin_edge.cases.problem import Problem
from fedfin_edge.cases.table import Case, Table, read_table
from fedfin_edge.site import Site

# Features are committed per batch: what an interruption can lose is this many inputs' work.
BATCH = 32

# (modality, inputs done, inputs in all)
Progress = Callable[[str, int, int], None]


@dataclass
class Count:
    """One modality: inputs = encoded + known (from before, or the same content again) + failed."""

    inputs: int = 0
    encoded: int = 0
    known: int = 0
    failed: int = 0


@dataclass
class Report:
    """What a run did. `usable` counts cases with features of at least one modality."""

    cases: int
    problems: list[Problem]
    counts: dict[str, Count] = field(default_factory=dict)
    usable: int = 0


def encode_site(site: Site, *, threads: int = 1, progress: Progress) -> Report:
    """Encode what has no features yet.

    Raises InputError when the table cannot be used at all, BundleError for a bundle that does not run,
    StateError for a damaged store. No usable case at all is for the caller to judge from the report.
    """
    table = read_table(site, progress)
    report = Report(len(table.cases), list(table.problems))
    usable: set[int] = set()
    with FeatureStore(site.features_path) as store:
        for name in site.settings.modalities:
            run = _ModalityRun(site, name, store, threads)
            usable |= run.encode(table, progress)
            report.counts[name] = run.count
            report.problems += run.problems
    report.usable = len(usable)
    report.problems.sort(key=lambda problem: problem.row)
    return report


class _ModalityRun:
    """One modality's pass over the table."""

    def __init__(self, site: Site, name: str, store: FeatureStore, threads: int) -> None:
        self.count = Count()
        self.problems: list[Problem] = []
        self._name = name
        self._column = site.settings.modalities[name].column
        self._bundle = site.bundle_path(name)
        self._manifest: Manifest = read_manifest(self._bundle)
        self._store = store
        self._threads = threads
        self._encode_one: Callable[[Input], NDArray[np.float32]] | None = None
        self._reason_of: dict[bytes, str] = {}

    def encode(self, table: Table, progress: Progress) -> set[int]:
        """Encode in batches; the rows that have features of this modality afterwards."""
        cases = [case for case in table.cases if self._name in case.inputs]
        self.count.inputs = len(cases)
        rows: set[int] = set()
        todo = iter(cases)
        while batch := list(islice(todo, BATCH)):
            rows |= self._encode_batch(batch)
            progress(self._name, self.count.encoded + self.count.known + self.count.failed, len(cases))
        return rows

    def _encode_batch(self, batch: list[Case]) -> set[int]:
        digests = self._digest(batch)
        encoder = self._manifest.digest()
        known = self._store.known(encoder, digests.values())
        made: dict[bytes, NDArray[np.float32]] = {}
        rows: set[int] = set()
        for case in (case for case in batch if case.row in digests):
            digest = digests[case.row]
            if digest in known or digest in made:
                self.count.known += 1
            elif not self._try(case, digest, made):
                continue
            rows.add(case.row)
        self._store.add(encoder, made)
        return rows

    def _digest(self, batch: list[Case]) -> dict[int, bytes]:
        digests: dict[int, bytes] = {}
        for case in batch:
            try:
                digests[case.row] = self._store.digest(case.inputs[self._name])
            except OSError as error:
                self._fail(case, f"cannot read the file ({error.strerror})")
        return digests

    def _try(self, case: Case, digest: bytes, made: dict[bytes, NDArray[np.float32]]) -> bool:
        """Encode one input into `made`; what failed once is not decoded again in this run."""
        if digest not in self._reason_of:
            try:
                made[digest] = self._encode(case.inputs[self._name])
            except InputError as error:
                self._reason_of[digest] = str(error)
            else:
                self.count.encoded += 1
                return True
        self._fail(case, self._reason_of[digest])
        return False

    def _encode(self, value: Input) -> NDArray[np.float32]:
        if self._encode_one is None:
            # Here, so that a run with nothing to encode loads no onnxruntime.
            from fedfin_edge.cases.encoder import open_encoder

            encoder = open_encoder(self._bundle, threads=self._threads)
            self._encode_one = lambda one: encoder.encode([one])[0]
        return self._encode_one(value)

    def _fail(self, case: Case, reason: str) -> None:
        self.count.failed += 1
        self.problems.append(Problem(case.row, self._column, reason, "input left out"))
