"""Fix the cases that there are now, for the next run: training wants the same cases throughout."""

from fedfin.errors import InputError
from fedfin_edge.cases.feature_store import FeatureStore
from fedfin_edge.intake.case_table import write_cases
from fedfin_edge.intake.folder import open_intake
from fedfin_edge.intake.released import drop_released
from fedfin_edge.intake.summary import joined_cases
from fedfin_edge.site import Site


def freeze(site: Site) -> int:
    """Write the case table; how many cases it has. Raises SettingsError, StateError, InputError when there is none."""
    folder = open_intake(site)
    with folder.batch(), folder.open_store() as store:
        joined = joined_cases(folder, store)
        if not joined.cases:
            raise InputError(
                f"{site.intake_path}: there is no case yet; `fedfin edge intake {site.folder} --show` says what came"
            )
        write_cases(site, joined.cases)
        with FeatureStore(site.features_path, durable=True) as features:
            drop_released(site, store, features)
    return len(joined.cases)
