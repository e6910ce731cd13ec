"""A tap on one site's line: ends its TLS, counts every layer, and hands the MQTT on to the broker as it is.

Segments are those that Linux counts for the site's connection (`tcp_info`, since 4.2), which is held to the segments
of an Ethernet by TCP_MAXSEG: loopback's own would be of 64 KB. Each has 20 bytes of IPv4 and 20 of TCP and 12 of
timestamps; a lost segment's repeat is counted, which loopback has none of.
"""

import asyncio
import socket
import ssl
import struct
import threading
from collections import defaultdict
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from benchmarks.costs.wire.layers import NOTHING, Both, Layers
from benchmarks.costs.wire.mqtt_stream import MqttStream

ETHERNET_SEGMENT = 1460  # bytes of a TCP segment without options, of a packet of 1500
HEADERS = 20 + 20 + 12
SEGMENTS_AT = 136  # of struct tcp_info: tcpi_segs_out, tcpi_segs_in
BLOCK = 1 << 16


class Tap:
    """`port`: where the site finds the broker. `spent`: bytes by label, `label` being what goes on."""

    def __init__(self, broker_port: int, tls: ssl.SSLContext | None) -> None:
        self._broker_port, self._tls = broker_port, tls
        self.port = 0
        self.label = "joining"
        self.spent: dict[str, Both] = defaultdict(lambda: NOTHING)
        self._lines: list[_Line] = []

    async def open(self) -> None:
        """Listen on a free port of loopback."""
        listening = socket.socket()
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, ETHERNET_SEGMENT)
        listening.bind(("127.0.0.1", 0))
        server = await asyncio.start_server(self._serve, sock=listening)
        self.port = server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        broker = await asyncio.open_connection("127.0.0.1", self._broker_port)
        line = _Line(reader, writer, *broker, self._tls)
        self._lines.append(line)
        await line.run()
        self.settle()

    def settle(self) -> None:
        """Put what has passed since the last time under the present label."""
        for line in self._lines:
            self.spent[self.label] = self.spent[self.label].plus(line.since())

    def name(self, label: str) -> None:
        """What goes on from now on."""
        self.settle()
        self.label = label


class _Line:
    """One connection of a site."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        from_broker: asyncio.StreamReader,
        to_broker: asyncio.StreamWriter,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._reader, self._writer = reader, writer
        self._from_broker, self._to_broker = from_broker, to_broker
        self._cipher = _Cipher(tls) if tls is not None else None
        self._raw = {"up": 0, "down": 0}
        self._plain = {"up": MqttStream(), "down": MqttStream()}
        self._socket: socket.socket = writer.get_extra_info("socket")
        self._segments = (0, 0)
        self._seen = NOTHING

    async def run(self) -> None:
        """Until either end has gone."""
        ways = [asyncio.create_task(self._up()), asyncio.create_task(self._down())]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        self._segments = self._count_segments()
        for way in ways:
            way.cancel()
        for end in (self._writer, self._to_broker):
            end.close()

    async def _up(self) -> None:
        while data := await self._reader.read(BLOCK):
            self._raw["up"] += len(data)
            plain = data if self._cipher is None else self._cipher.opened(data)
            self._answer()
            self._plain["up"].feed(plain)
            self._to_broker.write(plain)

    async def _down(self) -> None:
        while plain := await self._from_broker.read(BLOCK):
            self._plain["down"].feed(plain)
            if self._cipher is None:
                self._send(plain)
            else:
                self._cipher.seal(plain)
                self._answer()

    def _answer(self) -> None:
        """What TLS has to say: handshake and sealed records."""
        if self._cipher is not None:
            self._send(self._cipher.outgoing())

    def _send(self, data: bytes) -> None:
        self._raw["down"] += len(data)
        if data:
            self._writer.write(data)

    def since(self) -> Both:
        """What has passed since this was asked last."""
        down, up = self._segments = self._count_segments()
        whole = Both(self._layers("up", up), self._layers("down", down))
        passed = Both(whole.up - self._seen.up, whole.down - self._seen.down)
        self._seen = whole
        return passed

    def _layers(self, way: str, segments: int) -> Layers:
        stream, raw = self._plain[way], self._raw[way]
        return Layers(
            payload=stream.payload,
            mqtt=stream.bytes - stream.payload,
            tls=raw - stream.bytes,
            tcp=segments * HEADERS,
            segments=segments,
        )

    def _count_segments(self) -> tuple[int, int]:
        """Out and in, as the kernel counts; what was counted last once the connection is closed."""
        if self._socket.fileno() < 0:
            return self._segments
        info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        out, in_ = struct.unpack_from("=2I", info, SEGMENTS_AT)
        return out, in_


class _Cipher:
    """The broker's end of TLS, in memory."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._waiting = bytearray()

    def opened(self, data: bytes) -> bytes:
        """What the site's records say, as far as they are whole."""
        self._in.write(data)
        found = bytearray()
        try:
            while part := self._tls.read(BLOCK):
                found += part
        except ssl.SSLWantReadError:
            pass
        return bytes(found)

    def seal(self, plain: bytes) -> None:
        """For the site."""
        self._tls.write(plain)

    def outgoing(self) -> bytes:
        """Records that have not left."""
        return self._out.read()


class Taps:
    """A context: one tap for each name, all in one thread of their own. `tls`: of `issue_certificates`, or nothing."""

    def __init__(self, names: list[str], broker_port: int, tls: Mapping[str, str]) -> None:
        context = _server(tls) if tls else None
        self.of = {name: Tap(broker_port, context) for name in names}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="taps", daemon=True)

    def __enter__(self) -> "Taps":
        self._thread.start()
        for tap in self.of.values():
            asyncio.run_coroutine_threadsafe(tap.open(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def name(self, site: str, label: str) -> None:
        """What goes on at a site from now on."""
        self._loop.call_soon_threadsafe(self.of[site].name, label)

    def spent(self) -> dict[str, dict[str, Both]]:
        """By site and label."""

        async def settled() -> dict[str, dict[str, Both]]:
            for tap in self.of.values():
                tap.settle()
            return {name: dict(tap.spent) for name, tap in self.of.items()}

        return asyncio.run_coroutine_threadsafe(settled(), self._loop).result(10)


def _server(tls: Mapping[str, Any]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls["server_certificate"], tls["server_key"])
    context.load_verify_locations(tls["ca"])
    context.verify_mode = ssl.CERT_REQUIRED
    return context
