"""The benchmarks of convolutions by events and of kept memory run, and compare what they say."""

import sys

import pytest

from benchmarks import events, own_loop, passes


def test_layers_and_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LAYERS", ((16, 6, 2),))
    monkeypatch.setattr(events, "ACTIVE", (0.1,))
    monkeypatch.setattr(events, "DENSE_LAYERS", ((64, 16, 16),))
    said = list(events.lines({"tiny": 2}, 1))
    assert said[0].startswith("16 to 16 at 6x6, 10% active: as fast as dense output ")
    assert said[1].startswith("64 to 64 at 16x16, by Winograd's algorithm: output ")
    assert [line.partition(":")[0] for line in said[2:]] == [
        f"tiny, {kind}, {level}" for kind in ("training", "inference") for level in events.LEVELS
    ]


def test_levels_and_passes() -> None:
    (line,) = passes.lines("tiny", 1, "level 1")
    assert line.startswith("tiny, level 1: ")


@pytest.mark.deep
@pytest.mark.skipif(sys.platform != "linux", reason="glibc's settings")
def test_ways_to_keep_memory() -> None:
    found = own_loop.measure("memory_kept()", "nmnist", 2, 1)
    assert found["seconds"] > 0
    assert found["megabytes"] >= 0
