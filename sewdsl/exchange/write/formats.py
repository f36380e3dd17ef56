"""The formats that a network can be exported to, and the metadata that every file stores."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeAlias

from sewdsl.exchange.errors import MissingLibrary
from sewdsl.ir.network import Network
from sewdsl.light_dataclass import dataclass
from sewdsl.notation import UnwritableNetwork, write_net
from sewdsl.plugins import installed_version

Outputs: TypeAlias = Any
"""The output of a module: a tensor, or a dictionary of tensors by the names of several outputs."""


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


def _imported(module: str, name: str) -> Callable[..., Any]:
    """Return a function of a module of this package, which is imported when the function is called.

    The libraries that it imports need not be installed: the function raises MissingLibrary for one that is not.
    """

    def call(*args: Any, **options: Any) -> Any:
        try:
            found = getattr(import_module(f"sewdsl.exchange.write.{module}"), name)
        except ImportError as error:  # a library that is there may still fail to load
            if error.name and error.name.partition(".")[0] == "sewdsl":
                raise
            raise MissingLibrary(error.name or module.partition(".")[0]) from None
        return found(*args, **options)

    return call


_run_onnx = _imported("onnx.run_model", "run_model")
FORMATS: dict[str, ExportFormat] = {
    "nir": ExportFormat(
        (".nir",),
        _imported("nir.write_graph", "to_bytes"),
        _imported("nir.execute", "run_file"),
        1e-4,
        double=True,
        sequence=True,
    ),
    "onnx": ExportFormat((".onnx",), _imported("onnx.write_model", "to_scanned_bytes"), _run_onnx, 1e-4),
    "onnx-unrolled": ExportFormat((".onnx",), _imported("onnx.write_model", "to_unrolled_bytes"), _run_onnx, 1e-4),
    "python": ExportFormat(
        (".py",),
        _imported("python", "write"),
        _imported("source.document", "run_source"),
        1e-8,
        double=True,
        holds_weights=False,
    ),
    "spikingjelly": ExportFormat(
        (".py",),
        _imported("spikingjelly", "write"),
        _imported("spikingjelly", "run_layers"),
        1e-8,
        double=True,
        holds_weights=False,
    ),
    "torch-export": ExportFormat(
        (".pt2",), _imported("archive", "write_archive"), _imported("archive", "run_archive"), 1e-4
    ),
}
FORMAT_BY_SUFFIX: dict[str, str] = {".nir": "nir", ".onnx": "onnx", ".pt2": "torch-export", ".py": "python"}
"""The format that a file's ending means, unless another one is asked for."""


def file_metadata(network: Network, inputs: str) -> dict[str, str]:
    """Return the metadata of a file, as texts by name.

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
