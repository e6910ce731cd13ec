"""What people at a site, or at the aggregator, have accepted: whose charters they obey, and for which plan and run."""

from pathlib import Path

import msgspec

from fedfin.errors import StateError
from fedfin.files import make_folder, write_atomically
from fedfin.link.tls import Tls
from fedfin.names import Digest
from fedfin.protocol.fields import Boot
from fedfin.trust.charter import Charter, read_charter
from fedfin.trust.identity import BROKER, KeyHex

TRUST = "trust"  # the folder in a site's or an aggregator's, with the keys
CHARTER = "charter"
CA, CERTIFICATE = "broker-ca.pem", "broker.pem"  # who signed the broker's certificate, and ours
_ACCEPTED = "accepted.json"


class Accepted(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`coordinator`: the public key whose fingerprint was compared. `number`: no charter below it is obeyed."""

    coordinator: KeyHex
    plan: Digest
    run: Boot
    number: int


def has_accepted(folder: Path) -> bool:
    """Whether this trust folder's party is admitted to a run."""
    return (folder / _ACCEPTED).exists()


def read_accepted(folder: Path) -> Accepted:
    """Raises StateError."""
    path = folder / _ACCEPTED
    try:
        return msgspec.json.decode(path.read_bytes(), type=Accepted)
    except FileNotFoundError:
        raise StateError(f"{folder}: not admitted yet; `accept` takes in what the coordinator sent") from None
    except msgspec.MsgspecError:
        raise StateError(f"{path} is damaged; `accept` what the coordinator sent once more") from None


def current_charter(folder: Path, accepted: Accepted) -> Charter:
    """The newest charter that this party has seen. Raises SettingsError, StateError."""
    path = folder / CHARTER
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise StateError(
            f"{path} is missing or damaged; `accept` what the coordinator sent once more"
        ) from None
    return read_charter(text, str(path), accepted.coordinator)


def admitted_tls(folder: Path) -> Tls | None:
    """How this party connects, if the broker's operator has given it a certificate."""
    files = [folder / name for name in (CA, CERTIFICATE, BROKER)]
    return Tls(*files) if all(path.exists() for path in files) else None


def keep_certificate(folder: Path, ca: str, certificate: str) -> None:
    """From the broker's operator, in PEM; empty: there is none. Raises StateError."""
    for name, pem in ((CA, ca), (CERTIFICATE, certificate)):
        if pem:
            write_atomically(folder / name, pem.encode())


def accept(folder: Path, charter: Charter, text: str) -> None:
    """Obey this charter from now on. Raises StateError for one that is older than one that was obeyed already."""
    make_folder(folder)
    if has_accepted(folder):
        before = read_accepted(folder)
        same = (before.coordinator, before.run) == (charter.coordinator, charter.run)
        if same and before.number > charter.number:
            raise StateError(
                f"charter {charter.number} is older than charter {before.number}, which is obeyed here already;"
                " ask the coordinator for the newest"
            )
    write_atomically(folder / CHARTER, text.encode())
    accepted = Accepted(
        coordinator=charter.coordinator, plan=charter.plan, run=charter.run, number=charter.number
    )
    write_atomically(folder / _ACCEPTED, msgspec.json.encode(accepted))
