"""Other libraries' entropy coders behind one face: streams of symbols to bytes and back."""

import importlib
import lzma
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.codec.symbols import Stream

ZSTD_LEVEL, ZLIB_LEVEL, LZMA_PRESET = 9, 6, 6


@dataclass(frozen=True)
class Coder:
    """`encode`: streams to bytes. `decode`: those bytes and the streams' lengths to the streams."""

    name: str
    library: str
    encode: Callable[[Sequence[Stream]], bytes]
    decode: Callable[[bytes, Sequence[int]], list[Stream]]


def coders() -> tuple[list[Coder], list[str]]:
    """Those that can run here, and the names of the libraries that are not installed."""
    makers = {"zlib": _zlib, "lzma": _lzma, "zstandard": _zstandard, "constriction": _constriction}
    found: list[Coder] = []
    missing = []
    for library, make in makers.items():
        try:
            found += make(importlib.import_module(library))
        except ModuleNotFoundError:
            missing.append(library)
    return found, missing


def of_bytes(
    name: str, library: str, pack: Callable[[bytes], bytes], unpack: Callable[[bytes], bytes]
) -> Coder:
    """A general compressor: it sees a byte for each symbol, stream after stream."""

    def encode(parts: Sequence[Stream]) -> bytes:
        return pack(np.concatenate(parts).tobytes())

    def decode(body: bytes, lengths: Sequence[int]) -> list[Stream]:
        return np.split(np.frombuffer(unpack(body), np.uint8), np.cumsum(lengths)[:-1])

    return Coder(name, library, encode, decode)


def _zlib(_: Any) -> list[Coder]:
    return [
        of_bytes(f"zlib -{ZLIB_LEVEL}", "zlib", lambda data: zlib.compress(data, ZLIB_LEVEL), zlib.decompress)
    ]


def _lzma(_: Any) -> list[Coder]:
    return [
        of_bytes(
            f"lzma -{LZMA_PRESET}",
            "lzma",
            lambda data: lzma.compress(data, preset=LZMA_PRESET),
            lzma.decompress,
        )
    ]


def _zstandard(library: Any) -> list[Coder]:
    packer, unpacker = library.ZstdCompressor(level=ZSTD_LEVEL), library.ZstdDecompressor()
    return [of_bytes(f"zstd -{ZSTD_LEVEL}", "zstandard", packer.compress, unpacker.decompress)]


def _constriction(library: Any) -> list[Coder]:
    stream = library.stream
    return [
        _with_models("range coder", library, _range_encode(stream), _range_decode(stream)),
        _with_models("ANS", library, _ans_encode(stream), _ans_decode(stream)),
    ]


Models = list[Any]
Symbols = list[Any]  # int32 arrays, as the library wants them


def _with_models(
    name: str,
    library: Any,
    encode: Callable[[Symbols, Models], bytes],
    decode: Callable[[bytes, Models, Sequence[int]], Symbols],
) -> Coder:
    """Each stream has its own frequencies, which travel first: their number, then four bytes each."""

    def pack(parts: Sequence[Stream]) -> bytes:
        counts = [np.bincount(part) for part in parts]
        head = b"".join(len(c).to_bytes(2, "little") + c.astype("<u4").tobytes() for c in counts)
        busy = [place for place, c in enumerate(counts) if len(c) > 1]
        models = [_model(library, counts[place]) for place in busy]
        return head + encode([parts[place].astype(np.int32) for place in busy], models)

    def unpack(body: bytes, lengths: Sequence[int]) -> list[Stream]:
        counts, at = [], 0
        for _ in lengths:
            size = int.from_bytes(body[at : at + 2], "little")
            counts.append(np.frombuffer(body, "<u4", size, at + 2))
            at += 2 + 4 * size
        busy = [place for place, c in enumerate(counts) if len(c) > 1]
        models = [_model(library, counts[place]) for place in busy]
        found = [np.zeros(length, np.uint8) for length in lengths]
        for place, part in zip(busy, decode(body[at:], models, [lengths[i] for i in busy]), strict=True):
            found[place] = part.astype(np.uint8)
        return found

    return Coder(f"constriction {name}", "constriction", pack, unpack)


def _model(library: Any, counts: Any) -> Any:
    return library.stream.model.Categorical(counts.astype(np.float64) / counts.sum(), perfect=False)


def _words(body: bytes) -> Any:
    return np.frombuffer(body, np.uint32).copy()


def _range_encode(stream: Any) -> Callable[[Symbols, Models], bytes]:
    def encode(parts: Symbols, models: Models) -> bytes:
        coder = stream.queue.RangeEncoder()
        for part, model in zip(parts, models, strict=True):
            coder.encode(part, model)
        return bytes(coder.get_compressed().tobytes())

    return encode


def _range_decode(stream: Any) -> Callable[[bytes, Models, Sequence[int]], Symbols]:
    def decode(body: bytes, models: Models, lengths: Sequence[int]) -> Symbols:
        coder = stream.queue.RangeDecoder(_words(body))
        return [coder.decode(model, length) for model, length in zip(models, lengths, strict=True)]

    return decode


def _ans_encode(stream: Any) -> Callable[[Symbols, Models], bytes]:
    def encode(parts: Symbols, models: Models) -> bytes:
        coder = stream.stack.AnsCoder()
        for part, model in reversed(list(zip(parts, models, strict=True))):
            coder.encode_reverse(part, model)
        return bytes(coder.get_compressed().tobytes())

    return encode


def _ans_decode(stream: Any) -> Callable[[bytes, Models, Sequence[int]], Symbols]:
    def decode(body: bytes, models: Models, lengths: Sequence[int]) -> Symbols:
        coder = stream.stack.AnsCoder(_words(body))
        return [coder.decode(model, length) for model, length in zip(models, lengths, strict=True)]

    return decode
