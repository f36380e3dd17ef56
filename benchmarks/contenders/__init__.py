"""Contenders: one line each, and one module per library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from benchmarks.workload import Workload

if TYPE_CHECKING:
    from benchmarks.contenders.model import Model


@dataclass(frozen=True)
class Contender:
    """Library in one configuration.

    Attributes:
        name: Name in the tables.
        package: Package of the library, as imported.
        module: Module of this package with a function ``build``.
        options: Options of ``build`` in addition to the workload.
        planned: Whether it has a memory budget.
        needs: Other packages that it imports.
    """

    name: str
    package: str
    module: str
    options: Mapping[str, object] = field(default_factory=dict)
    planned: bool = False
    needs: tuple[str, ...] = ()

    @property
    def installed(self) -> bool:
        """Return whether the packages are installed, without importing them."""
        return all(find_spec(package) is not None for package in (self.package, *self.needs))

    def build(self, workload: Workload) -> Model:
        """Return the network of a workload, with its own initial weights."""
        model: Model = import_module(f"{__name__}.{self.module}").build(workload, **self.options)
        return model


SEWDSL = Contender("sewdsl", "sewdsl", "ours")
SPIKINGJELLY = Contender("SpikingJelly", "spikingjelly", "spiking_jelly")
SNNTORCH = Contender("snnTorch", "snntorch", "snn_torch")

LEVEL_2 = Contender("sewdsl, optimize 2", "sewdsl", "ours", {"optimize": 2})
"""With all passes, including those that change rounding, as with ``optimize 2`` in a recipe."""
PLANNED = Contender("sewdsl in 290 MB", "sewdsl", "ours", {"memory": "290MB"}, planned=True)
"""With ``memory 290MB`` in its recipe, slightly more than the minimum of a 16-bit step of 7B-Net."""

ENGINES = tuple(
    Contender(f"{name}{words}", package, "exported", {"engine": package, "form": form}, needs=("onnx",))
    for name, package in (("onnxruntime", "onnxruntime"), ("OpenVINO", "openvino"))
    for words, form in (("", "onnx"), (", unrolled", "onnx-unrolled"))
)
"""Engines of exported models, for inference in float32 on the CPU."""

CONTENDERS = (SEWDSL, SPIKINGJELLY, SNNTORCH)
"""Libraries, the first of which is the reference."""


def contender(name: str) -> Contender:
    """Return the contender of a name."""
    return next(contender for contender in (*CONTENDERS, LEVEL_2, PLANNED, *ENGINES) if contender.name == name)


def engines(workload: Workload) -> tuple[Contender, ...]:
    """Return the engines that can run a workload, installed or not."""
    # Exported models have fixed weights and compute in float32.
    fits = not workload.train and not workload.layer and workload.precision == "fp32" and workload.device == "cpu"
    return ENGINES if fits else ()
