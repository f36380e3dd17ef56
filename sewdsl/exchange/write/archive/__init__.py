"""``torch.export`` archives: a graph of torch's own operations with its weights, which needs torch alone to run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sewdsl.exchange.write.formats import ExportFormat

if TYPE_CHECKING:
    from torch import Tensor

    from sewdsl.exchange.write.formats import Outputs
    from sewdsl.lower import SpikingNetwork


def _write(model: SpikingNetwork, inputs: str) -> bytes:
    from sewdsl.exchange.write.archive.program import write_archive

    return write_archive(model, inputs)


def _run(data: bytes, x: Tensor) -> Outputs:
    from sewdsl.exchange.write.archive.program import run_archive

    return run_archive(data, x)


target = ExportFormat(endings=(".pt2",), write=_write, run=_run, tolerance=1e-4)
