"""What goes down to sites is bounded, in turns, and paced by the broker's acknowledgements."""

import itertools

import pytest

from fedfin import limits
from fedfin.protocol.messages.message import Message
from fedfin.protocol.messages.transfers import Chunk, Missing, Receipt
from fedfin_aggregator.serve.mail import Key, Mail

PART: Key = ("snapshot", 1)
CHUNK_SIZES = (limits.LEAST_CHUNK_BYTES, limits.CHUNK_BYTES, limits.MOST_CHUNK_BYTES)


class Link:
    """Writes down what is handed over; `offer`: the parts that are on offer, in chunks of this size."""

    def __init__(self, chunk_bytes: int = limits.CHUNK_BYTES) -> None:
        self._data = bytes(chunk_bytes)
        self.sent: list[tuple[str, Message]] = []
        self.online = True
        self.offer = {PART}
        self.mail = Mail(self._publish, self._find)
        self._acknowledged = itertools.count(1)

    def _publish(self, site: str, _: str, message: Message) -> tuple[int, int]:
        self.sent.append((site, message))
        return (len(self.sent) if self.online else -1), len(getattr(message, "data", b"1"))

    def _find(self, key: Key, index: int) -> Chunk | None:
        return Chunk(id=b"i" * 32, index=index, data=self._data) if key in self.offer else None

    def acknowledge(self, count: int) -> None:
        """The broker takes the oldest ones."""
        for _ in range(count):
            self.mail.taken(next(self._acknowledged))


def _missing(id_: bytes) -> Missing:
    return Missing(id=id_ * 32, bitmap=b"\1")


def test_a_thousand_wants_of_a_whole_model_put_no_more_than_a_window_into_the_link() -> None:
    """The attack: 221 KB of questions made gigabytes of answers. Asking again is as asking once."""
    link = Link()
    for _ in range(1000):
        link.mail.want("liar", PART, range(1000))
    assert len(link.sent) == limits.ANSWERS
    link.acknowledge(1000)
    assert {message.index for _, message in link.sent} == set(range(1000))
    assert len(link.sent) <= 1000 + limits.ANSWERS, "those under way when it asked again"


@pytest.mark.parametrize("chunk_bytes", CHUNK_SIZES)
def test_all_sites_together_put_no_more_than_the_limit_into_the_link(chunk_bytes: int) -> None:
    """However many names ask, and however large chunks are; each gets its turn when the broker has taken others'."""
    link = Link(chunk_bytes)
    for number in range(1000):
        link.mail.want(f"s{number}", PART, range(10))
    most = len(link.sent)
    assert limits.ANSWER_BYTES - limits.MOST_PACKET_BYTES < most * chunk_bytes <= limits.ANSWER_BYTES
    while len(link.sent) < 1000 + most:
        link.acknowledge(1)
    assert len({site for site, _ in link.sent}) == 1000, (
        "those who asked first had turns of their own; then come all others"
    )


def test_a_site_that_the_broker_does_not_serve_costs_only_its_own_share() -> None:
    """Its window stays full; another's answers go on."""
    link = Link()
    link.mail.want("stuck", PART, range(1000))
    link.acknowledge(0)
    for token in range(limits.ANSWERS + 1, 100):
        link.mail.post("honest", "dn/ctl", _missing(b"a"))
        assert link.sent[-1][0] == "honest"
        link.mail.taken(token)
    assert sum(site == "stuck" for site, _ in link.sent) == limits.ANSWERS


def test_of_a_kind_of_message_only_the_newest_waits() -> None:
    """And small ones go before chunks."""
    link = Link()
    link.mail.want("s0", PART, range(10))
    for id_ in (b"a", b"b", b"c"):
        link.mail.post("s0", "dn/ctl", _missing(id_))
    receipt = Receipt(id=b"d" * 32, accepted=True)
    link.mail.post("s0", "dn/ctl", receipt)
    link.acknowledge(3)
    told = [message for _, message in link.sent[limits.ANSWERS :]]
    assert told[:2] == [_missing(b"c"), receipt]
    assert isinstance(told[2], Chunk)


def test_a_part_that_is_replaced_is_not_sent_any_more() -> None:
    """The site that wants it hears of the new one."""
    link = Link()
    link.mail.want("s0", PART, range(10))
    link.offer.clear()
    link.acknowledge(limits.ANSWERS)
    assert len(link.sent) == limits.ANSWERS


def test_nothing_waits_over_a_cut() -> None:
    """Sites ask again; what was under way is not waited for."""
    link = Link()
    link.mail.want("s0", PART, range(10))
    link.mail.cut()
    link.acknowledge(limits.ANSWERS)
    assert len(link.sent) == limits.ANSWERS
    link.online = False
    link.mail.want("s0", PART, range(3))
    link.online = True
    link.mail.post("s0", "dn/ctl", _missing(b"a"))
    assert link.sent[-1] == ("s0", _missing(b"a"))
