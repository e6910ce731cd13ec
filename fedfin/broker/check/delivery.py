"""What passes: measured on our own topic, which we may write and read and nobody else hears."""

import secrets
import statistics
import time
from collections.abc import Iterator

from fedfin import limits
from fedfin.broker.check.finding import Finding, fail, passed, warn
from fedfin.broker.check.session import Session
from fedfin.broker.kit.sizing import PACKET_BYTES
from fedfin.errors import LinkError

HEADER_BYTES = 16  # of a packet, generously: fixed header, length of the topic, packet id, properties
ROUND_TRIPS = 20
SLOW_S = 1.0
BULK_BYTES, BULK_S = 4 * 1024 * 1024, 10.0
SLOW_MBIT = 2.0  # a packet of 256 KiB takes a second (fedfin/limits.py)
ARRIVES_S = 5.0


def delivery(session: Session) -> Iterator[Finding]:
    """Retained messages, the largest packet, round trip, throughput."""
    if refusal := session.publish(session.topic):
        says = f"not measured: retained messages, packets, speed ({session.topic}: {refusal})"
        yield warn("own topic", says, f"let this client write and read {session.topic}")
        return
    yield _retained(session)
    packet = _packet(session)
    yield packet
    if packet.failed:
        return
    yield _round_trip(session)
    session.unsubscribe(session.topic)
    yield _throughput(session)


def _retained(session: Session) -> Finding:
    """Written before anybody subscribes, so that it comes only if the broker kept it."""
    mark = secrets.token_bytes(16)
    session.publish(session.topic, mark, retain=True)
    session.subscribe(session.topic)
    kept = session.arrives(mark, ARRIVES_S)
    session.publish(session.topic, b"", retain=True)
    if kept:
        return passed("retained", "kept, delivered to who subscribes later, and cleared again")
    remedy = "let the broker keep retained messages, and this client read its own topic"
    return fail("retained", f"what was retained on {session.topic} does not arrive", remedy)


def _packet(session: Session) -> Finding:
    most, size = session.announced.maximum_packet, _packet_bytes(session)
    need, remedy = (
        f"{size // 1024} KiB",
        f"allow packets of {size} bytes (mosquitto: `max_packet_size {size}`)",
    )
    if session.packet is not None:
        remedy += ", or change `packet=` in the URL"
    if most is not None and most < size:
        says = f"the broker takes packets of {most} bytes at most"
        if most >= PACKET_BYTES:
            return warn(
                "packet", f"{says}: smaller ones are sent than those of {need} that the URL wants", remedy
            )
        return fail("packet", f"{says}; FedFIN's have {need}", remedy)
    payload = secrets.token_bytes(size - len(session.topic) - HEADER_BYTES)
    try:
        refusal = session.publish(session.topic, payload)
    except LinkError as error:
        refusal = str(error)
    if refusal:
        return fail("packet", f"the broker refuses a packet of {need} ({refusal})", remedy)
    if not session.arrives(payload, ARRIVES_S * max(1.0, size / PACKET_BYTES)):
        return fail("packet", f"a packet of {need} was taken but does not arrive", remedy)
    return passed("packet", f"{need} pass in both directions")


def _packet_bytes(session: Session) -> int:
    """Of the largest that must pass: as our URL says, or as others send whose URL says nothing."""
    if session.packet is None:
        return PACKET_BYTES
    return session.packet * 1024 + limits.PACKET_OVERHEAD_BYTES


def _round_trip(session: Session) -> Finding:
    times = []
    for _ in range(ROUND_TRIPS):
        mark, started = secrets.token_bytes(16), time.monotonic()
        session.publish(session.topic, mark)
        times.append(time.monotonic() - started)
    median = statistics.median(times)
    says = f"{median * 1000:.1f} ms in the median of {ROUND_TRIPS}, {max(times) * 1000:.1f} at most"
    if median > SLOW_S:
        return warn("round trip", says, "rounds will be slow: look for a proxy, a VPN or a full link between")
    return passed("round trip", says)


def _throughput(session: Session) -> Finding:
    """In packets as large as ours are here, with as much under way as when an update is sent."""
    size = session.chunk_bytes
    window = min(limits.WINDOW, limits.WINDOW_BYTES // size)
    payload, started = secrets.token_bytes(size), time.monotonic()
    taken = session.send_many(payload, BULK_BYTES // size, window, BULK_S)
    rate = taken * size * 8 / 1e6 / (time.monotonic() - started)
    says = f"{rate:.1f} Mbit/s up, over {taken} packets of {size // 1024} KiB"
    if rate < SLOW_MBIT:
        return warn(
            "throughput", says, f"below {SLOW_MBIT:.0f} Mbit/s a large model takes long: see docs/codec.md"
        )
    return passed("throughput", says)
