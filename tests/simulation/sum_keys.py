"""Who signs in a make-believe federation with secure sums: real keys on a seed; nothing is sealed on the way."""

import random
from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from fedfin.trust.channel import OpenAggregatorEnd, OpenSiteEnd
from fedfin.trust.identity import Identity, public_key

SECRET_BYTES = 32


class SumKeys:
    """Of all sites, as a charter would list them."""

    def __init__(self, rng: random.Random, names: Sequence[str]) -> None:
        self._identities = {
            name: Identity(Ed25519PrivateKey.from_private_bytes(rng.randbytes(SECRET_BYTES)), new_key(rng))
            for name in names
        }

    def site_end(self, site: str) -> OpenSiteEnd:
        """Its own keys, and the others' public ones."""
        end = OpenSiteEnd()
        end.identity = self._identities[site]
        end.roster = {name: identity.public for name, identity in self._identities.items()}
        return end

    def aggregator_end(self) -> OpenAggregatorEnd:
        """It knows the public ones."""
        end = OpenAggregatorEnd()
        end.has_signed = self._has_signed
        return end

    def _has_signed(self, site: str, statement: bytes, signature: bytes) -> bool:
        try:
            self._identities[site].public.verifier.verify(signature, statement)
        except InvalidSignature:
            return False
        return True


class Verifier:
    """A public key that looks at each signature once: whoever is asked again gets the same answer."""

    def __init__(self, key: str) -> None:
        self._key = public_key(key)
        self._good: set[tuple[bytes, bytes]] = set()

    def verify(self, signature: bytes, statement: bytes) -> None:
        """Raises InvalidSignature."""
        if (signature, statement) not in self._good:
            self._key.verify(signature, statement)
            self._good.add((signature, statement))


def new_key(rng: random.Random) -> X25519PrivateKey:
    """X25519PrivateKey.generate on a seed."""
    return X25519PrivateKey.from_private_bytes(rng.randbytes(SECRET_BYTES))
