"""What a network can be exported to: one package per format, found by its name here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from sewdsl.lower import SpikingNetwork

FORMATS: dict[str, str] = {
    "nir": "sewdsl.export.nir",
    "onnx": "sewdsl.export.onnx",
    "onnx-unrolled": "sewdsl.export.onnx.unrolled",
    "python": "sewdsl.export.python",
    "spikingjelly": "sewdsl.export.spikingjelly",
    "torch-export": "sewdsl.export.archive",
}
"""The package of each format; it has a ``target``."""
FORMAT_BY_SUFFIX: dict[str, str] = {".nir": "nir", ".onnx": "onnx", ".pt2": "torch-export", ".py": "python"}
"""The format that a file's ending stands for, unless another one is asked for."""


@dataclass(frozen=True)
class ExportFormat:
    """A format.

    Attributes:
        endings: How its files end.
        write: The file of a module in evaluation mode, in the number format of its parameters, which says how inputs
            are scaled; an empty text where that is not known. Raises :class:`~sewdsl.export.refusal.ExportError` where
            it cannot be.
        run: What the file gives for an input, ``[T, N, *]`` or static, with the library that files of this format are
            for; to see that it is the same. Where the file does not hold the weights, it is given them too.
        sequence: Whether that is the output of each time-step, ``[T, N, *]``, and not one readout.
        holds_weights: Whether the weights are in the file; if not, they are written beside it.
    """

    endings: tuple[str, ...]
    write: Callable[[SpikingNetwork, str], bytes]
    run: Callable[..., Tensor]
    sequence: bool = False
    holds_weights: bool = True


def load_format(name: str) -> ExportFormat:
    """A format by its name, one of ``FORMATS``."""
    found: ExportFormat = import_module(FORMATS[name]).target
    return found
