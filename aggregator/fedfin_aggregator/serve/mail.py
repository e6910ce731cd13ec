"""What goes down to sites: little at a time, in turns, and never more than is bounded, whatever they ask.

A question is small and its answer may be large: 221 KB of `want` once put gigabytes into the client's queue. So answers
wait here as what they are about, not as bytes: of a small message the newest of its kind for each site, of a model's
parts the indices still to be sent. A few are handed to the link at a time, site after site; the broker's
acknowledgement of one makes room for the next.
"""

from collections import Counter
from collections.abc import Callable, Iterable

from fedfin import limits
from fedfin.protocol.messages.manifest import PartKind
from fedfin.protocol.messages.message import Message

# Bytes under way from which on the next message, which may be the largest, waits.
_NEARLY_FULL = limits.ANSWER_BYTES - limits.MOST_PACKET_BYTES
Key = tuple[PartKind, int]
Publish = Callable[[str, str, Message], tuple[int, int]]  # site, channel: token (-1: offline) and bytes
Find = Callable[[Key, int], Message | None]  # a chunk of a part that is on offer


class _Box:
    """One site's: small messages by kind, wanted chunks by part."""

    def __init__(self) -> None:
        self.letters: dict[type, tuple[str, Message]] = {}
        self.wanted: dict[Key, set[int]] = {}

    def next(self, find: Find) -> tuple[str, Message] | None:
        """Letters first. Chunks of a part that is not on offer any more are forgotten."""
        if self.letters:
            return self.letters.pop(next(iter(self.letters)))
        while self.wanted:
            key, indices = next(iter(self.wanted.items()))
            index = min(indices)
            indices.discard(index)
            if not indices:
                del self.wanted[key]
            if (chunk := find(key, index)) is not None:
                return "dn/chunk", chunk
            self.wanted.pop(key, None)
        return None


class Mail:
    """All sites' boxes. `publish` hands one message to the link, `find` yields a chunk that is on offer."""

    def __init__(self, publish: Publish, find: Find) -> None:
        self._publish, self._find = publish, find
        self._boxes: dict[str, _Box] = {}
        self._turns: dict[str, None] = {}  # sites that have something waiting and may send, in order
        self._under_way: dict[int, tuple[str, int]] = {}  # site and bytes, by token
        self._bytes = 0  # under way in all
        self._count: Counter[str] = Counter()  # messages under way, by site

    def post(self, site: str, channel: str, message: Message) -> None:
        """A small message; one of its kind that still waits for the site is replaced: only the newest is true."""
        self._box(site).letters[type(message)] = channel, message
        self._send()

    def want(self, site: str, key: Key, indices: Iterable[int]) -> None:
        """Chunks that a site asks for; asking twice is as asking once."""
        self._box(site).wanted.setdefault(key, set()).update(indices)
        self._send()

    def taken(self, token: int) -> None:
        """The broker has taken one: the next may go."""
        if (done := self._under_way.pop(token, None)) is None:
            return
        site, size = done
        self._bytes -= size
        self._count[site] -= 1
        if not self._count[site]:
            del self._count[site]
        if site in self._boxes:
            self._turns.setdefault(site)
        self._send()

    def cut(self) -> None:
        """The link is down: nothing waits for it, sites ask again."""
        self._boxes.clear()
        self._turns.clear()
        self._under_way.clear()
        self._count.clear()
        self._bytes = 0

    def _box(self, site: str) -> _Box:
        if site not in self._boxes:
            self._boxes[site] = _Box()
            self._turns[site] = None
        return self._boxes[site]

    def _send(self) -> None:
        """Turn by turn, one message each; a site with a full window waits for the broker, and for nobody else."""
        while self._turns and self._bytes <= _NEARLY_FULL:
            site = next(iter(self._turns))
            del self._turns[site]
            if self._count[site] >= limits.ANSWERS:
                continue  # `taken` gives it its turn again
            letter = self._boxes[site].next(self._find)
            if letter is None:
                del self._boxes[site]
                continue
            self._turns[site] = None
            self._hand_over(site, *letter)

    def _hand_over(self, site: str, channel: str, message: Message) -> None:
        token, size = self._publish(site, channel, message)
        if token != -1:
            self._under_way[token] = site, size
            self._bytes += size
            self._count[site] += 1
