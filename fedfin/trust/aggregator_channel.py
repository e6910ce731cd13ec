"""The aggregator's end, with keys: it hears the charter's sites alone, each on its own topics."""

import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fedfin import limits
from fedfin.errors import FedfinError, ProtocolError, SettingsError
from fedfin.protocol.messages.joining import GroupKeys
from fedfin.protocol.messages.manifest import PartKind
from fedfin.protocol.topics import Topics
from fedfin.trust import envelope, sealing
from fedfin.trust.accepted import CHARTER, current_charter, read_accepted
from fedfin.trust.channel import Change, message_context, part_context, update_context, with_epoch
from fedfin.trust.charter import Charter, Seat, today
from fedfin.trust.counters import COUNTERS, Counters
from fedfin.trust.identity import load_identity


class AggregatorChannel:
    """Raises StateError, SettingsError when the folder is not that of the charter's aggregator."""

    def __init__(self, folder: Path, topics: Topics) -> None:
        self._folder, self._topics = folder, topics
        self._identity = load_identity(folder)
        self._accepted = read_accepted(folder)
        self._stamp = self._file_stamp()
        self._charter = current_charter(folder, self._accepted)
        self._check(self._charter)
        self._counters = Counters(folder / COUNTERS)
        self._seats: dict[str, Seat] = {}  # all that this life has known: one that was removed must hear that
        self._take(self._charter)

    def _take(self, charter: Charter) -> None:
        self._charter, self._enrolled = charter, charter.seats
        self._seats |= self._enrolled

    def _check(self, charter: Charter) -> None:
        charter.check_day(today())
        if charter.aggregator != self._identity.public:
            raise SettingsError(
                f"charter {charter.number} names another aggregator's keys than those in {self._folder}; give the"
                " coordinator this one's request (`fedfin aggregator request`)"
            )

    @property
    def charter(self) -> Charter:
        """The one that is obeyed."""
        return self._charter

    @property
    def charter_text(self) -> bytes:
        """As the coordinator signed it."""
        return (self._folder / CHARTER).read_bytes()

    @property
    def enrolled(self) -> frozenset[str]:
        """Those of the roster."""
        return frozenset(self._enrolled)

    @property
    def case_caps(self) -> dict[str, int]:
        """More cases than these a site may not claim."""
        return {name: seat.cases for name, seat in self._enrolled.items()}

    def refresh(self) -> Change | None:
        """Look for a newer charter in the folder: cheap enough for every second."""
        stamp = self._file_stamp()
        if stamp == self._stamp:
            return None
        self._stamp = stamp
        try:
            accepted = read_accepted(self._folder)
            charter = current_charter(self._folder, accepted)
            self._check(charter)
            if (charter.plan, charter.run) != (self._accepted.plan, self._accepted.run):
                raise SettingsError(f"charter {charter.number} is for another plan or run")
        except FedfinError as error:
            return Change(self._charter.number, (), str(error))
        if charter.number <= self._charter.number:
            return None
        removed = tuple(sorted(self._enrolled.keys() - charter.seats.keys()))
        self._take(charter)
        return Change(charter.number, removed)

    def _file_stamp(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self._folder / CHARTER)  # noqa: PTH116 - as cheap as it gets
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino

    def send(self, topic: str, message: bytes, *, private: bool = True) -> bytes:
        """Signed; to one site also sealed, if it is private."""
        if self._topics.is_chunk(topic):
            return message
        if sealed := private and topic.endswith("/ctl"):
            site = self._topics.receiver(topic)
            if site not in self._seats:
                raise ProtocolError(f"{site} is not in the charter's roster")
            context = message_context(self._accepted.run, topic)
            message = sealing.seal(message, self._seats[site].keys.recipient, context)
        counter, run = self._counters.next(), self._accepted.run
        key = self._identity.signing
        return envelope.sign(message, key, run=run, topic=topic, counter=counter, sealed=sealed)

    def receive(self, site: str, topic: str, data: bytes) -> bytes:
        """Signed by the key that the roster has for the site.

        Raises ProtocolError; SettingsError from the day on on which the charter has expired.
        """
        self._charter.check_day(today())
        seat = self._enrolled.get(site)
        if seat is None:
            raise ProtocolError("it is not in the charter's roster")
        if self._topics.is_chunk(topic):
            return data
        run = self._accepted.run
        opened = envelope.verify(data, seat.keys.verifier, run=run, topic=topic)
        if not topic.endswith("/ctl"):
            return opened.body
        self._counters.check(f"{seat.keys.signing} {topic}", opened.counter, again=False)
        if not opened.sealed:
            return opened.body
        return sealing.open_sealed(opened.body, self._identity.sealing, message_context(run, topic))

    def own(self, topic: str, data: bytes) -> bytes:
        """By this aggregator's key, in this run. Raises ProtocolError."""
        key = self._identity.public.verifier
        return envelope.verify(data, key, run=self._accepted.run, topic=topic).body

    def has_signed(self, site: str, statement: bytes, signature: bytes) -> bool:
        """By the key that the roster has for it."""
        try:
            self._enrolled[site].keys.verifier.verify(signature, statement)
        except (KeyError, InvalidSignature):
            return False
        return True

    def open_update(self, site: str, round_: int, payload: bytes) -> bytes:
        """It opens as this site's for this round alone."""
        context = update_context(self._accepted.run, site, round_)
        return sealing.open_sealed(payload, self._identity.sealing, context)

    def seal_part(self, kind: PartKind, version: int, part: bytes) -> bytes:
        """For the sites of the roster."""
        epoch = self._charter.epoch
        context = part_context(self._accepted.run, kind, version, epoch)
        return with_epoch(epoch, sealing.seal_for_group(part, self._group_key(epoch), context))

    @property
    def group_keys(self) -> GroupKeys:
        """Of this epoch, and of those before: parts that were sealed then may still be on offer."""
        last = self._charter.epoch
        first = max(0, last - limits.GROUP_KEYS + 1)
        return GroupKeys(first=first, keys=tuple(map(self._group_key, range(first, last + 1))))

    def _group_key(self, epoch: int) -> bytes:
        """Of the aggregator's own key: nothing to keep, and nothing that a restart could lose."""
        info = f"fedfin group key 1\0{self._accepted.run}\0{epoch}".encode()
        return HKDF(hashes.SHA256(), 32, None, info).derive(self._identity.sealing.private_bytes_raw())

    def close(self) -> None:
        """The counters."""
        self._counters.save()
