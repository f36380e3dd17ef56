import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from sewdsl.resources import cache_folder
from sewdsl.train.data.numpy_files import load_or_make

SHAPE = (2, 3)


class Maker:
    """Makes an array, and counts how often."""

    def __init__(self, value: int = 7) -> None:
        self.value, self.made = value, 0

    def __call__(self) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        self.made += 1
        return np.full(SHAPE, self.value, dtype=np.uint8)


def files(cache: Path) -> list[Path]:
    return sorted(path for path in cache.rglob("*") if path.is_file())


def test_made_once(cache: Path) -> None:
    make = Maker()
    for _ in range(3):
        found = load_or_make(("a", 1), SHAPE, make)
        assert found.dtype == np.uint8
        assert found.tolist() == [[7] * 3] * 2
    assert make.made == 1
    assert [path.suffix for path in files(cache)] == [".npz"]


def test_another_key_is_another_array() -> None:
    keys = [("a", 1), ("a", 2), ("b", 1), ("a", "1")]
    assert [int(load_or_make(key, SHAPE, Maker(value))[0, 0]) for value, key in enumerate(keys)] == [0, 1, 2, 3]


@pytest.mark.parametrize("damage", ["empty", "cut", "bit", "other", "shape"])
def test_damaged_is_made_anew(damage: str, cache: Path) -> None:
    load_or_make(("a",), SHAPE, Maker())
    (path,) = files(cache)
    data = bytearray(path.read_bytes())
    if damage == "other":
        np.savez(path, something=np.zeros(3))
    elif damage == "shape":
        np.savez(path, frames=np.zeros((3, 2)))
    else:
        data[60] ^= 16
        path.write_bytes({"empty": b"", "cut": bytes(data[:-30]), "bit": bytes(data)}[damage])
    make = Maker(5)
    assert load_or_make(("a",), SHAPE, make)[0, 0] == 5
    assert load_or_make(("a",), SHAPE, make)[0, 0] == 5
    assert make.made == 1


def test_writers_at_once(cache: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: load_or_make(("a",), SHAPE, Maker()), range(32)))
    assert all((array == 7).all() for array in found)
    assert len(files(cache)) == 1


def test_nothing_is_left_of_a_write_that_fails(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.savez_compressed", full)
    with pytest.warns(UserWarning, match="cannot write frames to the cache .*: No space left on device"):
        assert load_or_make(("a",), SHAPE, Maker())[0, 0] == 7
    assert files(cache) == []


def test_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("SEWDSL_CACHE")
    assert cache_folder() == tmp_path / "sewdsl"
    monkeypatch.delenv("XDG_CACHE_HOME")
    if sys.platform == "linux":
        assert cache_folder() == Path.home() / ".cache" / "sewdsl"
