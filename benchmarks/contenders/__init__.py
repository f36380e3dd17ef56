"""Who is compared: one line each, one module for each library."""

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
    """A library as it is used.

    Attributes:
        name: As the tables print it.
        package: What it imports.
        module: Of this package; its ``build`` makes the networks.
        options: What ``build`` is told in addition to the workload.
        planned: Whether it is told how much memory there is.
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
        """Whether it can be measured here; nothing is imported to find out."""
        return all(find_spec(package) is not None for package in (self.package, *self.needs))

    def build(self, workload: Workload) -> Model:
        """The workload's network, with weights of its own."""
        model: Model = import_module(f"{__name__}.{self.module}").build(workload, **self.options)
        return model


SEWDSL = Contender("sewdsl", "sewdsl", "ours")
SPIKINGJELLY = Contender("SpikingJelly", "spikingjelly", "spiking_jelly")
SNNTORCH = Contender("snnTorch", "snntorch", "snn_torch")

LEVEL_2 = Contender("sewdsl, optimize 2", "sewdsl", "ours", {"optimize": 2})
"""With all passes: those too that round otherwise, as ``optimize 2`` in a recipe has it."""
PLANNED = Contender("sewdsl in 290 MB", "sewdsl", "ours", {"memory": "290MB"}, planned=True)
"""With ``memory 290MB`` in its recipe: hardly more than what a step of 7B-Net in 16 bits takes at the least."""

ENGINES = tuple(
    Contender(f"{name}{words}", package, "exported", {"engine": package, "form": form}, needs=("onnx",))
    for name, package in (("onnxruntime", "onnxruntime"), ("OpenVINO", "openvino"))
    for words, form in (("", "onnx"), (", unrolled", "onnx-unrolled"))
)
"""What runs an exported model: inference in float32, on the CPU alone."""

CONTENDERS = (SEWDSL, SPIKINGJELLY, SNNTORCH)
"""The first is whom the others are held against."""


def contender(name: str) -> Contender:
    """The contender of a name."""
    return next(contender for contender in (*CONTENDERS, LEVEL_2, PLANNED, *ENGINES) if contender.name == name)


def engines(workload: Workload) -> tuple[Contender, ...]:
    """Those that can run a workload, installed or not."""
    fits = not workload.train and not workload.layer and workload.precision == "fp32" and workload.device == "cpu"
    return ENGINES if fits else ()
