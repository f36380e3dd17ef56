"""The program of a network as torch traces it, in operations of torch alone."""

from __future__ import annotations

import json
from copy import deepcopy
from io import BytesIO
from typing import TYPE_CHECKING, cast

import torch
from torch.export import Dim

from sewdsl.exchange.errors import ExportError
from sewdsl.exchange.write.formats import file_metadata
from sewdsl.lower import SpikingNetwork
from sewdsl.lower.stream import StepState
from sewdsl.passes import Program
from sewdsl.passes.steps import hoist_static
from sewdsl.snn.kernels.neuron import reference
from sewdsl.snn.neuron import Neuron
from sewdsl.snn.streamed_past import ReadsPast

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.export import ExportedProgram

    from sewdsl.exchange.write.formats import Outputs


METADATA_FILE = "sewdsl.json"
"""The file in an archive that says what it is of."""


class PlainNetwork(SpikingNetwork):
    """A network in evaluation in as few operations of torch as will do; its modules are copies of another network's.

    Weights are stored row by row: of others torch warns that they may not be saved as they should be.
    """

    def __init__(self, model: SpikingNetwork) -> None:
        program, _ = hoist_static(Program.of(model.network))
        modules = {node.name: deepcopy(model.get_submodule(node.name)) for node in model.network.nodes[1:]}
        super().__init__(program, modules)
        self.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload, unused-ignore]

    def run(
        self,
        x_TN: Tensor,
        step: StepState | None = None,  # noqa: ARG002
        wanted: frozenset[int] | None = None,
    ) -> dict[int, Tensor]:
        """Run the network with neurons that no gradient passes."""
        return super().run(x_TN, PlainSequence(), wanted)


class PlainSequence(StepState):
    """Computes the spikes of whole sequences step by step; equal to the reference's for finite numbers.

    What needs no steps, parallel neurons and norms with a weight for each, runs as it is.
    """

    def __init__(self) -> None:
        super().__init__(None, 0)

    def advance(self, name: str, module: nn.Module, x_TN: Tensor) -> Tensor:
        """Return the output for a sequence ``[T, N, *]`` of a module that reads the past.

        Raises:
            ExportError: something else has been put into its place.
        """
        if isinstance(module, ReadsPast):
            y_TN: Tensor = module(x_TN)
            return y_TN
        if not isinstance(module, Neuron):
            raise ExportError(f"{name} is {type(module).__name__}, not one of our neurons")
        return _spikes(module, x_TN, None)[0]

    def begin(self, masks: dict[str, Tensor]) -> StepState:
        """Return the state before the first time-step of a loop."""
        return _PlainStep(None, 0, masks)


class _PlainStep(StepState):
    """A time-step of a loop."""

    def _fire(self, name: str, module: Neuron, x_TN: Tensor) -> Tensor:
        spikes_TN, self.after[name] = _spikes(module, x_TN, self._potential(name, module, x_TN))
        return spikes_TN


def _spikes(neuron: Neuron, x_TN: Tensor, v: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the spikes ``[T, N, *]``, and the potential after them."""
    spec, wide = neuron.spec, torch.promote_types(x_TN.dtype, torch.float32)
    charge, drive_TN = reference.charge_function(spec, x_TN if x_TN.dtype == wide else x_TN.to(wide), neuron.learned)
    v, fired = torch.full_like(drive_TN[0], spec.rest) if v is None else v, []
    for drive in drive_TN.unbind():
        h = charge(v, drive)
        fired.append(h >= spec.v_threshold)
        v = torch.where(fired[-1], h - spec.v_threshold if spec.v_reset is None else spec.v_reset, h)
    return torch.stack(fired).to(x_TN.dtype), v


def export_program(model: SpikingNetwork) -> ExportedProgram:
    """Return the program of a module in evaluation: for any number of samples, and the network's number of time-steps.

    Raises:
        ExportError: torch cannot trace one of its layers.
    """
    settings = model.network.settings
    dtype = torch.get_default_dtype() if model.example is None else model.example.dtype
    steps = [] if settings.encode == "direct" else [settings.steps]
    x = torch.zeros(*steps, 2, *settings.input, dtype=dtype)  # the size of an axis of one would be fixed
    try:
        with torch.no_grad():
            return torch.export.export(PlainNetwork(model), (x,), dynamic_shapes=({len(steps): Dim("N")},))
    except Exception as error:  # whatever torch, or a layer of one's own, raises there
        first, *_ = str(error).strip().splitlines() or [type(error).__name__]
        raise ExportError(f"torch.export cannot trace {model.network.name}: {first}") from error


def write_archive(model: SpikingNetwork, inputs: str = "") -> bytes:
    """Return the file of :func:`export_program`, with what it is of, and how inputs are scaled, as ``sewdsl.json``."""
    file = BytesIO()
    torch.export.save(
        export_program(model), file, extra_files={METADATA_FILE: json.dumps(file_metadata(model.network, inputs))}
    )
    return file.getvalue()


def run_archive(data: bytes, x: Tensor) -> Outputs:
    """Return the outputs of an archive for an input."""
    with torch.no_grad():
        return cast("Outputs", torch.export.load(BytesIO(data)).module()(x))
