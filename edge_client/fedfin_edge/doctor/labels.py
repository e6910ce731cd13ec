"""The table of labels that [intake.labels] names: whether the intake can read it, and finds its columns there."""

from fedfin.broker.check.finding import Finding, fail, failed_by, passed
from fedfin.errors import InputError
from fedfin_edge.cases.read_rows import read_rows
from fedfin_edge.intake_settings import LabelTable
from fedfin_edge.site import Site

_PROBE = "labels"


def labels(site: Site, settings: LabelTable) -> Finding:
    """Its columns are not listed: a table without a header has a patient's cells in its first line."""
    path = site.folder / settings.table
    if not path.is_file():
        return fail(_PROBE, f"{path}: there is no such table", "correct intake.labels.table, or put it there")
    try:
        columns = read_rows(path).columns
    except InputError as error:
        return failed_by(_PROBE, error)
    except ModuleNotFoundError as error:
        return fail(_PROBE, f"{path}: {error.name} is not installed", "pip install 'fedfin[tables]'")
    if missing := [name for name in (settings.accession, *site.labels) if name not in columns]:
        remedy = "correct intake.labels.accession or cases.labels in site.toml, or the table's first line"
        return fail(_PROBE, f"{path}: has no column {', '.join(map(repr, missing))}", remedy)
    return passed(_PROBE, f"{path} has the columns that site.toml names")
