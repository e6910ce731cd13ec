"""A site's folder: `site.toml`, the feature store, and the agent's durable state.

    site.toml         typed, closed settings (SiteSettings)
    features.sqlite   what the encoders made of the cases; safe to delete, `fedfin edge encode` makes it again
    engines/          what TensorRT made of the encoders; safe to delete
    answers.jsonl     what this site has answered, so that it never answers twice; never delete it
    approvals.jsonl   the plans that a person has approved (`fedfin edge approve`)
    counts.json       how many cases there are, as `fedfin edge status` shows them
    state/            what the agent must remember across a restart
    trust/            the site's keys, the charter that its people accepted, the audit log
    intake/           where `fedfin edge intake` is at work: its key, its spool, what it has taken

Relative paths in site.toml start at the folder that holds it, so that a site can be moved as a whole.
"""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from fedfin import limits
from fedfin.errors import SettingsError
from fedfin.folders import warn_if_open
from fedfin.link.login import Login
from fedfin.link.proxy import ProxyChoice, choose
from fedfin.link.tls import Tls
from fedfin.model.model_spec import TASKS, Task
from fedfin.names import Digest, Name
from fedfin.privacy.ledger import LEDGER
from fedfin.settings import pattern, read_toml
from fedfin.trust.accepted import TRUST, admitted_tls
from fedfin_edge.intake_settings import IntakeSettings
from fedfin_edge.providers import Choice, Providers

SETTINGS = "site.toml"
FEATURES = "features.sqlite"
STATE = "state"
ANSWERS = "answers.jsonl"
APPROVALS = "approvals.jsonl"
COUNTS = "counts.json"
INTAKE = "intake"
INTAKE_TABLE = f"{INTAKE}/cases.jsonl"  # the case table of a site with an intake
ENGINES = "engines"

Broker = Annotated[str, pattern(r"^(mqtts?://[^\s/]+|wss?://\S+)$", "a URL like mqtts://broker.example:8883")]
HeldOut = Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)]
Text = Annotated[str, msgspec.Meta(min_length=1)]
Most = Annotated[int, msgspec.Meta(ge=0)]
Least = Annotated[int, msgspec.Meta(ge=1)]


class _Closed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Immutable, and an unknown key is an error."""


class CaseColumns(_Closed, frozen=True):
    """Where the case table is and what its columns are called.

    The case, patient and split columns may be absent from the table. `labels`: those that this site answers for, and
    no others; None, where a table is read for no site: every column that is nothing else.
    """

    table: Text
    case: Text = "case"
    patient: Text = "patient"
    split: Text = "split"
    labels: tuple[str, ...] | None = None


class ModalitySettings(_Closed, frozen=True):
    """One modality of this site: its encoder bundle and the table's column that holds its inputs."""

    bundle: Text
    column: Text


class TlsFiles(_Closed, frozen=True):
    """PEM files for mqtts://; see fedfin.link.tls.Tls."""

    ca: Text | None = None
    certificate: Text | None = None
    key: Text | None = None


class LoginSettings(_Closed, frozen=True):
    """User name at the broker; without a file the password is in an environment variable (fedfin.link.login)."""

    user: Text
    password_file: Text | None = None


class ProxySettings(_Closed, frozen=True):
    """An HTTP proxy on the way to the broker; `url` "none": go straight (fedfin.link.proxy)."""

    url: Text
    user: Text | None = None
    password_file: Text | None = None


class Policy(_Closed, frozen=True):
    """What a plan may ask of this site. `plan`: the digest of the one that people approved.

    `least_patients`: what fewer of them tell together does not leave by itself (cases/floor.py). `least_sites`: of how
    many sites is whatever anybody sees of this one's; at "open" that is one. `tasks`: what a round may ask; `until`:
    the last day, UTC, on which anything leaves. `approve`: whether a person must approve a plan by its digest
    (agent/approvals.py). It is not the default, because a plan is read before that: with keys a site answers the one
    plan that a person has read and accepted (`fedfin edge accept`), and without keys data may be public.

    `rare_answers`: whether in secure sums evaluation and calibration hold labels of which fewer than `least_patients`
    have one of the two answers: other sites' cases hide them, if they have some.

    `unlike_others`: whether it takes part though its features are unlike the pooled ones (agent/pool_checks.py). The
    defaults of what is bounded are far above what the plan's own defaults ask for: 24 rounds of 1 epoch, 1180 random
    features.
    """

    plan: Digest | None = None
    approve: bool = False
    until: dt.date | None = None
    tasks: tuple[Task, ...] = TASKS
    least_sites: Least = 1
    most_rounds: Most = 2_000
    most_epochs: Most = 50
    most_megabytes: Most = 500
    most_basis: Most = 4_096
    least_patients: Least = limits.LEAST_PATIENTS
    unlike_others: bool = False
    rare_answers: bool = True


class SiteSettings(_Closed, frozen=True):
    """What site.toml holds. `held_out`: the share of patients never trained on, kept for evaluation."""

    site: Name
    federation: Name
    broker: Broker
    cases: CaseColumns
    modalities: Annotated[dict[Name, ModalitySettings], msgspec.Meta(min_length=1)]
    held_out: HeldOut = 0.2
    providers: Choice = "auto"
    policy: Policy = Policy()
    tls: TlsFiles | None = None
    login: LoginSettings | None = None
    proxy: ProxySettings | None = None
    intake: IntakeSettings | None = None

    def __post_init__(self) -> None:
        """Refuse one column in two roles: its cells would be read twice with different meanings."""
        cases = self.cases
        roles = [cases.case, cases.patient, cases.split, *(cases.labels or ())]
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
    def labels(self) -> tuple[str, ...]:
        """The labels that this site answers for."""
        return self.settings.cases.labels or ()

    @property
    def answers_path(self) -> Path:
        """What this site has answered."""
        return self.folder / ANSWERS

    @property
    def approvals_path(self) -> Path:
        """Which plans a person has approved."""
        return self.folder / APPROVALS

    @property
    def ledger_path(self) -> Path:
        """What was told of this site's patients, and what it cost (fedfin/privacy/ledger.py)."""
        return self.folder / LEDGER

    @property
    def state_path(self) -> Path:
        """The agent's durable state."""
        return self.folder / STATE

    @property
    def trust_path(self) -> Path:
        """This site's keys, and what its people have accepted (fedfin/trust/accepted.py)."""
        return self.folder / TRUST

    @property
    def intake_path(self) -> Path:
        """Where the intake is at work."""
        return self.folder / INTAKE

    @property
    def providers(self) -> Providers:
        """What this site's encoders run on."""
        return Providers(self.settings.providers, self.folder / ENGINES)

    @property
    def table_path(self) -> Path:
        """The case table."""
        return self.folder / self.settings.cases.table

    @property
    def tls(self) -> Tls | None:
        """The files for mqtts://, if any are named."""
        files = self.settings.tls
        if files is None:
            return admitted_tls(self.trust_path)
        return Tls(*(self._path(name) for name in (files.ca, files.certificate, files.key)))

    @property
    def login(self) -> Login | None:
        """Who this site is at the broker, if it asks for a user name."""
        login = self.settings.login
        return None if login is None else Login(login.user, self._path(login.password_file))

    @property
    def proxy(self) -> ProxyChoice:
        """The proxy on this site's way to the broker. Raises SettingsError."""
        proxy = self.settings.proxy
        return None if proxy is None else choose(proxy.url, proxy.user, self._path(proxy.password_file))

    def _path(self, name: str | None) -> Path | None:
        return None if name is None else self.folder / name

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
    """Open a site folder; warn on standard error when other users may look into it.

    Raises SettingsError when it is none, or when its settings are wrong.
    """
    if not (folder / SETTINGS).is_file():
        raise SettingsError(
            f"{folder} is no site folder: it has no {SETTINGS}; make one with `fedfin edge init`"
        )
    warn_if_open(folder)
    return Site(folder, read_toml(folder / SETTINGS, SiteSettings, what="site settings"))
