"""Keys with which anything is signed, or which anybody opens, are in no roster."""

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from fedfin.trust.identity import PublicKeys, make_identity
from fedfin.trust.weak_keys import is_weak_sealing_key, is_weak_signing_key

PRIME = 2**255 - 19
OF_ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7  # y of the four points
# y of all points of small order, as it may be written: below the prime, above it, and with either sign.
SMALL = [
    y + sign
    for y in (0, 1, PRIME - 1, PRIME, PRIME + 1, OF_ORDER_8, PRIME - OF_ORDER_8)
    for sign in (0, 2**255)
]


@pytest.mark.parametrize("key", [y.to_bytes(32, "little") for y in SMALL], ids=range(len(SMALL)))
def test_an_ed25519_key_of_small_order_is_found(key: bytes) -> None:
    """With the neutral point a signature of nothing but zeros holds of every message."""
    assert is_weak_signing_key(key)


def test_the_library_itself_takes_such_a_signature() -> None:
    """So this is not its affair."""
    neutral = (1).to_bytes(32, "little")
    Ed25519PublicKey.from_public_bytes(neutral).verify(neutral + bytes(32), b"anything")


@pytest.mark.parametrize("u", [0, 1, PRIME - 1, PRIME])
def test_an_x25519_key_of_small_order_is_found(u: int) -> None:
    """The exchange with it gives zeros, whoever's the other key is."""
    assert is_weak_sealing_key(u.to_bytes(32, "little"))


def test_keys_that_are_made_are_not_weak(tmp_path) -> None:
    """And one of small order in a file is a clear error."""
    keys = make_identity(tmp_path / "keys").public
    for name in ("signing", "sealing"):
        raw = msgspec.to_builtins(keys) | {name: "01" + 31 * "00"}
        with pytest.raises(msgspec.ValidationError, match="small order"):
            msgspec.convert(raw, PublicKeys)
    assert msgspec.convert(msgspec.to_builtins(keys), PublicKeys) == keys
