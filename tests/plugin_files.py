"""Plugin files of tests, and how a test leaves nothing of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

from sewdsl import plugins

NEURON = """\
from math import log

from pydantic import Field

from sewdsl.ir.op import LinearDynamics, LinearNeuron

print("imported")


class ForgetfulIF(LinearNeuron, kind="FIF"):
    decay: float = Field(default=0.5, gt=0, lt=1)

    def learnable(self):
        return {"w": log(self.decay / (1 - self.decay))}

    def dynamics(self, w):
        return LinearDynamics(decay=w.sigmoid(), gain=1.0, drift=0.0)
"""
"""A neuron that forgets."""
COUNTING = """\
import lightning.pytorch


class Counting(lightning.pytorch.Callback):
    def __init__(self):
        self.epochs = 0

    def on_train_epoch_end(self, trainer, pl_module):
        self.epochs += 1
        pl_module.log("epochs_counted", float(self.epochs))

    def state_dict(self):
        return {"epochs": self.epochs}

    def load_state_dict(self, state):
        self.epochs = state["epochs"]


def callbacks():
    return [Counting()]
"""
"""A callback that logs, and has a state."""
NET = """\
sewdsl 1
network "Own"
input   1x8x8
steps   2
encode  direct
body    c4k3-BN-NEURON-FC10

train on digits {
    epochs 2
    batch 200
    optimizer Adam(lr=0.05)
}
"""


def written(path: Path, text: str) -> Path:
    """A file with a text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text), encoding="utf-8")
    return path


@contextmanager
def left_out() -> Iterator[None]:
    """Remove the modules that are imported in this context."""
    before, known = [*sys.path], plugins.plugin_files()
    try:
        yield
    finally:
        for file in (file for file in plugins.plugin_files() if file not in known):
            plugins.forget_plugin_file(file.module)
        sys.path[:] = before
