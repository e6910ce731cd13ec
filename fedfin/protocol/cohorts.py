"""Secure sums: how many sites must stand together, and what exactly they sign (docs/secure-sums.md)."""

import hashlib
from collections.abc import Iterable, Mapping

import msgspec

from fedfin import limits
from fedfin.plan import Plan
from fedfin.protocol.messages.secure_sums import SumKey


def threshold(sites: int) -> int:
    """How many of a cohort open a sum: more than two thirds (Bonawitz et al. 2017, section 6).

    Two lists that share no honest site that signed both cannot each find so many, unless a third of the sites lie,
    too. Of three sites it is all three.
    """
    return 2 * sites // 3 + 1


def most_summed(plan: Plan) -> int:
    """How many sites a cohort has at most.

    Sums of whole steps are made for as many as the plan wants, and no more; what each says of its blocks must fit a
    message, and does of as many (plan_size.py).
    """
    bounded = plan.codec.quantized or plan.privacy.least_sites_per_block
    return plan.rounds.sites if bounded else limits.COHORT


def key_statement(
    run: str, round_: int, attempt: bytes, model: bytes, key: bytes, commitment: bytes, gives: bytes = b""
) -> bytes:
    """What a site signs for one attempt: from which model it worked, its key, its commitment, to which blocks it gives.

    `model`: the id of the version; sites that worked from different ones make no sum. `commitment`: the SHA-256 of its
    own mask's seed.
    """
    marked = (gives,) if gives else ()
    return msgspec.msgpack.encode(("fedfin sum key 2", run, round_, attempt, model, key, commitment, *marked))


def survivors_statement(
    run: str,
    round_: int,
    attempt: bytes,
    keys: Mapping[str, SumKey],
    names: Iterable[str],
    grouped: tuple[str, ...] = (),
) -> bytes:
    """What a survivor signs: who has dealt with which keys, who of them is in the sum, who is in any group."""
    dealt = hashlib.sha256(msgspec.msgpack.encode([(name, keys[name]) for name in sorted(keys)])).digest()
    groups = (grouped,) if grouped else ()
    return msgspec.msgpack.encode(("fedfin survivors 1", run, round_, attempt, dealt, sorted(names), *groups))


def shares_context(run: str, round_: int, attempt: bytes, sender: str, receiver: str) -> bytes:
    """What sealed shares are."""
    return msgspec.msgpack.encode(("fedfin shares 1", run, round_, attempt, sender, receiver))
