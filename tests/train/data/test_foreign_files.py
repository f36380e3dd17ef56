"""Files of samples from anywhere: whatever they hold, they are read or refused, in little memory."""

import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sewdsl.train.data import datasets
from sewdsl.train.data.dataset import DataError, DataOptions
from sewdsl.train.data.events.recording import EventFile, FrameFile
from sewdsl.train.data.imagenet import ImageFiles
from sewdsl.train.data.numpy_files import MAX_UNPACKED
from tests.effort import examples
from tests.systems import make_fifo
from tests.train.data import writers
from tests.train.data.writers import some_events
from tests.words import raises

ROOT = Path(__file__).parents[3]
STEPS, SHAPE = 3, (2, 34, 34)
FRAMES = np.random.default_rng(0).integers(0, 3, (STEPS, *SHAPE)).astype(np.float64)
TRIALS = "class,start,end\n1,2,30000\n3,30000,60000\n"
RAW = "MNIST/raw"
NO_ARRAYS = "not an array of numbers in numpy's format"
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 24, 3)).astype(np.uint8))


def read_events(path: Path) -> object:
    return EventFile(0, path)._make(STEPS, SHAPE)


def event_file(path: Path) -> object:
    """Read an event file as a run does, with the cache."""
    return EventFile(0, path).frames(STEPS, SHAPE)


def frame_file(path: Path) -> object:
    frames = FrameFile(0, path).frames(STEPS, SHAPE)
    assert frames.shape == (STEPS, *SHAPE)
    assert torch.from_numpy(frames.astype(np.float32)).isfinite().all()
    return frames


def image_file(path: Path) -> object:
    return ImageFiles([(0, path)], (3, 8, 8)).batch(torch.tensor([0]))


def digits(path: Path) -> object:
    """A part of MNIST, one of whose files is this one."""
    for name, count in (("train", 6), ("t10k", 3)):
        for kind, array in (("images-idx3", np.zeros((count, 28, 28))), ("labels-idx1", np.arange(count))):
            other = path.parent / f"{name}-{kind}-ubyte"
            if other != path:
                writers.idx(other, array)
    splits = datasets()["mnist"](DataOptions(path.parents[2], subset=True)).load()
    return [part.batch(torch.arange(len(part.y))) for part in splits]


def gesture_table(path: Path) -> object:
    writers.aedat3(path.with_name("user01_led.aedat"), some_events())
    for name in ("train", "test"):
        path.with_name(f"trials_to_{name}.txt").write_text("user01_led.aedat\n")
    return datasets()["dvs128-gesture"](DataOptions(path.parent, STEPS, subset=True)).find()


def gesture_trials(path: Path) -> object:
    path.with_name("user01_led_labels.csv").write_text(TRIALS)
    path.with_name("trials_to_test.txt").write_text("user01_led.aedat\n")
    writers.aedat3(path.with_name("user01_led.aedat"), some_events())
    return datasets()["dvs128-gesture"](DataOptions(path.parent, STEPS, subset=True)).find()


class Kind:
    """A format: how a good file is written, and what reads it."""

    def __init__(self, name: str, write: Callable[[Path], object], read: Callable[[Path], object]) -> None:
        self.name, self.write, self.read = name, write, read


KINDS = {
    "N-MNIST": Kind("a.bin", lambda path: writers.nmnist_bin(path, some_events()), read_events),
    "AEDAT 2": Kind("a.aedat", lambda path: writers.aedat2(path, some_events()), read_events),
    "AEDAT 3.1": Kind("a.aedat", lambda path: writers.aedat3(path, some_events()), read_events),
    "AEDAT 4": Kind("a.aedat4", lambda path: writers.aedat4(path, some_events()), read_events),
    "npz": Kind("a.npz", lambda path: writers.npz(path, some_events()), read_events),
    "npz, compressed": Kind("a.npz", lambda path: np.savez_compressed(path, **some_events()._asdict()), read_events),
    "npy": Kind("a.npy", lambda path: writers.tonic_npy(path, some_events()), read_events),
    "structured npy": Kind("a.npy", lambda path: writers.structured_npy(path, some_events()), event_file),
    "frames, npz": Kind("a.npz", lambda path: np.savez_compressed(path, frames=FRAMES), frame_file),
    "frames, npy": Kind("a.npy", lambda path: np.save(path, FRAMES), frame_file),
    "IDX, images": Kind(
        "MNIST/raw/train-images-idx3-ubyte", lambda path: writers.idx(path, np.zeros((6, 28, 28))), digits
    ),
    "IDX, classes": Kind("MNIST/raw/t10k-labels-idx1-ubyte", lambda path: writers.idx(path, np.arange(3)), digits),
    "table of gestures": Kind(
        "user01_led_labels.csv",
        lambda path: path.write_text("class,start,end\n1,2,30000\n3,30000,60000\n"),
        gesture_table,
    ),
    "list of gestures": Kind("trials_to_train.txt", lambda path: path.write_text("user01_led.aedat\n"), gesture_trials),
    **{
        name: Kind(f"a.{name.lower()}", lambda path, name=name: PICTURE.save(path, name), image_file)  # type: ignore[misc]
        for name in ("PNG", "JPEG", "BMP", "WEBP", "GIF")
    },
}


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """Cut, with flipped bits, with a piece that is elsewhere in it, or with digits that make a number longer."""
    found = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        early = draw(st.booleans())  # where headers are
        at = draw(st.integers(0, min(len(found), 150) if early else len(found)))
        match draw(st.sampled_from(["cut", "flip", "splice", "digits", "same"])):
            case "cut":
                del found[at:]
            case "flip" if at < len(found):
                found[at] ^= 1 << draw(st.integers(0, 7))
            case "splice":
                start, length = draw(st.integers(0, len(data))), draw(st.integers(0, 20))
                found[at : at + draw(st.integers(0, 9))] = data[start : start + length]
            case "digits":
                found[at : at + 1] = b"9" * draw(st.integers(1, 25))
            case "same":
                found[at:at] = bytes([draw(st.integers(0, 255))]) * draw(st.integers(1, 30))
    return bytes(found)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_read_or_refused(kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / "set" / kind.name
    path.parent.mkdir(parents=True)
    kind.write(path)
    good = path.read_bytes()
    kind.read(path)

    @examples(25)
    @given(data=damaged(good))
    def read(data: bytes) -> None:
        path.write_bytes(data)
        with suppress(DataError, *((OSError, ValueError) if kind.read is read_events else ())):
            kind.read(path)

    read()


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("{'descr': '<i8', 'fortran_order': False, 'shape': (4,", NO_ARRAYS),
        ("{'descr': '<i8', 'fortran_order': False, 'shape': (99999999999999999999, 4)}", NO_ARRAYS),
        ("{'descr': '<i8', 'fortran_order': False, 'shape': (9" + "9" * 5000 + ", 4)}", NO_ARRAYS),
        (
            "{'descr': '<i8', 'fortran_order': False, 'shape': (1000000000, 4)}",
            "the header declares 32,000,000,000 bytes, but 32 follow",
        ),
        ("{'descr': '|O', 'fortran_order': False, 'shape': (1, 4)}", NO_ARRAYS),
        ("{'descr': '|V0', 'fortran_order': False, 'shape': (1000000000, 4)}", NO_ARRAYS),
        ("{'descr': '<i8', 'fortran_order': 0, 'shape': (1, 4)}", NO_ARRAYS),
        ("{'descr': '<i8', 'fortran_order': False, 'shape': (True, 4)}", NO_ARRAYS),
        ("(" * 5000, NO_ARRAYS),
    ],
)
def test_headers(header: str, said: str, tmp_path: Path) -> None:
    text = header.encode() + b"\n"
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text + bytes(32))
    with pytest.raises(DataError, match=rf"cannot read '.*a.np[yz]': {re.escape(said)}$"):
        EventFile(0, tmp_path / "a.npy").frames(1, (2, 8, 8))


def test_an_old_header(tmp_path: Path) -> None:
    """The files have headers of numpy under Python 2, and of the second version."""
    text = b"{'descr': '<i8', 'fortran_order': True, 'shape': (1L, 4L)}\n"
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\2\0" + len(text).to_bytes(4, "little") + text + bytes(32))
    assert EventFile(0, tmp_path / "a.npy").frames(1, (2, 8, 8)).sum() == 1


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("x", [0.0, 1.5], "x contains 1.5, expected integers"),
        ("y", [0.0, 0.25], "y contains 0.25, expected integers"),
        ("p", [1, 2], "p contains 1, 2, expected 0 and 1, or -1 and 1"),
        ("p", [0, -1], "p contains -1, 0, expected 0 and 1, or -1 and 1"),
        ("p", [0.5, 1], "p contains 0.5, expected integers"),
        ("p", [2, 2], "p contains 2, expected 0 and 1, or -1 and 1"),
    ],
)
def test_coordinates_and_polarities_that_are_none(name: str, values: list[float], said: str, tmp_path: Path) -> None:
    arrays: dict[str, Any] = {"t": [0, 1], "x": [0, 1], "y": [0, 1], "p": [0, 1], name: values}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=rf"cannot read '.*a.np[yz]': {re.escape(said)}$"):
        EventFile(0, tmp_path / "a.npz").frames(1, (2, 8, 8))


def test_times_may_be_fractions(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", t=[0.25, 0.5], x=[0.0, 1.0], y=[0, 1], p=[-1, 1])
    assert EventFile(0, tmp_path / "a.npz").frames(1, (2, 8, 8)).sum((0, 2, 3)).tolist() == [1, 1]


def test_archives_that_numpy_does_not_write(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", t=[0], x=[0], y=[0], p=[0])
    with (
        zipfile.ZipFile(tmp_path / "a.npz") as good,
        zipfile.ZipFile(tmp_path / "b.npz", "w", zipfile.ZIP_LZMA) as other,
    ):
        for member in good.namelist():
            other.writestr(member, good.read(member))
    with raises(DataError):
        EventFile(0, tmp_path / "b.npz").frames(1, (2, 8, 8))


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".aedat", ".aedat4", ".bin"])
def test_a_fifo_is_not_waited_for(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    make_fifo(path)
    for read in (event_file, frame_file):
        with pytest.raises(DataError, match="FIFO"):
            read(path)


def test_a_class_that_is_no_class(tmp_path: Path) -> None:
    """A folder's name may be any number; all of the classes up to it are not counted."""
    for name in ("0", "9" * 40):
        writers.npz(writers.folder(tmp_path / "train" / name / "a.npz"), some_events())
        writers.npz(writers.folder(tmp_path / "test" / name / "a.npz"), some_events())
    said = rf"folder '{'9' * 20}' in '.*' exceeds the limit of 100,000 classes"
    with pytest.raises(DataError, match=said):
        datasets()["event-folder"](DataOptions(tmp_path, STEPS, SHAPE, classes=2)).load()


PROGRAM = """
import resource, sys
from pathlib import Path
import numpy, PIL.Image, PIL.PngImagePlugin
from sewdsl.train.data.events.recording import EventFile, FrameFile
from sewdsl.train.data.imagenet import ImageFiles
from sewdsl.train.data.dataset import DataError
folder, limit = Path(sys.argv[1]), int(sys.argv[2])
now = next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if "VmSize" in line)
resource.setrlimit(resource.RLIMIT_AS, (1024 * now + limit, 1024 * now + limit))
reads = {
    "claims.npy": lambda path: EventFile(0, path).frames(3, (2, 34, 34)),
    "bomb.npz": lambda path: EventFile(0, path).frames(3, (2, 34, 34)),
    "frames.npz": lambda path: FrameFile(0, path).frames(3, (2, 34, 34)),
    "bomb.png": lambda path: ImageFiles([(0, path)], (3, 8, 8))._open(path),
}
for name, read in reads.items():
    try:
        read(folder / name)
    except DataError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it limits the memory of a process as Linux does")
def test_memory_is_bounded(tmp_path: Path) -> None:
    """Files claim large sizes, or decompress to them. The reader has 100 MB."""
    header = b"{'descr': '<i8', 'fortran_order': False, 'shape': (1000000000, 4)}\n"
    (tmp_path / "claims.npy").write_bytes(b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + bytes(64))
    zeros = np.zeros(75 * 2**20, np.uint8)
    np.savez_compressed(tmp_path / "bomb.npz", t=zeros, x=zeros, y=zeros, p=zeros)
    np.savez_compressed(tmp_path / "frames.npz", frames=zeros)
    Image.new("1", (10_000, 9_000)).save(tmp_path / "bomb.png")
    arguments = [sys.executable, "-c", PROGRAM, str(tmp_path), str(100 * 2**20)]
    environment = {**os.environ, "SEWDSL_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    size = (tmp_path / "bomb.npz").stat().st_size
    assert size < MAX_UNPACKED // 64
    claims, bomb, frames, picture = done.stdout.splitlines()
    assert claims.endswith("the header declares 32,000,000,000 bytes, but 64 follow")
    assert bomb.endswith(f"{size:,} bytes unpack to {4 * (len(zeros) + 128):,}, expected at most {MAX_UNPACKED:,}")
    assert "has frames of the shape (78643200,), but the network expects (3, 2, 34, 34)" in frames
    assert picture.endswith("the image has 10000x9000 pixels, expected at most 67,108,864")
