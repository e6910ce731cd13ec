"""Encode a site's cases: each distinct input once per encoder, batch by batch, into the feature store."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from fedfin.encoders.bundle import read_manifest
from fedfin_edge.cases.counts import count_cases, keep_counts
from fedfin_edge.cases.digests import Input, Kept
from fedfin_edge.cases.feature_store import Encoded, FeatureStore
from fedfin_edge.cases.problem import Problem
from fedfin_edge.cases.table import Case, Table, read_table
from fedfin_edge.cases.worker_messages import Outcome
from fedfin_edge.cases.workers import LocalEncoder, Workers
from fedfin_edge.site import Site

# Features are committed per batch: what an interruption can lose is this many inputs' work.
BATCH = 32
# Inputs per process below which starting it, about half a second, takes longer than it spares.
INPUTS_A_PROCESS = 16

_GONE = "is gone, and has no features of this encoder: have the archive send it again"

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
    """What a run did. `usable` counts cases with features of a modality, `notes` how often each thing was noted."""

    cases: int
    problems: list[Problem]
    counts: dict[str, Count] = field(default_factory=dict)
    usable: int = 0
    notes: dict[str, int] = field(default_factory=dict)


def encode_site(site: Site, *, processes: int = 1, progress: Progress) -> Report:
    """Encode what has no features yet, in up to `processes` processes; features do not depend on how many.

    Raises InputError when the table cannot be used at all, BundleError for a bundle that does not run,
    StateError for a damaged store, FedfinError when a process was ended from outside. No usable case at all is
    for the caller to judge from the report.
    """
    table = read_table(site, progress)
    report = Report(len(table.cases), list(table.problems))
    rows: dict[str, set[int]] = {}
    with FeatureStore(site.features_path) as store:
        for name in site.settings.modalities:
            run = _ModalityRun(site, name, store, processes)
            rows[name] = run.encode(table, progress)
            report.counts[name] = run.count
            report.problems += run.problems
    report.usable = len(set().union(*rows.values()))
    keep_counts(site, count_cases(site, table.cases, rows))
    report.problems.sort(key=lambda problem: problem.row)
    report.notes = dict(Counter(problem.reason for problem in report.problems if problem.effect == "noted"))
    return report


class _ModalityRun:
    """One modality's pass over the table."""

    def __init__(self, site: Site, name: str, store: FeatureStore, processes: int) -> None:
        self.count = Count()
        self.problems: list[Problem] = []
        self._name = name
        self._column = site.settings.modalities[name].column
        self._bundle = site.bundle_path(name)
        self._encoder = read_manifest(self._bundle).digest()
        self._store = store
        self._processes = processes
        self._providers = site.providers
        self._rows: set[int] = set()
        self._asked: set[bytes] = set()
        self._twins: list[tuple[Case, bytes]] = []
        self._reason_of: dict[bytes, str] = {}

    def encode(self, table: Table, progress: Progress) -> set[int]:
        """Encode in batches; the rows that have features of this modality afterwards."""
        cases = [case for case in table.cases if self._name in case.inputs]
        self.count.inputs = len(cases)

        def step() -> None:
            progress(self._name, self.count.encoded + self.count.known + self.count.failed, len(cases))

        with self._open(len(cases)) as encoder:
            self._take(encoder.encode(self._unknown(cases, step)), step)
        for case, digest in self._twins:
            self._count_again(case, digest)
        step()
        return self._rows

    def _open(self, inputs: int) -> LocalEncoder | Workers:
        processes = min(self._processes, -(-inputs // INPUTS_A_PROCESS))
        if processes > 1:
            return Workers(self._bundle, processes, self._providers)
        return LocalEncoder(self._bundle, self._providers)

    def _unknown(
        self, cases: list[Case], step: Callable[[], None]
    ) -> Iterator[tuple[tuple[Case, bytes], Input]]:
        """The inputs that have no features yet, each content once."""
        for number, case in enumerate(cases, 1):
            if number % BATCH == 0:
                step()
            value = case.inputs[self._name]
            try:
                digest = self._store.digest(value)
            except OSError as error:
                self._fail(case, f"cannot read the file ({error.strerror})")
                continue
            if digest in self._asked:
                self._twins.append((case, digest))
            elif self._store.known(self._encoder, [digest]):
                self._count_again(case, digest)
            elif isinstance(value, Kept):
                self._fail(case, _GONE)
            else:
                self._asked.add(digest)
                yield (case, digest), value

    def _take(self, outcomes: Iterator[tuple[tuple[Case, bytes], Outcome]], step: Callable[[], None]) -> None:
        """Keep what comes, a batch at a time."""
        made: dict[bytes, Encoded] = {}
        for (case, digest), outcome in outcomes:
            if outcome.features is None:
                self._reason_of[digest] = outcome.reason
                self._fail(case, outcome.reason)
                continue
            made[digest] = Encoded(outcome.features, outcome.notes)
            self._use(case, outcome.notes)
            self.count.encoded += 1
            if len(made) == BATCH:
                self._store.add(self._encoder, made)
                made.clear()
                step()
        self._store.add(self._encoder, made)

    def _count_again(self, case: Case, digest: bytes) -> None:
        """An input whose content was met before; what failed once is not decoded again in this run."""
        if digest in self._reason_of:
            self._fail(case, self._reason_of[digest])
            return
        self.count.known += 1
        self._use(case, self._store.notes(self._encoder, digest))

    def _use(self, case: Case, notes: tuple[str, ...]) -> None:
        self._rows.add(case.row)
        self.problems += [Problem(case.row, self._column, note, "noted") for note in notes]

    def _fail(self, case: Case, reason: str) -> None:
        self.count.failed += 1
        self.problems.append(Problem(case.row, self._column, reason, "input left out"))
