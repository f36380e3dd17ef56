"""The formats that a network can be exported to, one package each, and the metadata that every file stores."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeAlias

from sewdsl.ir.network import Network
from sewdsl.light_dataclass import dataclass
from sewdsl.notation import UnwritableNetwork, write_net
from sewdsl.plugins import installed_version

Outputs: TypeAlias = Any
"""The output of a module: a tensor, or a dictionary of tensors by the names of several outputs."""

FORMATS: dict[str, str] = {
    "nir": "sewdsl.exchange.write.nir",
    "onnx": "sewdsl.exchange.write.onnx",
    "onnx-unrolled": "sewdsl.exchange.write.onnx:unrolled_target",
    "python": "sewdsl.exchange.write.python",
    "spikingjelly": "sewdsl.exchange.write.spikingjelly",
    "torch-export": "sewdsl.exchange.write.archive",
}
"""The package of each format, and the attribute that is the format unless that is ``target``."""
FORMAT_BY_SUFFIX: dict[str, str] = {".nir": "nir", ".onnx": "onnx", ".pt2": "torch-export", ".py": "python"}
"""The format that a file's ending means, unless another one is asked for."""


@dataclass(frozen=True)
class ExportFormat:
    """A format.

    Attributes:
        endings: How its files end.
        write: The file of a module in evaluation mode, in the dtype of its parameters, which says how inputs
            are scaled; an empty text where that is not known. The one of NIR also has ``dt``, a time-step in s. Raises
            :class:`~sewdsl.exchange.errors.ExportError` where it cannot be.
        run: Outputs of the file for an input, ``[T, N, *]`` or static, computed by the library that files of this
            format are for. If the file does not have the weights, they are the last argument.
        tolerance: Largest difference that ``--check`` accepts, as a fraction of the largest output.
        double: Whether ``run`` computes in float64 for an input in float64, whatever the dtype of the weights.
        sequence: Whether that is the output of each time-step, ``[T, N, *]``, and not one readout.
        holds_weights: Whether the weights are in the file; if not, they are written next to it.
    """

    endings: tuple[str, ...]
    write: Callable[..., bytes]
    run: Callable[..., Outputs]
    tolerance: float
    double: bool = False
    sequence: bool = False
    holds_weights: bool = True


def load_format(name: str) -> ExportFormat:
    """A format by its name, one of ``FORMATS``."""
    package, _, attribute = FORMATS[name].partition(":")
    found: ExportFormat = getattr(import_module(package), attribute or "target")
    return found


def file_metadata(network: Network, inputs: str) -> dict[str, str]:
    """Texts by name.

    ``name``, ``steps``, ``encode`` and ``readout`` of the network; as ``spec`` the text of a ``.net`` file that
    compiles to it, empty where there is none; as ``inputs`` how they are scaled, empty where unknown; and the
    ``version`` of sewdsl that wrote it, empty if not installed.
    """
    settings = network.settings
    try:
        spec = write_net(network)
    except UnwritableNetwork:
        spec = ""
    return {
        "name": network.name,
        "steps": str(settings.steps),
        "encode": settings.encode,
        "readout": settings.readout,
        "spec": spec,
        "inputs": inputs,
        "version": installed_version("sewdsl"),
    }
