"""Updates on their way in, at one aggregator."""

from fedfin import limits
from fedfin.protocol import transfer
from fedfin.protocol.messages.transfers import Begin, Missing, Receipt
from fedfin.protocol.rounds.effects import Judge, Send, Spool
from fedfin.protocol.rounds.events import Answer
from fedfin.protocol.rounds.reception import Reception

CHUNK = 1024
PAYLOAD = bytes(range(256)) * 12  # three chunks
BEGIN = Begin(run="1" * 16, round=2, outline=transfer.outline(PAYLOAD, CHUNK))
PIECES = [transfer.chunk(PAYLOAD, BEGIN.outline, i) for i in range(3)]
ALL = Missing(id=BEGIN.outline.id, bitmap=b"\x07")


def _open() -> Reception:
    reception = Reception(max_bytes=10**6)
    reception.open(2, {}, {})
    return reception


def _crowd(reception: Reception) -> list[str]:
    """As many sites as may send at once, all sending."""
    sites = [f"early-{number}" for number in range(limits.SENDERS)]
    for site in sites:
        assert reception.begin(site, BEGIN, 0.0) == [Send(site, "dn/ctl", ALL)]
    return sites


def test_a_site_beyond_the_places_is_answered_when_one_is_free() -> None:
    """It need not ask again: the answer to its first question comes late."""
    reception = _open()
    crowd = _crowd(reception)
    assert reception.begin("late", BEGIN, 0.0) == reception.begin("late", BEGIN, 5.0) == []
    for piece in PIECES[:2]:
        (kept,) = reception.chunk(crowd[0], piece, 5.0)
        assert isinstance(kept, Spool)
    done = reception.chunk(crowd[0], PIECES[2], 5.0)
    assert [type(effect) for effect in done] == [Spool, Judge, Send]
    assert done[2] == Send("late", "dn/ctl", ALL)


def test_what_a_silent_site_had_sent_is_not_sent_again() -> None:
    """It yielded its place to another; when its turn comes again, only the rest is asked for."""
    reception = _open()
    crowd = _crowd(reception)
    reception.chunk(crowd[0], PIECES[1], 0.0)
    reception.begin("late", BEGIN, 1.0)
    assert reception.call_next(limits.SILENCE_S) == [Send("late", "dn/ctl", ALL)]
    assert reception.begin(crowd[0], BEGIN, limits.SILENCE_S + 1.0) == [
        Send(crowd[0], "dn/ctl", Missing(id=ALL.id, bitmap=b"\x05"))
    ], "others yielded, too, so there is room"


def test_an_update_that_is_being_judged_is_not_asked_for_again() -> None:
    """Else it could be counted twice."""
    reception = _open()
    reception.begin("a", BEGIN, 0.0)
    for piece in PIECES:
        reception.chunk("a", piece, 0.0)
    assert reception.begin("a", BEGIN, 1.0) == []
    assert reception.chunk("a", PIECES[0], 1.0) == []
    receipt = Receipt(id=BEGIN.outline.id, accepted=True)
    assert reception.judged([Answer("a", 2, receipt)]) == [Send("a", "dn/ctl", receipt)]
    assert reception.begin("a", BEGIN, 2.0) == [Send("a", "dn/ctl", receipt)]


def test_what_is_under_way_for_a_round_that_is_not_wanted_any_more_is_forgotten() -> None:
    """And its place is free; where late updates are wanted, it goes on."""
    reception = _open()
    crowd = _crowd(reception)
    reception.chunk(crowd[0], PIECES[0], 0.0)
    reception.open(3, {}, {}, wanted=lambda round_: round_ >= 2)
    (kept,) = reception.chunk(crowd[0], PIECES[1], 1.0)
    assert isinstance(kept, Spool)
    reception.open(4, {}, {})
    assert reception.chunk(crowd[0], PIECES[2], 2.0) == []
    offer = Begin(run=BEGIN.run, round=4, outline=BEGIN.outline)
    assert reception.begin("late", offer, 2.0) == [Send("late", "dn/ctl", ALL)]


def test_a_whole_that_is_not_what_was_announced_is_refused() -> None:
    """Chunks as announced, but another id: known from the chunks alone when they are multiples of 32 KiB."""
    payload = bytes(100_000)
    honest = transfer.outline(payload, transfer.LEAF_BYTES)
    lie = type(honest)(id=b"1" * 32, size=honest.size, chunk_size=honest.chunk_size, chunks=honest.chunks)
    for outline, kind in ((honest, Judge), (lie, Send)):
        reception = _open()
        reception.begin("a", Begin(run=BEGIN.run, round=2, outline=outline), 0.0)
        pieces = [transfer.chunk(payload, outline, i) for i in range(len(outline.chunks))]
        last = [reception.chunk("a", piece, 0.0) for piece in pieces][-1][-1]
        assert isinstance(last, kind)
    assert last.message == Receipt(id=b"1" * 32, accepted=False, reason="the whole is not what was announced")
