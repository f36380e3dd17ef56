"""Files as the datasets and the other libraries leave them, written byte by byte."""

import pickle
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sewdsl.train.data.events.event_stream import Events


def some_events(count: int = 50, size: int = 34, seed: int = 0) -> Events:
    """Random events in order of time, at both ends of what a file can hold."""
    generator = np.random.default_rng(seed)
    t = np.sort(generator.integers(0, 300_000, count))
    x, y = generator.integers(0, size, (2, count))
    x[0], y[0], x[-1], y[-1] = 0, 0, size - 1, size - 1
    return Events.of(t, x, y, generator.integers(0, 2, count))


def nmnist_bin(path: Path, events: Events) -> None:
    rows = [
        struct.pack(">BBBH", x, y, p << 7 | t >> 16, t & 0xFFFF)
        for t, x, y, p in zip(*(array.tolist() for array in events), strict=True)
    ]
    path.write_bytes(b"".join(rows))


def aedat2(path: Path, events: Events) -> None:
    words = np.stack([(127 - events.x) << 8 | (127 - events.y) << 1 | 1 - events.p, events.t], axis=1)
    path.write_bytes(b"#!AER-DAT2.0\r\n# This is a raw AE data file\r\n" + words.astype(">u4").tobytes())


def aedat3(path: Path, events: Events, packet: int = 16, *, spoilt: bool = True) -> None:
    """Packets of polarity, one of another kind between, room after the last event, and an event that is invalid."""
    out = [b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n"]
    for start in range(0, len(events.t), packet):
        t, x, y, p = (array[start : start + packet] for array in events)
        words = np.stack([x << 17 | y << 2 | p << 1 | 1, t], axis=1)
        if spoilt:
            words = np.insert(words, len(words) // 2, (5 << 17 | 5 << 2, int(t[0])), axis=0)
        data = words.astype("<u4").tobytes() + (b"\xff" * 8 if spoilt else b"")
        capacity, valid = len(data) // 8, len(words) - spoilt
        out += [struct.pack("<HHIIIIII", 1, 1, 8, 4, 0, capacity, len(words), valid), data]
        out += [struct.pack("<HHIIIIII", 0, 1, 4, 0, 0, 1, 1, 1), b"\xff" * 4] if spoilt else []
    path.write_bytes(b"".join(out))


_INFO = """<dv version="2.0"><node name="outInfo" path="/outInfo/">{streams}</node></dv>"""
_STREAM = """<node name="{number}" path="/outInfo/{number}/">
<attr key="compression" type="string">{compression}</attr>
<attr key="originalModuleName" type="string">capture</attr>
<attr key="originalOutputName" type="string">events</attr>
<attr key="typeDescription" type="string">Array of events.</attr>
<attr key="typeIdentifier" type="string">EVTS</attr>
<node name="info" path="/outInfo/{number}/info/"><attr key="sizeX" type="int">128</attr>
<attr key="sizeY" type="int">128</attr><attr key="source" type="string">DVS128</attr></node></node>"""


def aedat4(path: Path, events: Events, packet: int = 16, *, lz4: bool = False, streams: int = 1) -> None:
    """Packets of events, as DV writes them but that LZ4 finds nothing to compress; of other streams, the first.

    Flatbuffers: a size, where the table begins, four letters, the offsets of the table's fields, and the table.
    """
    described = [_STREAM.format(number=number, compression="LZ4" if lz4 else "NONE") for number in range(streams)]
    info = _INFO.format(streams="".join(described)).encode()
    info += b"\0" * (4 - len(info) % 4)
    head = struct.pack("<I4s6x5H", 24, b"IOHE", 10, 20, 4, 12, 8)
    head += struct.pack("<iIIqI", 10, lz4, 12, -1, len(info.rstrip(b"\0"))) + info
    out = [b"#!AER-DAT4.0\r\n", struct.pack("<I", len(head)), head]

    def add(stream: int, part: Events) -> None:
        count = len(part.t)
        rows = [struct.pack("<qhh?3x", t, x, y, p) for t, x, y, p in zip(*(a.tolist() for a in part), strict=True)]
        table = struct.pack("<I4s2x3HiII", 16, b"EVTS", 6, 8, 4, 6, 4, count) + b"".join(rows)
        data = struct.pack("<I", len(table)) + table
        if lz4:  # the head of a frame, one block as it is, and the end
            data = bytes.fromhex("04224d18604082") + struct.pack("<I", len(data) | 1 << 31) + data + bytes(4)
        out.extend([struct.pack("<ii", stream, len(data)), data])

    for start in range(0, len(events.t), packet):
        add(0, Events(*(array[start : start + packet] for array in events)))
        for stream in range(1, streams):
            add(stream, Events(*(array[:1] for array in events)))
    path.write_bytes(b"".join(out))


def npz(path: Path, events: Events, kind: str = "<i8") -> None:
    np.savez(path, **{name: array.astype(kind) for name, array in events._asdict().items()})


def tonic_npy(path: Path, events: Events) -> None:
    np.save(path, np.stack([events.x, events.y, events.p, events.t // 1000], axis=1))


def structured_npy(path: Path, events: Events) -> None:
    table = np.zeros(len(events.t), dtype=[("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", "?")])
    for name in Events._fields:
        table[name] = getattr(events, name)
    np.save(path, table)


def lip_npy(path: Path, events: Events) -> None:
    """A table as DVS-Lip has it, a byte for each coordinate."""
    table = np.zeros(len(events.t), dtype=[("t", "<i4"), ("x", "i1"), ("y", "i1"), ("p", "i1")])
    for name in Events._fields:
        table[name] = getattr(events, name)
    np.save(path, table)


def two_polarities(path: Path, events: Events) -> None:
    """A file of ES-ImageNet: rows y, x, t of those where it became brighter, and of the others."""
    rows = np.stack([events.y, events.x, events.t], axis=1).astype(np.uint8)
    np.savez_compressed(folder(path), pos=rows[events.p == 1], neg=rows[events.p == 0])


def frames_npz(path: Path, events: Events, make: Callable[..., Any], *arguments: Any) -> None:
    np.savez_compressed(path, frames=make(events, *arguments).astype(np.float64))


def heidelberg(
    path: Path, words: Sequence[tuple[int, Any, Any]], keys: Sequence[str] = (), names: str = "spikes"
) -> None:
    """A file of SHD or SSC: label, times in s and channels of each recording, lists of float16 and uint16."""
    import h5py  # noqa: PLC0415 -- it may be missing

    with h5py.File(folder(path), "w") as file:
        for name, kind, column in (("times", np.float16, 1), ("units", np.uint16, 2)):
            lists = file.create_dataset(f"spikes/{name}", (len(words),), h5py.vlen_dtype(np.dtype(kind)))
            for index, word in enumerate(words):
                lists[index] = np.asarray(word[column], kind)
        file["labels"] = np.array([word[0] for word in words], np.uint16)
        file["extra/speaker"] = np.zeros(len(words), np.uint16)
        file["extra/keys"] = np.array([key.encode() for key in keys], "S")


def folder(path: Path) -> Path:
    """A file's path, with the folder around it made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def idx(path: Path, array: Any) -> None:
    """A file of MNIST."""
    head = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    folder(path).write_bytes(head + array.astype(np.uint8).tobytes())


def pickled(path: Path, content: dict[str, Any]) -> None:
    """A file of CIFAR."""
    folder(path).write_bytes(pickle.dumps(content))
