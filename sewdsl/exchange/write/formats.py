"""Export formats, and the metadata that every file contains."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, TypeAlias

from sewdsl.exchange.errors import MissingLibrary
from sewdsl.ir.network import Network
from sewdsl.light_dataclass import dataclass
from sewdsl.notation import UnwritableNetwork, write_net
from sewdsl.plugins import installed_version

Outputs: TypeAlias = Any
"""Output of a module: a tensor, or a dictionary of tensors by output name."""


@dataclass(frozen=True)
class ExportFormat:
    """Export format."""

    endings: tuple[str, ...]
    """File suffixes."""
    write: Callable[..., bytes]
    """Returns the file of a module in evaluation mode, in the dtype of its parameters. Its second argument describes
    the input scaling and is empty if unknown. For NIR, the third is ``dt``, a time-step in seconds. Raises
    :class:`~sewdsl.exchange.errors.ExportError` if the network cannot be expressed."""
    run: Callable[..., Outputs]
    """Returns the outputs of a file for an input, ``[T, N, *]`` or static, computed by the library of the format. If
    the file does not contain the weights, they are the last argument."""
    tolerance: float
    """Maximum difference that ``--check`` accepts, as a fraction of the largest output."""
    double: bool = False
    """Whether ``run`` computes in float64 for a float64 input, whatever the dtype of the weights."""
    sequence: bool = False
    """Whether ``run`` returns the output of every time-step, ``[T, N, *]``, instead of the readout."""
    holds_weights: bool = True
    """Whether the file contains the weights. If not, they are written to a separate file."""
    ties_weights: bool = True
    """Whether the file contains the weights of a part once for all its calls."""


def _lazy(module: str, name: str) -> Callable[..., Any]:
    """Return a function of a module that is imported on the first call, or raises MissingLibrary."""

    def call(*args: Any, **options: Any) -> Any:
        try:
            function = getattr(import_module(f"sewdsl.exchange.write.{module}"), name)
        except ImportError as error:  # An installed library may also fail to load.
            if error.name and error.name.partition(".")[0] == "sewdsl":
                raise
            raise MissingLibrary(error.name or module.partition(".")[0]) from None
        return function(*args, **options)

    return call


_source_format = partial(ExportFormat, tolerance=1e-8, double=True, holds_weights=False)
_run_onnx = _lazy("onnx.run_model", "run_model")
FORMATS: dict[str, ExportFormat] = {
    "nir": ExportFormat(
        (".nir",),
        _lazy("nir.write_graph", "to_bytes"),
        _lazy("nir.execute", "run_file"),
        1e-4,
        double=True,
        sequence=True,
        ties_weights=False,
    ),
    "onnx": ExportFormat((".onnx",), _lazy("onnx.write_model", "to_scanned_bytes"), _run_onnx, 1e-4),
    "onnx-unrolled": ExportFormat((".onnx",), _lazy("onnx.write_model", "to_unrolled_bytes"), _run_onnx, 1e-4),
    "python": _source_format((".py",), _lazy("python", "write"), _lazy("source.document", "run_source")),
    "spikingjelly": _source_format((".py",), _lazy("spikingjelly", "write"), _lazy("spikingjelly", "run_layers")),
    "torch-export": ExportFormat((".pt2",), _lazy("archive", "write_archive"), _lazy("archive", "run_archive"), 1e-4),
}
FORMAT_BY_SUFFIX: dict[str, str] = {
    ".nir": "nir",
    ".onnx": "onnx",
    ".pt2": "torch-export",
    ".py": "python",
}
"""Default format by file suffix."""


def untied_weights(network: Network) -> str:
    """Return a sentence about the parts whose weights a file contains several times, or an empty text."""
    calls = {network.nodes[owner].name.partition(".")[0]: len(users) for owner, users in network.users.items()}
    parts = " and ".join(f"'{part}' for each of its {count} calls" for part, count in calls.items())
    return f"the file has separate weights of {parts}" if parts else ""


def file_metadata(network: Network, inputs: str) -> dict[str, str]:
    """Return the metadata of a file: ``name``, ``steps``, ``encode``, ``readout``, ``spec``, ``inputs``, ``version``.

    ``spec`` is the text of a ``.net`` file that compiles to the network. ``inputs`` describes the input scaling.
    ``version`` is that of sewdsl. Unknown values are empty.
    """
    settings = network.settings
    try:
        spec = write_net(network)
    # Networks from Python need not have a text.
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
