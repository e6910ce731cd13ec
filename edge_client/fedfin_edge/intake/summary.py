"""What an intake has: cases by modality and label, what became of all that came, what waits."""

import json
from collections import Counter
from dataclasses import asdict, dataclass

from fedfin_edge.intake.folder import IntakeFolder
from fedfin_edge.intake.intake_store import IntakeStore
from fedfin_edge.intake.join import Joined, join
from fedfin_edge.intake.spool import queue_of
from fedfin_edge.site import Site


@dataclass(frozen=True)
class Summary:
    """cases: by the modalities they have; labels: by name and value; came: by kind and reason.

    labels_without_case: accession numbers or studies with labels, of which there is no case.
    refusing: why nothing is accepted now, "" while there is room.
    """

    cases: dict[str, int]
    patients: int
    labels: dict[str, int]
    reports_of_other_patients: int
    images_of_other_patients: int
    cases_without_patient: int
    labels_without_case: int
    came: dict[str, int]
    waiting: int
    aside: int
    refusing: str


def joined_cases(folder: IntakeFolder, store: IntakeStore) -> Joined:
    """The cases that there are now."""
    return join(store.images(), store.reports(), store.labels(), reports_as=folder.settings.reports)


def summarize(site: Site, folder: IntakeFolder) -> Summary:
    """Raises StateError."""
    with folder.open_store() as store:
        joined, counts = joined_cases(folder, store), store.counts()
    cases = joined.cases.values()
    queue = queue_of(folder.spool_path)
    return Summary(
        cases=dict(Counter("+".join(sorted(case.inputs)) for case in cases)),
        patients=len({case.patient for case in cases}),
        labels=dict(
            Counter(
                f"{name}={case.labels[name]:.0f}"
                for case in cases
                for name in site.labels
                if name in case.labels
            )
        ),
        reports_of_other_patients=joined.other_patient,
        images_of_other_patients=joined.images_of_other,
        cases_without_patient=joined.without_patient,
        labels_without_case=joined.labels_without_case,
        came=counts,
        waiting=queue.waiting,
        aside=queue.aside,
        refusing=folder.refusal(),
    )


def print_summary(summary: Summary, *, as_json: bool) -> None:
    """On standard output."""
    if as_json:
        print(json.dumps(asdict(summary)))
        return
    print(f"{sum(summary.cases.values())} cases of {summary.patients} patients")
    for title, counts in (("cases", summary.cases), ("labels", summary.labels), ("came", summary.came)):
        for name, number in sorted(counts.items()):
            print(f"{title}: {name}: {number}")
    print(
        f"reports left out, since they name another patient than the image: {summary.reports_of_other_patients}"
    )
    print(
        "images left out, since they name another patient than the first of their case:"
        f" {summary.images_of_other_patients}"
    )
    print(f"cases left out, since nothing says whose they are: {summary.cases_without_patient}")
    print(f"accession numbers with labels of which there is no case: {summary.labels_without_case}")
    print(f"waiting: {summary.waiting}; set aside: {summary.aside}")
    if summary.refusing:
        print(f"nothing is accepted now: {summary.refusing} (intake.most_queued, intake.least_free_mb)")
