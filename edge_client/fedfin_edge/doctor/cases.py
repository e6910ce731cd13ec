"""The case table and what was made of it: there, and enough."""

from collections.abc import Iterator

from fedfin.broker.check.finding import Finding, fail, failed_by, passed, warn
from fedfin.errors import StateError
from fedfin_edge.cases.counts import kept_counts
from fedfin_edge.cases.feature_store import FeatureStore
from fedfin_edge.site import Site


def cases(site: Site) -> Iterator[Finding]:
    """Nothing is read of the table itself: `encode` lists what is wrong in it."""
    encode = f"fedfin edge encode {site.folder}"
    if not site.table_path.is_file():
        yield _no_table(site, encode)
        return
    if not site.features_path.is_file():
        yield fail("cases", "no case is encoded yet", encode)
        return
    try:
        with FeatureStore(site.features_path):
            pass
    except StateError as error:
        yield failed_by("cases", error)
        return
    yield _counted(site, encode)


def _no_table(site: Site, encode: str) -> Finding:
    """With an intake nobody writes it: `encode` does, of what was taken."""
    if site.settings.intake is None:
        remedy = "correct `cases.table` in site.toml"
        return fail("cases", f"{site.table_path}: there is no such table", remedy)
    remedy = f"let `fedfin edge intake {site.folder}` take cases, then {encode}"
    return fail("cases", "no case of the intake is encoded yet", remedy)


def _counted(site: Site, encode: str) -> Finding:
    counts, least = kept_counts(site), site.settings.policy.least_patients
    if counts is None:
        return warn("cases", "encoded by an older version, and not counted", encode)
    if counts.least_patients != least:
        return warn("cases", "counted before policy.least_patients was changed", encode)
    if counts.cases is None:
        says = f"features of fewer than {least} patients: this site sends nothing"
        return fail("cases", says, f"add cases, and {encode}")
    return passed("cases", f"{counts.cases:,} have features, since {counts.time}")
