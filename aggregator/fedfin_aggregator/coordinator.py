"""The coordinator's folder, which needs no network: the key that signs charters, the plan, who was admitted.

coordinator.key   Ed25519, PEM, mode 0600: whoever has it decides who takes part; keep it offline, with a copy
plan.toml         the plan
charter           the newest charter, signed: the aggregator's operator takes it in with `fedfin aggregator accept`
admissions/       one file for each site: what it takes in with `fedfin edge accept`
"""

import datetime as dt
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedfin.errors import SettingsError, StateError
from fedfin.files import make_folder, write_atomically
from fedfin.model.plan_file import plan_toml, read_plan
from fedfin.plan import Plan
from fedfin.privacy.dimensions import excess_of_plan
from fedfin.trust import admission, charter, signed_text
from fedfin.trust.admission import Admission
from fedfin.trust.charter import Charter, Seat, sign_charter
from fedfin.trust.identity import read_key, write_key
from fedfin.trust.request import Request

KEY, PLAN, CHARTER, ADMISSIONS = "coordinator.key", "plan.toml", "charter", "admissions"


class Coordinator:
    """An existing folder. Raises StateError, SettingsError."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not (folder / CHARTER).exists():
            raise StateError(
                f"{folder}: no charter here; make the first one with `fedfin aggregator charter`"
            )
        self._key = _read_key(folder)
        self.plan = read_plan(folder / PLAN)
        text = signed_text.read_text(folder / CHARTER, "the charter")
        self.charter = charter.read_charter(text, str(folder / CHARTER), _public(self._key))

    @property
    def few_patients(self) -> str:
        """A note for the coordinator where the plan's sums have more dimensions than patients allow; else empty.

        Once all sites have a seat: their patients are no more than the cases that the charter grants.
        """
        roster = self.charter.roster
        excess = excess_of_plan(self.plan, sum(seat.cases for seat in roster))
        if excess is None or len(roster) < self.plan.rounds.sites:
            return ""
        complete = "" if len(self.plan.dims) == 1 else ", of whom every fifth has every modality"
        return f"note: with as many patients as the charter grants cases{complete}, {excess.warning}"

    def admit(self, requests: list[Request], cases: int, *, broker: str, files: dict[str, str]) -> None:
        """Give these sites a seat, or new keys for the one they have, and write their admissions.

        `files`: PEM of the broker's CA ("ca") and of sites' certificates, by site.
        """
        for request in requests:
            self._check(request)
        seats = self.charter.seats
        seats |= {r.name: Seat(name=r.name, keys=r.keys, cases=cases) for r in requests}
        self.change(roster=tuple(seats[name] for name in sorted(seats)))
        make_folder(self.folder / ADMISSIONS)
        for request in requests:
            document = Admission(
                site=request.name,
                plan=self.plan,
                charter=signed_text.read_text(self.folder / CHARTER, "the charter"),
                broker=broker,
                ca=files.get("ca", ""),
                certificate=files.get(request.name, ""),
            )
            text = signed_text.sign(document, admission.DOMAIN, self._key)
            write_atomically(self.admission_path(request.name), text.encode())

    def admission_path(self, site: str) -> Path:
        """The file for a site."""
        return self.folder / ADMISSIONS / f"{site}.admission"

    def _check(self, request: Request) -> None:
        if request.role != "site":
            raise SettingsError(
                f"{request.name}: this is an aggregator's request; `charter --request` takes it in"
            )
        if request.federation != self.charter.federation:
            raise SettingsError(
                f"{request.name} asks for federation {request.federation!r}, the charter is for"
                f" {self.charter.federation!r}; correct `federation` in its site.toml and request anew"
            )

    def remove(self, sites: list[str]) -> None:
        """Take these sites' seats; the run's models get a new key."""
        if unknown := sorted(set(sites) - self.charter.seats.keys()):
            raise SettingsError(
                f"the charter has no site {unknown[0]!r}; `fedfin aggregator charter` lists them"
            )
        roster = tuple(seat for seat in self.charter.roster if seat.name not in sites)
        self.change(roster=roster, epoch=self.charter.epoch + 1)
        for site in sites:
            self.admission_path(site).unlink(missing_ok=True)

    def change(self, **fields: object) -> None:
        """The next charter, which differs in these fields."""
        raw = msgspec.structs.asdict(self.charter) | fields | {"number": self.charter.number + 1}
        self.charter = _write(self.folder, self._key, raw)


def found(folder: Path, plan: Plan, request: Request, *, least_sites: int, expires: dt.date) -> Coordinator:
    """A new folder with its key and the first charter, whose roster is empty. Raises StateError, SettingsError."""
    if (folder / CHARTER).exists():
        raise StateError(f"{folder} has a charter already; without --plan its next one is made")
    check_aggregator(request, plan)
    make_folder(folder)
    folder.chmod(0o700)
    if not (folder / KEY).exists():
        write_key(folder / KEY, Ed25519PrivateKey.generate())
    key = _read_key(folder)
    write_atomically(folder / PLAN, plan_toml(plan).encode())
    raw = {
        "federation": plan.federation,
        "coordinator": _public(key),
        "number": 1,
        "plan": plan.digest(),
        "run": request.run,
        "aggregator": request.keys,
        "roster": (),
        "least_sites": least_sites,
        "expires": expires,
    }
    _write(folder, key, raw)
    return Coordinator(folder)


def check_aggregator(request: Request, plan: Plan) -> None:
    """Whether an aggregator's request is for this plan. Raises SettingsError."""
    if request.role != "aggregator" or request.run is None:
        raise SettingsError(f"{request.name}: this is a site's request; `admit` takes it in")
    if request.plan != plan.digest():
        raise SettingsError(
            f"the aggregator was set up for another plan ({(request.plan or '')[:12]}) than yours"
            f" ({plan.digest()[:12]}); set it up anew with `fedfin aggregator init`, or take its plan"
        )


def _write(folder: Path, key: Ed25519PrivateKey, raw: dict[str, object]) -> Charter:
    try:
        new = msgspec.convert(raw, Charter)
    except msgspec.ValidationError as error:
        raise SettingsError(f"that would be no valid charter: {error}") from None
    write_atomically(folder / CHARTER, sign_charter(new, key).encode())
    return new


def _read_key(folder: Path) -> Ed25519PrivateKey:
    key = read_key(folder / KEY)
    if not isinstance(key, Ed25519PrivateKey):
        raise StateError(f"{folder / KEY} is not a coordinator's key; restore it from your copy")
    return key


def _public(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes_raw().hex()
