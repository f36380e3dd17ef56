"""AEDAT 4: packets that are flatbuffers, compressed with LZ4 or not at all.

The decoder of the package ``aedat`` ends the whole process at some damaged files, so its layout is read here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sewdsl.paths import open_file
from sewdsl.train.data.dataset import MissingReader
from sewdsl.train.data.events.event_stream import Events
from sewdsl.train.data.numpy_files import MAX_RATIO, MAX_UNPACKED

if TYPE_CHECKING:
    from numpy.typing import NDArray

VERSION = b"#!AER-DAT4.0\r\n"
LZ4 = (1, 2)
"""Fast and high compression; both are unpacked alike."""
COMPRESSIONS = ("none", "LZ4", "LZ4", "Zstandard", "Zstandard")
PACKET = struct.Struct("<ii")
"""Number of the stream, and bytes that follow."""
EVENTS = b"EVTS"
EVENT = [("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "?"), ("", "V3")]
"""Time in µs, column, row, whether it became brighter, and room."""


def read_aedat4(path: Path) -> Events:
    """Read the events of a file: those of the stream with the lowest number, as in tonic; no other stream is read.

    Raises:
        DataError: If lz4 is needed, and not installed.
        ValueError: If it is no AEDAT 4, is packed in another way, or ends within a packet.
        OSError: If it cannot be read.
    """
    import numpy as np

    with open_file(path) as file:
        data = file.read()
    if not data.startswith(VERSION):
        raise ValueError("it is no AEDAT 4")
    start = len(VERSION)
    header = _sized(data[start:])
    start += len(header)
    packed, end = _number("<i", header, 0, 0), _number("<q", header, 1, -1)
    if packed not in (0, *LZ4):
        name = COMPRESSIONS[packed] if 0 <= packed < len(COMPRESSIONS) else f"number {packed}"
        raise ValueError(f"it is compressed in the way {name}, expected LZ4 or none")
    if end > len(data):
        raise ValueError(f"it has been cut: {len(data):,} bytes are there, and its table of packets is at {end:,}")
    streams: dict[int, list[NDArray[Any]]] = {}
    for stream, content in _packets(path, data[: end if end > 0 else len(data)], start, unpack=packed in LZ4):
        if content[8:12] == EVENTS:
            streams.setdefault(stream, []).append(_events(content))
    events = np.concatenate([np.zeros(0, EVENT), *(streams[min(streams)] if streams else [])])
    return Events.of(events["t"], events["x"], events["y"], events["p"])


def _packets(path: Path, data: bytes, start: int, *, unpack: bool) -> Iterator[tuple[int, bytes]]:
    """Yield the streams' numbers and what is in the packets, unpacked; all of them together within a bound."""
    left = max(MAX_UNPACKED, MAX_RATIO * len(data))
    while start < len(data):
        if start + PACKET.size > len(data):
            raise ValueError("it ends within the head of a packet")
        stream, size = PACKET.unpack_from(data, start)
        start += PACKET.size
        if size < 0 or start + size > len(data):
            raise ValueError("it ends within a packet")
        content = data[start : start + size]
        content = _unpack(path, content, left) if unpack else content
        left -= len(content)
        yield stream, _sized(content)
        start += size


def _unpack(path: Path, packed: bytes, most: int) -> bytes:
    try:
        from lz4.frame import LZ4FrameDecompressor
    except ImportError:
        raise MissingReader(path, "lz4") from None
    unpacker = LZ4FrameDecompressor()
    try:
        content = unpacker.decompress(packed, max_length=most)
    except (RuntimeError, MemoryError) as error:
        raise ValueError(f"a packet cannot be unpacked: {error}") from None
    if not unpacker.eof:
        raise ValueError("a packet ends too early, or unpacks to more than its size accounts for")
    return bytes(content)


def _events(content: bytes) -> NDArray[Any]:
    """Return the vector of events, the first field of its table."""
    import numpy as np

    field = _field(content, 0)
    if field is None:
        return np.zeros(0, EVENT)
    at = field + _integer("<I", content, field)
    count = _integer("<I", content, at)
    if at + 4 + count * np.dtype(EVENT).itemsize > len(content):
        raise ValueError(f"a packet says that it has {count:,} events, and is too short for them")
    return np.frombuffer(content, EVENT, count, at + 4)


def _sized(data: bytes) -> bytes:
    """Return a flatbuffer, whose size comes first."""
    size = _integer("<I", data, 0)
    if size + 4 > len(data):
        raise ValueError("it ends within a table")
    return data[: size + 4]


def _number(kind: str, table: bytes, number: int, default: int) -> int:
    field = _field(table, number)
    return default if field is None else _integer(kind, table, field)


def _field(data: bytes, number: int) -> int | None:
    """Return where a field of a flatbuffer's first table is; None where it is left out, and so has its default."""
    table = 4 + _integer("<I", data, 4)
    offsets = table - _integer("<i", data, table)
    place = 4 + 2 * number
    if place + 2 > _integer("<H", data, offsets):
        return None
    offset = _integer("<H", data, offsets + place)
    return table + offset if offset else None


def _integer(kind: str, data: bytes, at: int) -> int:
    """Return a number at a place, which a damaged table may say anything of."""
    if at < 0 or at + struct.calcsize(kind) > len(data):
        raise ValueError("a table points outside of itself")
    value: int = struct.unpack_from(kind, data, at)[0]
    return value
