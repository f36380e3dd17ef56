"""Networks as graphs of the Neuromorphic Intermediate Representation (NIR); see ``docs/exchange.md``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sewdsl.exchange.errors import MissingLibrary
from sewdsl.exchange.nir_metadata import DEFAULT_DT
from sewdsl.exchange.write.formats import ExportFormat

if TYPE_CHECKING:
    from torch import Tensor

    from sewdsl.exchange.write.formats import Outputs
    from sewdsl.lower import SpikingNetwork

__all__ = ["target", "write"]


def write(model: SpikingNetwork, inputs: str, dt: float = DEFAULT_DT) -> bytes:
    """Return the file of a network in evaluation.

    Args:
        model: Module in evaluation mode.
        inputs: How inputs are scaled, in words; may be empty.
        dt: Seconds of a time-step, > 0.

    Raises:
        ExportError: If NIR cannot express the network, or nir is missing.
    """
    _need_nir()
    from sewdsl.exchange.write.nir.write_graph import to_bytes

    return to_bytes(model, inputs, dt)


def _run(data: bytes, x: Tensor) -> Outputs:
    _need_nir()
    from sewdsl.exchange.write.nir.execute import NirExecutor
    from sewdsl.exchange.write.nir.write_graph import from_bytes

    return NirExecutor(from_bytes(data)).run(x)


def _need_nir() -> None:
    try:
        import nir  # noqa: F401 -- an extra that may not be there
    except ImportError:
        raise MissingLibrary("nir") from None


target = ExportFormat(endings=(".nir",), write=write, run=_run, tolerance=1e-4, double=True, sequence=True)
"""NIR files; what runs them is the reference of this package."""
