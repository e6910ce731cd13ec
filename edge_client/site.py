"""A site's folder: `site.toml`, the feature store, and the agent's durable state.

    site.toml         typed, closed settings (SiteSettings)
    features.sqlite   what the encoders made of the cases; safe to delete, `fedfin edge encode` makes it again
    state/            what the agent must remember across a restart

Relative paths in site.toml start at the folder that holds it, so that a site can be moved as a whole.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from fedfin.errors import SettingsError
from fedfin.plan import Name
from fedfin.settings import pattern, read_toml

SETTINGS = "site.toml"
FEATURES = "features.sqlite"
STATE = "state"

Broker = Annotated[str, pattern(r"^mqtt://[^\s/]+$", "a URL like mqtt://broker.example:1883")]
HeldOut = Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)]
Text = Annotated[str, msgspec.Meta(min_length=1)]


class _Closed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Immutable, and an unknown key is an error."""


class CaseColumns(_Closed, frozen=True):
    """Where the case table is and what its columns are called.

    The case, patient and split columns may be absent from the table. `labels` empty: every column that is
    nothing else is a label.
    """

    table: Text
    case: Text = "case"
    patient: Text = "patient"
    split: Text = "split"
    labels: tuple[str, ...] = ()


class ModalitySettings(_Closed, frozen=True):
    """One modality of this site: its encoder bundle and the table's column that holds its inputs."""

    bundle: Text
    column: Text


class SiteSettings(_Closed, frozen=True):
    """What site.toml holds. `held_out` is the share of patients never trained on, kept for evaluation."""

    site: Name
    federation: Name
    broker: Broker
    cases: CaseColumns
    modalities: Annotated[dict[Name, ModalitySettings], msgspec.Meta(min_length=1)]
    held_out: HeldOut = 0.2

    def __post_init__(self) -> None:
        """Refuse one column in two roles: its cells would be read twice with different meanings."""
        cases = self.cases
        roles = [cases.case, cases.patient, cases.split, *cases.labels]
        roles += [modality.column for modality in self.modalities.values()]
        twice = sorted({name for name in roles if roles.count(name) > 1})
        if twice:
            raise ValueError(f"column {twice[0]!r} is named for two purposes; give each its own")


@dataclass(frozen=True)
class Site:
    """An opened site folder."""

    folder: Path
    settings: SiteSettings

    @property
    def features_path(self) -> Path:
        """The feature store."""
        return self.folder / FEATURES

    @property
    def state_path(self) -> Path:
        """The agent's durable state."""
        return self.folder / STATE

    @property
    def table_path(self) -> Path:
        """The case table."""
        return self.folder / self.settings.cases.table

    def bundle_path(self, modality: str) -> Path:
        """The encoder bundle of a modality. Raises SettingsError when the site has no such modality."""
        try:
            return self.folder / self.settings.modalities[modality].bundle
        except KeyError:
            raise SettingsError(
                f"{self.folder / SETTINGS}: there is no modality {modality!r};"
                f" add a [modalities.{modality}] section"
            ) from None


def open_site(folder: Path) -> Site:
    """Open a site folder.

    Raises SettingsError when it is none, or when its settings are wrong.
    """
    if not (folder / SETTINGS).is_file():
        raise SettingsError(
            f"{folder} is no site folder: it has no {SETTINGS}; make one with `fedfin edge init`"
        )
    return Site(folder, read_toml(folder / SETTINGS, SiteSettings, what="site settings"))
