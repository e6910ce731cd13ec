"""Where updates lie while they arrive, and are judged together."""

import hashlib
from pathlib import Path

from round_helpers import new_rounds, reopened, update

from fedfin.protocol import transfer
from fedfin.protocol.rounds.effects import Judge, Spool
from fedfin_aggregator.serve.incoming import Incoming


def _arrive(
    incoming: Incoming, site: str, payload: bytes, *, id_: bytes | None = None, checked: bool = True
) -> None:
    incoming.take(Spool(site, 0, payload, len(payload)))
    incoming.take(Judge(site, 1, id_ or transfer.outline(payload).id, len(payload), checked))


def test_what_is_complete_is_judged_together(tmp_path: Path) -> None:
    """One answer for each, in the order in which they came; durable before anyone is told."""
    rounds, told = new_rounds(tmp_path), []
    incoming = Incoming(
        rounds, lambda event, facts: told.append((event, facts["site"], facts["accepted"])), lambda _: None
    )
    assert incoming.write() is None
    for site in ("s1", "s0"):
        _arrive(incoming, site, update(site, 1, 0))
    _arrive(incoming, "s2", b"no update")
    judged = incoming.settle()
    assert [(a.site, a.round, a.receipt.accepted) for a in judged.answers] == [
        ("s1", 1, True),
        ("s0", 1, True),
        ("s2", 1, False),
    ]
    assert [site for _, site, _ in told] == ["s1", "s0", "s2"]
    assert reopened(rounds, tmp_path).receipts == {a.site: a.receipt for a in judged.answers}
    assert incoming.write() is None


def test_bytes_that_only_their_whole_can_prove_are_checked(tmp_path: Path) -> None:
    """As when a broker's packets are too small for whole leaves."""
    incoming = Incoming(new_rounds(tmp_path), lambda *_: None, lambda _: None)
    payload = update("s0", 1, 0)
    _arrive(incoming, "s0", payload, checked=False)
    _arrive(incoming, "s1", update("s1", 1, 0), id_=hashlib.sha256(b"another").digest(), checked=False)
    receipts = [answer.receipt for answer in incoming.settle().answers]
    assert receipts[0].accepted
    assert receipts[1].reason == "the whole is not what was announced"
