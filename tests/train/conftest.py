"""A network that learns the small digits in a second, and a run of it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from sewdsl.compiler import read
from sewdsl.train.fit.lightning_loop import RunOptions
from sewdsl.train.fit.train_run import start_run
from sewdsl.train.report import pictures
from sewdsl.train.store.measurements import Epochs
from sewdsl.train.store.result import Result
from sewdsl.train.store.run_folder import RunFolder, write_run_file
from sewdsl.train.training_plan import plan_training

SMALL = """\
sewdsl 1
network "Small"
input   1x8x8
steps   3
encode  direct
body    c4k3-BN-PLIF-{SEW Block-MPk2s2}*2-FC10

train on digits {
    epochs 2
    batch 200
    optimizer Adam(lr=0.05)
    schedule Step(size=1, gamma=0.5)
}
"""
LIGHT = SMALL.replace("{SEW Block-MPk2s2}*2", "MPk4s4")
"""The network without its blocks, for tests that look at none: it is trained in two thirds of the time."""


class Run(NamedTuple):
    """A run and what it returned."""

    folder: RunFolder
    result: Result


DRAWN: dict[str, str | bytes] = {}
"""Curves by what they are told apart by, see :func:`curves`."""


@pytest.fixture(scope="module")
def figures_matter() -> bool:
    """Return whether to draw figures again. Tests that read or replace figures override this fixture."""
    return False


@pytest.fixture(scope="module", autouse=True)
def curves(*, figures_matter: bool) -> Iterator[dict[str, str | bytes]]:
    """Curves that have the same lines are drawn once for all tests: to draw them takes longer than to train an epoch.

    A test that must see them drawn anew clears this.
    """
    draw, draw_png = pictures._draw, pictures.draw_png

    def draw_once(title: str, lines: dict[str, dict[int, float]]) -> str:
        shown = repr((title, lines if figures_matter else list(lines)))
        if shown not in DRAWN:
            DRAWN[shown] = draw(title, lines)
        return str(DRAWN[shown])

    def draw_png_once(epochs: Epochs, title: str, path: Path) -> None:
        shown = repr((epochs, title) if figures_matter else sorted({name for row in epochs.values() for name in row}))
        if shown in DRAWN:
            write_run_file(path, DRAWN[shown])
        else:
            draw_png(epochs, title, path)
            DRAWN[shown] = path.read_bytes()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "_draw", draw_once)
        patch.setattr(pictures, "draw_png", draw_png_once)
        yield DRAWN


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the network."""
    path = tmp_path_factory.mktemp("spec") / "small.net"
    path.write_text(SMALL, encoding="utf-8")
    return path


def trains(spec: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """Return a function that trains a network into a fresh folder, with overrides of its recipe."""

    def run(**changes: object) -> Run:
        compilation = read(spec, set={f"train.{key}": value for key, value in changes.items()})
        folder = RunFolder(tmp_path_factory.mktemp("run"))
        return Run(folder, start_run(compilation, plan_training(compilation), folder))

    return run


@pytest.fixture(scope="session")
def trained(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """Train the file into a new folder, with overrides of its recipe."""
    return trains(small, tmp_path_factory)


@pytest.fixture(scope="session")
def run(trained: Callable[..., Run]) -> Run:
    """Return a shared run, whose folder tests must not change."""
    return trained()


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run on a folder of sequences, ``frames`` next to it."""
    place = tmp_path_factory.mktemp("sequences")
    random = np.random.default_rng(0)
    for split, label, number in ((s, c, i) for s in ("train", "test") for c in (0, 1) for i in range(3)):
        path = place / "frames" / split / str(label) / f"{number}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, random.integers(0, 2, (3, 1, 8, 8)).astype(np.float32))
    text = SMALL.replace("encode  direct\n", "").replace("FC10", "FC2").replace("digits", "frame-folder")
    (place / "frames.net").write_text(text.replace("epochs 2", "epochs 1"), "utf-8")
    compilation = read(place / "frames.net")
    folder = RunFolder(place / "run")
    folder.path.mkdir()
    return Run(folder, start_run(compilation, plan_training(compilation, place / "frames"), folder, RunOptions()))
