"""One direction of an MQTT connection, byte by byte: how much of it is payload (MQTT 5, sections 2 and 3.3)."""

PUBLISH = 3
MOST_LENGTH_BYTES = 4


class MqttStream:
    """`payload`: bytes of application messages so far; `bytes`: all of them."""

    def __init__(self) -> None:
        self.payload = 0
        self.bytes = 0
        self._left = bytearray()

    def feed(self, data: bytes) -> None:
        """More of the stream, in pieces of any size."""
        self.bytes += len(data)
        self._left += data
        start = 0
        while (end := _packet_end(self._left, start)) is not None:
            self.payload += _payload(bytes(self._left[start:end]))
            start = end
        del self._left[:start]


def _packet_end(data: bytearray, start: int) -> int | None:
    """Where the packet ends that begins there; None: not all of it is here."""
    length, after = _number(data, start + 1)
    end = after + length
    return None if after == 0 or end > len(data) else end


def _number(data: bytes | bytearray, start: int) -> tuple[int, int]:
    """A variable byte integer and where it ends; ends at 0 where it is not all here."""
    value = 0
    for place in range(start, min(start + MOST_LENGTH_BYTES, len(data))):
        value |= (data[place] & 0x7F) << 7 * (place - start)
        if data[place] < 0x80:
            return value, place + 1
    return 0, 0


def _payload(packet: bytes) -> int:
    """Bytes of the message that a packet holds, 0 of one that holds none."""
    if packet[0] >> 4 != PUBLISH:
        return 0
    _, start = _number(packet, 1)
    after_topic = start + 2 + int.from_bytes(packet[start : start + 2], "big")
    quality = packet[0] >> 1 & 3
    properties, body = _number(packet, after_topic + (2 if quality else 0))
    return len(packet) - body - properties
