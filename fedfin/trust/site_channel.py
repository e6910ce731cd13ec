"""A site's end, with keys: it says what it says signed, and hears only the aggregator that the charter names."""

from pathlib import Path

from fedfin.errors import EvictedError, FedfinError, ProtocolError
from fedfin.plain_text import plain_error
from fedfin.protocol.messages.joining import GroupKeys
from fedfin.protocol.messages.manifest import PartKind
from fedfin.protocol.topics import Topics
from fedfin.trust import envelope, sealing
from fedfin.trust.accepted import accept, current_charter, read_accepted
from fedfin.trust.channel import message_context, part_context, split_epoch, update_context
from fedfin.trust.charter import Charter, read_charter, today
from fedfin.trust.counters import COUNTERS, Counters
from fedfin.trust.identity import Identity, PublicKeys, load_identity


class SiteChannel:
    """Raises StateError, SettingsError when the folder is not that of an admitted site, or the charter has expired."""

    def __init__(self, folder: Path, site: str, topics: Topics) -> None:
        self._folder, self._site, self._topics = folder, site, topics
        self._identity = load_identity(folder)
        self._accepted = read_accepted(folder)
        self._charter = current_charter(folder, self._accepted)
        self._check(self._charter)
        self._counters = Counters(folder / COUNTERS)
        self._group_keys: dict[int, bytes] = {}

    @property
    def charter(self) -> Charter:
        """The newest that was seen."""
        return self._charter

    @property
    def topics(self) -> tuple[str, ...]:
        """New charters come on one."""
        return (self._topics.charter,)

    @property
    def aggregator(self) -> str:
        """The fingerprint of its keys."""
        return self._charter.aggregator.fingerprint

    @property
    def identity(self) -> Identity:
        """This site's keys."""
        return self._identity

    @property
    def roster(self) -> dict[str, PublicKeys]:
        """The keys of the charter's sites."""
        return {name: seat.keys for name, seat in self._charter.seats.items()}

    @property
    def case_cap(self) -> int:
        """The cases that the charter grants this site."""
        return self._charter.seats[self._site].cases

    @property
    def least_sites(self) -> int:
        """The fewest sites that the charter wants behind a version."""
        return self._charter.least_sites

    def send(self, topic: str, message: bytes, *, private: bool = True) -> bytes:
        """Signed; control messages that are private are sealed to the aggregator, too."""
        if self._topics.is_chunk(topic):
            return message  # of sealed bytes, and covered by the outline
        if sealed := private and topic.endswith("/ctl"):
            context = message_context(self._accepted.run, topic)
            message = sealing.seal(message, self._charter.aggregator.recipient, context)
        counter, run, key = self._counters.next(), self._accepted.run, self._identity.signing
        return envelope.sign(message, key, run=run, topic=topic, counter=counter, sealed=sealed)

    def receive(self, topic: str, data: bytes) -> bytes:
        """Signed by the aggregator, and not older than what came before.

        Raises ProtocolError; SettingsError from the day on on which the charter has expired.
        """
        self._charter.check_day(today())
        if self._topics.is_chunk(topic):
            return data
        aggregator, run = self._charter.aggregator, self._accepted.run
        opened = envelope.verify(data, aggregator.verifier, run=run, topic=topic)
        own = topic.endswith("/ctl")
        if topic != self._topics.aggregator_state:  # the broker knows who is there, and can pretend it anyway
            self._counters.check(f"{aggregator.signing} {topic}", opened.counter, again=not own)
        if not (own and opened.sealed):
            return opened.body
        return sealing.open_sealed(opened.body, self._identity.sealing, message_context(run, topic))

    def heed(self, topic: str, data: bytes) -> str | None:  # noqa: ARG002 - there is one topic
        """A charter: the coordinator's signature makes it one, whoever brought it."""
        try:
            text = data.decode()
            charter = read_charter(text, "the charter that came", self._accepted.coordinator)
        except (FedfinError, UnicodeDecodeError) as error:
            return f"a charter was ignored: {plain_error(error)}"
        if charter.federation != self._charter.federation or charter.number <= self._charter.number:
            return None
        if (charter.plan, charter.run) != (self._accepted.plan, self._accepted.run):
            raise EvictedError(
                f"charter {charter.number} is for another plan or run; ask the coordinator for an admission to it, and"
                " `fedfin edge accept` that"
            )
        self._check(charter)
        accept(self._folder, charter, text)
        self._charter = charter
        return f"charter {charter.number}: {len(charter.roster)} sites, until {charter.expires}"

    def _check(self, charter: Charter) -> None:
        charter.check_day(today())
        seat = charter.seats.get(self._site)
        if seat is None:
            raise EvictedError(f"charter {charter.number} does not list this site; ask the coordinator why")
        if seat.keys != self._identity.public:
            raise EvictedError(
                f"charter {charter.number} lists other keys for this site than those in {self._folder}; send the"
                " coordinator a new request (`fedfin edge request`)"
            )

    def new_seal(self, round_: int) -> bytes:
        """To the aggregator alone."""
        return sealing.new_seal(self._charter.aggregator.recipient, self._update_context(round_))

    def seal_update(self, update: bytes, round_: int, seal: bytes) -> bytes:
        """As `new_seal` said."""
        return sealing.seal_with(seal, update, self._update_context(round_)) if seal else update

    def _update_context(self, round_: int) -> bytes:
        return update_context(self._accepted.run, self._site, round_)

    def take_keys(self, message: GroupKeys) -> None:
        """It came sealed to this site."""
        self._group_keys |= dict(enumerate(message.keys, message.first))

    def has_key(self, part: bytes) -> bool:
        """It is named in front of the part."""
        return split_epoch(part)[0] in self._group_keys

    def open_part(self, kind: PartKind, version: int, part: bytes) -> bytes:
        """By the group key of its epoch."""
        epoch, sealed = split_epoch(part)
        if epoch not in self._group_keys:
            raise ProtocolError(f"there is no group key of epoch {epoch} here")
        context = part_context(self._accepted.run, kind, version, epoch)
        return sealing.open_for_group(sealed, self._group_keys[epoch], context)

    def check_plan(self, digest: str, run: str) -> None:
        """People accepted one plan in one run."""
        if (digest, run) != (self._accepted.plan, self._accepted.run):
            raise EvictedError(
                "its plan is not the one that was accepted at this site (`fedfin edge accept`)"
            )

    def close(self) -> None:
        """The counters."""
        self._counters.save()
