"""A plan file, checked and measured."""

from pathlib import Path

from fedfin.errors import SettingsError
from fedfin.model.plan_size import check_size
from fedfin.plan import Plan
from fedfin.settings import read_toml


def read_plan(path: Path) -> Plan:
    """Read and check a plan file.

    Raises SettingsError, naming the file, the key and the remedy.
    """
    plan = read_toml(path, Plan, what="plan")
    try:
        check_size(plan)
    except ValueError as error:
        raise SettingsError(f"{path}: {error}") from None
    return plan
