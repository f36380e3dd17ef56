"""Files of NIR from anywhere: what is damaged, or made to harm, ends with a sentence."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest

from sewdsl.exchange.errors import ExportError, MissingLibrary
from sewdsl.exchange.read.draft import ModelImportError
from sewdsl.exchange.read.nir import open_hdf5, read_graph, safe_traverse
from tests.exchange.incoming.graphs import conv, fires, flatten, graph, leaks, numbers
from tests.exchange.incoming.run import reads
from tests.words import raises


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "net.nir"
    inner = graph(
        (3, 8, 8),
        {"c": conv(3, 3, input_shape=(8, 8)), "n": fires(3, 8, 8)},
        "input c",
        "c n",
        "n output",
        "input output",
    )
    nodes = {
        "c": conv(2, 3, input_shape=(8, 8)),
        "n": fires(3, 8, 8),
        "block": inner,
        "f": flatten(3, 8, 8),
        "a": nir.Linear(numbers(4, 192)),
    }
    nir.write(path, graph((2, 8, 8), {**nodes, "o": leaks(4)}))
    return path


def test_is_read(file: Path) -> None:
    """The file is read like the graph in memory."""
    found = read_graph(file)
    reads(found, "c3k3s1-IF-ADD[c3k3s1-IF | id]-FC4b0-LIF")
    assert found.network.name == "net"


def no_type(file: h5py.File) -> None:
    del file["node/nodes/c/type"]


def no_edges(file: h5py.File) -> None:
    del file["node/edges"]


def no_weight(file: h5py.File) -> None:
    del file["node/nodes/c/weight"]


def words(file: h5py.File) -> None:
    del file["node/nodes/c/weight"]
    file["node/nodes/c/weight"] = "many"


def external(file: h5py.File) -> None:
    del file["node/nodes/c/weight"]
    file["node/nodes/c/weight"] = h5py.ExternalLink("/etc/passwd", "/")


def soft(file: h5py.File) -> None:
    del file["node/nodes/c/weight"]
    file["node/nodes/c/weight"] = h5py.SoftLink("/node/nodes/a/weight")


def circle(file: h5py.File) -> None:
    file["node/nodes/c/again"] = file["node"]


def elsewhere(file: h5py.File) -> None:
    del file["node/nodes/c/weight"]
    file["node/nodes/c"].create_dataset("weight", (3, 2, 3, 3), "f8", external=[("/etc/passwd", 0, 432)])


def huge(file: h5py.File) -> None:
    del file["node/nodes/c/weight"]
    file["node/nodes/c"].create_dataset("weight", (1 << 20, 1 << 20), "f8", chunks=(1, 1024), compression="gzip")


def named_type(file: h5py.File) -> None:
    file["node/nodes/c/kind"] = np.dtype("f8")


def complex_numbers(file: h5py.File) -> None:
    file["node/nodes/c/more"] = np.zeros(3, np.complex128)


def three_ends(file: h5py.File) -> None:
    del file["node/edges"]
    file["node/edges"] = [[b"input", b"a", b"c"]]


DAMAGE: dict[Callable[[h5py.File], None], str] = {
    no_type: r"^c is not a NIR node: its type is missing$",
    no_edges: r"^this is not a NIR graph: nodes or edges are missing$",
    no_weight: r"^c \(Conv2d\) has no weight$",
    words: r"^c \(Conv2d\) has a weight with non-numeric or non-finite values$",
    external: r"contains a link: /node/nodes/c/weight$",
    soft: r"contains a link: /node/nodes/c/weight$",
    circle: r"has groups nested more than 32 deep$",
    named_type: r"contains an object that is not an array: /node/nodes/c/kind$",
    complex_numbers: r"contains an array that is neither numeric nor text: /node/nodes/c/more$",
    three_ends: r"^an edge has 3 ends, expected 2$",
    elsewhere: r"refers to another file: /node/nodes/c/weight$",
    huge: r"declares 8,796,093,022,208 bytes, but stores too few to fill them: /node/nodes/c/weight$",
}


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_damage(damage: Callable[[h5py.File], None], file: Path) -> None:
    with h5py.File(file, "a") as found:
        damage(found)
    with pytest.raises(ModelImportError, match=DAMAGE[damage]):
        read_graph(file)


def test_more_than_anybody_needs(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safe_traverse, "MAX_ITEMS", 40)
    with (
        h5py.File(file) as found,
        raises(safe_traverse.DamagedFile),
    ):
        safe_traverse.load_unread(found)


@pytest.mark.parametrize(
    ("script", "said"), [("while True: pass", "did not finish reading it"), ("exit(139)", "cannot read it")]
)
def test_a_library_that_stops(script: str, said: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or does not: it does so elsewhere."""
    other = file.with_name("other.py")
    other.write_text(script)
    monkeypatch.setattr(open_hdf5, "BASE_TIMEOUT_SECONDS", 0.5)
    monkeypatch.setattr(safe_traverse, "__file__", str(other))
    with pytest.raises(ModelImportError, match=rf"net\.nir' is damaged: HDF5 {said}"):
        read_graph(file)


def test_no_file(tmp_path: Path) -> None:
    with raises(ModelImportError):
        read_graph(tmp_path / "none.nir")
    with raises(ModelImportError, "2"):
        read_graph(tmp_path)
    (tmp_path / "net.nir").write_text("sewdsl 1")
    with raises(ModelImportError, "3"):
        read_graph(tmp_path / "net.nir")
    with h5py.File(tmp_path / "other.nir", "w") as found:
        found["node"] = np.zeros(3)
    with raises(ModelImportError, "4"):
        read_graph(tmp_path / "other.nir")


def test_bytes_that_changed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever they are, it is read or refused."""
    monkeypatch.setattr(open_hdf5, "BASE_TIMEOUT_SECONDS", 3.0)
    data, generator = file.read_bytes(), random.Random(0)  # noqa: S311 -- the same every time
    said = []
    for _ in range(10):
        changed = bytearray(data)
        for _ in range(generator.choice((1, 4, 64))):
            changed[generator.randrange(len(data))] = generator.randrange(256)
        if generator.random() < 0.2:
            changed = changed[: generator.randrange(len(data))]
        file.write_bytes(bytes(changed))
        try:
            read_graph(file)
        except ExportError as error:
            said.append(str(error))
    assert len(said) > 4
    assert not any("\n" in message for message in said)


def test_h5py_may_be_missing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message states how to install h5py, which is a dependency of nir."""
    monkeypatch.setitem(sys.modules, "h5py", None)
    with raises(MissingLibrary):
        read_graph(file)
