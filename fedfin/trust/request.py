"""A party asks to be admitted: its name and its public keys, signed with them. Nothing in it is secret."""

from pathlib import Path
from typing import Literal

import msgspec

from fedfin.files import make_folder, write_atomically
from fedfin.names import Digest, Name
from fedfin.protocol.fields import Boot
from fedfin.trust import signed_text
from fedfin.trust.identity import Identity, PublicKeys, certificate_request, make_identity

DOMAIN = "fedfin request 1"
WHAT = "a request to take part"


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`certificate_request`: PEM, for the broker's CA. `run`, `plan`: an aggregator's, which it will serve."""

    format: Literal["fedfin request 1"] = "fedfin request 1"
    role: Literal["site", "aggregator"]
    name: Name
    federation: Name
    keys: PublicKeys
    certificate_request: str
    run: Boot | None = None
    plan: Digest | None = None


def sign_request(request: Request, identity: Identity) -> str:
    """The request's text; the signature shows that who asks holds the keys."""
    return signed_text.sign(request, DOMAIN, identity.signing)


def write_request(
    trust: Path,
    out: Path,
    *,
    role: Literal["site", "aggregator"],
    name: str,
    federation: str,
    run: str | None = None,
    plan: str | None = None,
) -> PublicKeys:
    """Make the keys of this trust folder, unless they are there, and write the request. Raises StateError."""
    identity = make_identity(trust)
    request = Request(
        role=role,
        name=name,
        federation=federation,
        keys=identity.public,
        certificate_request=certificate_request(trust, name),
        run=run,
        plan=plan,
    )
    make_folder(out.parent)
    write_atomically(out, sign_request(request, identity).encode())
    return identity.public


def read_request(path: Path) -> Request:
    """A request's file, checked. Raises SettingsError."""
    text = signed_text.read_text(path, WHAT)
    request = signed_text.parse(text, Request, str(path))
    signed_text.verify(text, DOMAIN, request.keys.verifier, str(path))
    return request
