import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sewdsl.train.data.dataset import DataError
from sewdsl.train.data.events.event_stream import Events
from sewdsl.train.data.events.file_formats import read_events
from sewdsl.train.data.events.recording import EventFile, FrameFile
from sewdsl.train.data.numpy_files import MAX_UNPACKED
from tests.systems import make_link
from tests.train.data import writers
from tests.train.data.writers import some_events
from tests.words import raises

FORMATS: dict[str, tuple[str, Callable[[Path, Events], None]]] = {
    "N-MNIST": ("a.bin", writers.nmnist_bin),
    "AEDAT 2": ("a.aedat", writers.aedat2),
    "AEDAT 3.1": ("a.aedat", writers.aedat3),
    "AEDAT 4": ("a.aedat4", writers.aedat4),
    "AEDAT 4, other streams": ("a.aedat4", lambda path, events: writers.aedat4(path, events, streams=3)),
    "npz": ("a.npz", writers.npz),
    "npz, big-endian": ("a.npz", lambda path, events: writers.npz(path, events, ">u4")),
    "structured npy": ("a.npy", writers.structured_npy),
}


@pytest.mark.parametrize(("name", "write"), FORMATS.values(), ids=FORMATS)
def test_there_and_back(name: str, write: Callable[[Path, Events], None], tmp_path: Path) -> None:
    events = some_events()
    write(tmp_path / name, events)
    for found, written in zip(read_events(tmp_path / name), events, strict=True):
        assert found.dtype == np.int64
        assert found.tolist() == written.tolist()


def test_tonic_keeps_milliseconds(tmp_path: Path) -> None:
    events = some_events()
    writers.tonic_npy(tmp_path / "a.npy", events)
    found = read_events(tmp_path / "a.npy")
    assert found.t.tolist() == (events.t // 1000).tolist()
    assert [array.tolist() for array in found[1:]] == [array.tolist() for array in events[1:]]


def test_first_events_of_a_real_recording(shared: Path) -> None:
    events = read_events(shared / "nmnist" / "Train" / "0" / "00002.bin")
    assert events.x[:4].tolist() == [10, 33, 12, 33]
    assert events.y[:4].tolist() == [30, 20, 27, 3]
    assert events.p[:4].tolist() == [1, 1, 1, 1]
    assert events.t[:4].tolist() == [937, 1030, 1052, 2078]


def test_clock_that_runs_over(tmp_path: Path) -> None:
    events = Events.of([5, 0, 7], [1, 0, 2], [1, 240, 2], [1, 0, 0])
    writers.nmnist_bin(tmp_path / "a.bin", events)
    assert [array.tolist() for array in read_events(tmp_path / "a.bin")] == [[5, 8199], [1, 2], [1, 2], [1, 0]]


def test_overflows_of_aedat3(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat"
    writers.aedat3(path, some_events(), spoilt=False)
    data = bytearray(path.read_bytes())
    at = data.index(b"#!END-HEADER\r\n") + 14
    data[at + 12] = 1
    path.write_bytes(data)
    assert read_events(path).t[0] == some_events().t[0] + 2**31


@pytest.mark.parametrize("polarity", [[1, -1], [True, False], [1.0, 0.0]])
def test_polarity(polarity: list[float]) -> None:
    assert Events.of([0, 1], [0, 0], [0, 0], polarity).p.tolist() == [1, 0]


@pytest.mark.parametrize("cut", [1, 3, 21])
@pytest.mark.parametrize("format_", ["N-MNIST", "AEDAT 2", "AEDAT 3.1", "npz", "structured npy"])
def test_cut_short(format_: str, cut: int, tmp_path: Path) -> None:
    name, write = FORMATS[format_]
    write(tmp_path / name, some_events())
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-cut])
    with raises(DataError):
        EventFile(0, tmp_path / name).frames(4, (2, 34, 34))


def test_other_contents(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", t=[0], x=[0], y=[0])
    with raises(ValueError):
        read_events(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", t=[0], x=[0], y=[0], p=[0, 1])
    with raises(ValueError, "2"):
        read_events(tmp_path / "b.npz")
    np.save(tmp_path / "a.npy", np.zeros((4, 3)))
    with raises(ValueError, "3"):
        read_events(tmp_path / "a.npy")
    (tmp_path / "a.aedat").write_bytes(b"#!AER-DAT3.1\r\n")
    with pytest.raises(ValueError, match="not an AEDAT"):
        read_events(tmp_path / "a.aedat")


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300, 1j, "a", np.uint64(2**63)])
@pytest.mark.parametrize("name", ["t", "x", "p"])
def test_what_is_no_number(name: str, value: object, tmp_path: Path) -> None:
    """Numpy would make some integer of it, and warn at best."""
    good = {key: np.zeros(3, int) for key in "txyp"}
    arrays: dict[str, Any] = {**good, name: np.full(3, value)}
    np.savez(tmp_path / "a.npz", **arrays)
    with raises(DataError):
        EventFile(0, tmp_path / "a.npz").frames(1, (2, 8, 8))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", t=[0], x=[0], p=[0])
    with raises(DataError):
        EventFile(0, tmp_path / "a.npz").frames(1, (2, 8, 8))
    make_link(tmp_path / "b.npz", "nowhere")
    with raises(DataError, "2"):
        EventFile(0, tmp_path / "b.npz").frames(1, (2, 8, 8))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1j, "a"])
def test_frames_that_are_no_numbers(value: object, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.full((1, 2, 8, 8), value))
    with raises(DataError):
        FrameFile(0, tmp_path / "a.npy").frames(1, (2, 8, 8))


class TestAedat4:
    def test_compressed(self, tmp_path: Path) -> None:
        pytest.importorskip("lz4")
        events = some_events(50, 128)
        writers.aedat4(tmp_path / "a.aedat4", events, lz4=True)
        assert [found.tolist() for found in read_events(tmp_path / "a.aedat4")] == [a.tolist() for a in events]

    def test_as_the_package_reads_it(self, tmp_path: Path) -> None:
        """The decoder that tonic uses."""
        aedat = pytest.importorskip("aedat")
        writers.aedat4(tmp_path / "a.aedat4", some_events(50, 128), lz4=True)
        packets = [packet["events"] for packet in aedat.Decoder(tmp_path / "a.aedat4")]
        for name, wanted in zip(("t", "x", "y", "on"), some_events(50, 128), strict=True):
            assert np.concatenate(packets)[name].tolist() == wanted.tolist()

    def test_without_lz4(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "lz4.frame", None)
        writers.aedat4(tmp_path / "a.aedat4", some_events(50, 128), lz4=True)
        said = r"a\.aedat4' requires lz4, which is not installed; install it with:\n  pip install \"lz4>=4\""
        with pytest.raises(DataError, match=said):
            EventFile(0, tmp_path / "a.aedat4").frames(4, (2, 128, 128))

    def test_bomb(self, tmp_path: Path) -> None:
        """A packet of zeros that unpacks to more than is allowed."""
        frame = pytest.importorskip("lz4.frame")
        path = tmp_path / "a.aedat4"
        writers.aedat4(path, some_events(2, 128), lz4=True)
        packed = frame.compress(bytes(MAX_UNPACKED + 1))
        path.write_bytes(path.read_bytes() + (1).to_bytes(4, "little") + len(packed).to_bytes(4, "little") + packed)
        with raises(ValueError):
            read_events(path)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda data: b"#!AER-DAT4.1" + data[12:], "not an AEDAT 4 file"),
            (lambda data: data[:-1], "the file ends within a packet"),
            (lambda data: data + b"\0", "the file ends within the header of a packet"),
            (lambda data: data[:40], "the file ends within a table"),
            (lambda data: data[:46] + b"\3" + data[47:], "compression is Zstandard, expected LZ4 or none"),
            (lambda data: data[:54] + b"\xff\xff" + bytes(6) + data[62:], "the file is truncated: .* is at 65,535"),
            (lambda data: data[:-259] + b"\1" + data[-258:], "a packet declares 272 events"),
        ],
    )
    def test_damaged(self, change: Callable[[bytes], bytes], said: str, tmp_path: Path) -> None:
        path = tmp_path / "a.aedat4"
        writers.aedat4(path, some_events(16, 128))
        data = change(path.read_bytes())
        path.write_bytes(data)
        with pytest.raises(ValueError, match=said):
            read_events(path)
