"""Which plans a person at this site has approved: one line for each word of theirs, in the site's folder.

    {"plan": "5f...", "approved": true, "time": "2026-11-27T09:30:01Z"}

The last word about a plan counts; where there is none, `policy.plan` in site.toml is one for the plan that it names.
"""

from pathlib import Path

import msgspec

from fedfin.decoding import UNDECODABLE
from fedfin.errors import StateError
from fedfin.files import write_atomically
from fedfin.names import Digest
from fedfin.utc import timestamp
from fedfin_edge.site import Site


class Word(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a person said of a plan, and when (UTC)."""

    plan: Digest
    approved: bool
    time: str


_DECODER = msgspec.json.Decoder(Word)


def last_word(site: Site, plan: str) -> bool | None:
    """Whether the last word about the plan (its digest) is yes; None: there is none. Raises StateError."""
    words = [word.approved for word in _read(site.approvals_path) if word.plan == plan]
    return words[-1] if words else None


def decide(site: Site, plan: str, *, approved: bool) -> None:
    """Make a person's word durable. Raises StateError."""
    words = [*_read(site.approvals_path), Word(plan=plan, approved=approved, time=timestamp())]
    write_atomically(site.approvals_path, b"".join(msgspec.json.encode(word) + b"\n" for word in words))


def _read(path: Path) -> list[Word]:
    try:
        return _DECODER.decode_lines(path.read_bytes())
    except FileNotFoundError:
        return []
    except UNDECODABLE:
        raise StateError(
            f"{path} is damaged; remove it, and approve again what your people have approved"
        ) from None
