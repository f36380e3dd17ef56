"""What ``sewdsl export --to folder`` has written: a trained network by itself, without the state to go on with."""

from __future__ import annotations

from pathlib import Path

from sewdsl.paths import is_file

WEIGHTS = "weights.safetensors"
"""The weights, by the keys of ``sewdsl.compile(…).state_dict()``."""
EPOCH = "epoch"
"""The key in the metadata of that file under which it says whose weights they are: ``last`` or ``best``."""


def is_exported(path: Path) -> bool:
    """Whether a network and its weights are there."""
    return is_file(path / "spec.net") and is_file(path / WEIGHTS)
