"""The aggregator's part: from the sum of masked words and enough shares to the sum itself."""

import hashlib
from collections.abc import Mapping, Sequence

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from fedfin.errors import ProtocolError
from fedfin.protocol.messages.secure_sums import Reveal, SumKey
from fedfin.secure_sums import masks, shamir


def unmask(
    total: masks.Words,
    where: tuple[str, int, bytes],
    names: Sequence[str],
    keys: Mapping[str, SumKey],
    survivors: Sequence[str],
    reveals: Mapping[str, Reveal],
) -> None:
    """Take off every mask, in place. `where`: run, round, attempt; `names`: the cohort, in its order.

    Raises ProtocolError when the shares do not give the secrets that were dealt.
    """
    left = masks.Masks()
    places = {name: place for place, name in enumerate(names, 1)}
    for name in survivors:
        seed = _secret({places[site]: reveal.seeds[name] for site, reveal in reveals.items()}, name)
        if hashlib.sha256(seed).digest() != keys[name].commitment:
            raise ProtocolError(f"the shares of the seed of {name} do not give it")
        left.take(masks.own_seed(seed))
    for lost in sorted(keys.keys() - set(survivors)):
        secret = _secret({places[site]: reveal.keys[lost] for site, reveal in reveals.items()}, lost)
        key = X25519PrivateKey.from_private_bytes(secret)
        if key.public_key().public_bytes_raw() != keys[lost].key:
            raise ProtocolError(f"the shares of the key of {lost} do not give it")
        for name in survivors:  # the survivor's side of the pair is what is left in the sum
            left.add_pair(masks.pair_seed(key, keys[name].key, where), lost, name)
    left.apply(total)


def _secret(shares: Mapping[int, bytes], name: str) -> bytes:
    try:
        return shamir.join(shares)
    except ValueError:
        raise ProtocolError(f"the shares of {name}'s secrets are not of one secret") from None
