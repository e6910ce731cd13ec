"""Seals for several recipients under one ephemeral key: each opens its own, as any other seal, and no other one's."""

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from fedfin.errors import ProtocolError
from fedfin.trust import sealing
from fedfin.trust.many_seals import ManySeals

KEYS = {f"s{number}": X25519PrivateKey.generate() for number in range(3)}
POINT_BYTES = 32


def _sealed() -> dict[str, bytes]:
    seals = ManySeals()
    return {
        name: seals.seal(name.encode() * 9, key.public_key(), name.encode()) for name, key in KEYS.items()
    }


def test_each_recipient_opens_its_own_as_hpke_of_the_library_does() -> None:
    """So a version from before opens it, too."""
    for name, sealed in _sealed().items():
        assert sealing.open_sealed(sealed, KEYS[name], name.encode()) == name.encode() * 9


def test_a_seal_opens_for_no_other_recipient_and_under_no_other_context() -> None:
    """One ephemeral key is not one secret."""
    sealed = _sealed()["s0"]
    for key, context in ((KEYS["s1"], b"s0"), (KEYS["s0"], b"s1")):
        with pytest.raises(ProtocolError, match="not sealed for this party"):
            sealing.open_sealed(sealed, key, context)


def test_the_ephemeral_key_is_one_for_all_and_another_the_next_time() -> None:
    """And what each agrees on with it differs: no two of the seals share more than that key."""
    first, second = _sealed(), _sealed()
    assert len({each[:POINT_BYTES] for each in first.values()}) == 1
    assert first["s0"][:POINT_BYTES] != second["s0"][:POINT_BYTES]
    assert len({each[POINT_BYTES:] for each in first.values()}) == len(KEYS)
