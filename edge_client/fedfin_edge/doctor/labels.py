"""The table of labels that [intake.labels] names: whether the intake can read it, and finds its columns there."""

from fedfin.broker.check.finding import Finding, fail, failed_by, passed, warn
from fedfin.errors import InputError, SettingsError
from fedfin_edge.intake.label_table import read_label_rows
from fedfin_edge.intake_settings import LabelTable
from fedfin_edge.site import Site

_PROBE = "labels"


def labels(site: Site, settings: LabelTable) -> Finding:
    """As the intake reads it."""
    path = site.folder / settings.table
    if not path.is_file():
        return fail(_PROBE, f"{path}: there is no such table", "correct intake.labels.table, or put it there")
    try:
        rows = read_label_rows(path, [settings.accession, *site.labels])
    except (InputError, SettingsError) as error:
        return failed_by(_PROBE, error)
    if skipped := [problem for problem in rows.problems if problem.effect == "row skipped"]:
        first = f"row {skipped[0].row} {skipped[0].reason}"
        return warn(_PROBE, f"{path}: rows that are left out: {len(skipped)}; {first}", "mend these rows")
    return passed(_PROBE, f"{path} has the columns that site.toml names")
