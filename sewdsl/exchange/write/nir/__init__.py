"""Networks as graphs of the Neuromorphic Intermediate Representation (NIR); see ``docs/exchange.md``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sewdsl.exchange.errors import MissingLibrary
from sewdsl.exchange.write.formats import ExportFormat

if TYPE_CHECKING:
    from torch import Tensor

    from sewdsl.lower import SpikingNetwork

__all__ = ["target"]


def _write(model: SpikingNetwork, inputs: str) -> bytes:
    _need_nir()
    from sewdsl.exchange.write.nir.write_graph import to_bytes  # noqa: PLC0415 -- needs nir

    return to_bytes(model, inputs)


def _run(data: bytes, x: Tensor) -> Tensor:
    _need_nir()
    from sewdsl.exchange.write.nir.execute import NirExecutor  # noqa: PLC0415 -- needs nir
    from sewdsl.exchange.write.nir.write_graph import from_bytes  # noqa: PLC0415 -- as above

    return NirExecutor(from_bytes(data)).run(x)


def _need_nir() -> None:
    try:
        import nir  # noqa: F401, PLC0415 -- an extra that may not be there
    except ImportError:
        raise MissingLibrary("nir") from None


target = ExportFormat(endings=(".nir",), write=_write, run=_run, sequence=True)
"""NIR files; what runs them is the reference of this package."""
