"""Reader of AEDAT 4: packets of flatbuffers, uncompressed or compressed with LZ4.

The decoder of the package ``aedat`` crashes the process on some damaged files, so this module reads the format itself.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sewdsl.paths import open_file
from sewdsl.plugins import missing_package
from sewdsl.train.data.dataset import DataError
from sewdsl.train.data.events.event_stream import Events
from sewdsl.train.data.numpy_files import MAX_RATIO, MAX_UNPACKED

if TYPE_CHECKING:
    from numpy.typing import NDArray

VERSION = b"#!AER-DAT4.0\r\n"
LZ4 = (1, 2)
"""LZ4 with fast and high compression, which decompress alike."""
COMPRESSIONS = ("none", "LZ4", "LZ4", "Zstandard", "Zstandard")
PACKET = struct.Struct("<ii")
"""Header of a packet: stream number, and size in bytes."""
EVENTS = b"EVTS"
EVENT = [("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "?"), ("", "V3")]
"""Time in µs, column, row, polarity (True: brighter), and padding."""


def read_aedat4(path: Path) -> Events:
    """Read the events of the stream with the lowest number, as tonic does, and ignore other streams.

    Raises:
        DataError: If lz4 is required but not installed.
        ValueError: If the file is not AEDAT 4, has another compression, or is truncated.
        OSError: If the file cannot be read.
    """
    import numpy as np

    with open_file(path) as file:
        data = file.read()
    if not data.startswith(VERSION):
        raise ValueError("not an AEDAT 4 file")
    start = len(VERSION)
    header = _sized(data[start:])
    start += len(header)
    compression, end = _read_number("<i", header, 0, 0), _read_number("<q", header, 1, -1)
    if compression not in (0, *LZ4):
        name = COMPRESSIONS[compression] if 0 <= compression < len(COMPRESSIONS) else f"number {compression}"
        raise ValueError(f"compression is {name}, expected LZ4 or none")
    if end > len(data):
        raise ValueError(f"the file is truncated: it has {len(data):,} bytes, but its table of packets is at {end:,}")
    streams: dict[int, list[NDArray[Any]]] = {}
    for stream, content in _packets(path, data[: end if end > 0 else len(data)], start, unpack=compression in LZ4):
        if content[8:12] == EVENTS:
            streams.setdefault(stream, []).append(_events(content))
    # The empty array covers files without events.
    events = np.concatenate([np.zeros(0, EVENT), *(streams[min(streams)] if streams else [])])
    return Events.of(events["t"], events["x"], events["y"], events["p"])


def _packets(path: Path, data: bytes, start: int, *, unpack: bool) -> Iterator[tuple[int, bytes]]:
    """Yield the stream number and the unpacked content of each packet, up to a total size limit."""
    # A small file must not unpack to more than memory can hold.
    remaining = max(MAX_UNPACKED, MAX_RATIO * len(data))
    while start < len(data):
        if start + PACKET.size > len(data):
            raise ValueError("the file ends within the header of a packet")
        stream, size = PACKET.unpack_from(data, start)
        start += PACKET.size
        if size < 0 or start + size > len(data):
            raise ValueError("the file ends within a packet")
        content = data[start : start + size]
        content = _unpack(path, content, remaining) if unpack else content
        remaining -= len(content)
        yield stream, _sized(content)
        start += size


def _unpack(path: Path, compressed: bytes, max_bytes: int) -> bytes:
    try:
        from lz4.frame import LZ4FrameDecompressor
    except ImportError:
        raise DataError(missing_package(f"'{path}'", "lz4")) from None
    decompressor = LZ4FrameDecompressor()
    try:
        content = decompressor.decompress(compressed, max_length=max_bytes)
    except (RuntimeError, MemoryError) as error:
        raise ValueError(f"cannot decompress a packet: {error}") from None
    # The input is truncated, or the output has reached the limit.
    if not decompressor.eof:
        raise ValueError("a packet is truncated, or unpacks to too many bytes")
    return bytes(content)


def _events(content: bytes) -> NDArray[Any]:
    """Return the event vector, the first field of the packet's table."""
    import numpy as np

    field = _find_field(content, 0)
    if field is None:
        return np.zeros(0, EVENT)
    vector = field + _integer("<I", content, field)
    count = _integer("<I", content, vector)
    if vector + 4 + count * np.dtype(EVENT).itemsize > len(content):
        raise ValueError(f"a packet declares {count:,} events, but is too short for them")
    return np.frombuffer(content, EVENT, count, vector + 4)


def _sized(data: bytes) -> bytes:
    """Return the leading flatbuffer of some data, including its size prefix."""
    size = _integer("<I", data, 0)
    if size + 4 > len(data):
        raise ValueError("the file ends within a table")
    return data[: size + 4]


def _read_number(kind: str, table: bytes, index: int, default: int) -> int:
    field = _find_field(table, index)
    return default if field is None else _integer(kind, table, field)


def _find_field(data: bytes, index: int) -> int | None:
    """Return the offset of a field of a flatbuffer's first table, or None if the field is omitted."""
    table = 4 + _integer("<I", data, 4)
    offsets = table - _integer("<i", data, table)
    entry = 4 + 2 * index
    if entry + 2 > _integer("<H", data, offsets):
        return None
    offset = _integer("<H", data, offsets + entry)
    # An offset of 0 marks an omitted field.
    return table + offset if offset else None


def _integer(kind: str, data: bytes, offset: int) -> int:
    # The offsets come from the file, and a damaged table can hold any value.
    if offset < 0 or offset + struct.calcsize(kind) > len(data):
        raise ValueError("an offset in a table is outside the table")
    value: int = struct.unpack_from(kind, data, offset)[0]
    return value
