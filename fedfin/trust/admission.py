"""What the coordinator sends a site that is admitted: all that it needs to take part, signed as a whole."""

from pathlib import Path
from typing import Literal

import msgspec

from fedfin.errors import SettingsError
from fedfin.names import Name
from fedfin.plan import Plan
from fedfin.trust import signed_text
from fedfin.trust.charter import Charter, read_charter
from fedfin.trust.identity import public_key

DOMAIN = "fedfin admission 1"
WHAT = "an admission"


class Admission(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`charter`: signed text; `broker`: its URL; `ca`, `certificate`: PEM, where the broker's operator gave them."""

    format: Literal["fedfin admission 1"] = "fedfin admission 1"
    site: Name
    plan: Plan
    charter: str
    broker: str = ""
    ca: str = ""
    certificate: str = ""


def read_admission(path: Path) -> tuple[Admission, Charter]:
    """An admission and its charter, both signed by the coordinator whom it names. Raises SettingsError."""
    text = signed_text.read_text(path, WHAT)
    admission = signed_text.parse(text, Admission, str(path))
    charter = read_charter(admission.charter, str(path))
    signed_text.verify(text, DOMAIN, public_key(charter.coordinator), str(path))
    if admission.plan.digest() != charter.plan:
        raise SettingsError(f"{path}: its plan is not the charter's; ask the coordinator for it again")
    return admission, charter
