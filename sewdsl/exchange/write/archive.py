"""Export with ``torch.export``, in standard PyTorch operations only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from inspect import Parameter, Signature
from io import BytesIO
from typing import TYPE_CHECKING, Any, cast

import torch
from torch.export import Dim
from typing_extensions import override

from sewdsl.exchange.errors import ExportError
from sewdsl.exchange.write.formats import file_metadata
from sewdsl.lower import SpikingNetwork
from sewdsl.lower.stream import StepState
from sewdsl.passes import Program
from sewdsl.passes.steps import hoist_static
from sewdsl.snn.kernels.neuron import reference
from sewdsl.snn.neuron import Neuron
from sewdsl.snn.streamed_past import ReadsPast, StreamedPast

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.export import ExportedProgram

    from sewdsl.exchange.write.formats import Outputs
    from sewdsl.lower.inputs import Inputs


METADATA_FILE = "sewdsl.json"
"""File in the archive with the metadata of the network."""


class PlainNetwork(SpikingNetwork):
    """Network in evaluation mode with few PyTorch operations.

    Its modules are copies of another network's, with contiguous weights.
    """

    def __init__(self, model: SpikingNetwork) -> None:
        program, _ = hoist_static(Program.of(model.network))
        owners = (node.name for node in model.network.layers if node.weights is None)
        modules = {name: deepcopy(model.get_submodule(name)) for name in owners}
        super().__init__(program, modules)
        # torch.save warns about weights that are not contiguous.
        self.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload, unused-ignore]

    def run(
        self,
        values: dict[int, Tensor],
        step: StepState | None = None,  # noqa: ARG002
        targets: frozenset[int] | None = None,
    ) -> dict[int, Tensor]:
        """Run the network with neurons that have no gradient."""
        return super().run(values, PlainSequence(), targets)


class PlainSequence(StepState):
    """Step-by-step computation of spikes.

    Equal to the reference kernel for finite values.

    Layers without a state over time, e.g. parallel neurons and norms with a weight per time-step, run unchanged.
    """

    def __init__(self) -> None:
        super().__init__(None, 0)

    @override
    def advance(self, name: str, module: nn.Module, *inputs: Tensor) -> Tensor:
        """Return the output of a module that reads the past, for a sequence ``[T, N, *]``.

        Raises:
            ExportError: If the module is not a sewdsl neuron.
        """
        if isinstance(module, Neuron):
            return _spikes(module, inputs[0], None)[0]
        if not isinstance(module, ReadsPast):
            raise ExportError(f"{name} is a {type(module).__name__}, expected a sewdsl neuron")
        y_TN: Tensor = module(*inputs)
        return y_TN

    @override
    def first_step(self, masks: dict[str, Tensor]) -> StepState:
        """Return the state before the first time-step of a loop."""
        return _PlainStep(None, 0, masks)


class _PlainStep(StepState):
    """Time-step of a loop."""

    @override
    def call(self, module: ReadsPast, inputs: tuple[Tensor, ...], past: StreamedPast) -> Tensor:
        if not isinstance(module, Neuron):
            return super().call(module, inputs, past)
        spikes_TN, past.after = _spikes(module, inputs[0], past.before)
        return spikes_TN


def _spikes(neuron: Neuron, x_TN: Tensor, v: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the spikes ``[T, N, *]`` and the final membrane potential. 16-bit inputs are computed in float32."""
    spec, compute_dtype = neuron.spec, torch.promote_types(x_TN.dtype, torch.float32)
    charge, drive_TN = reference.charge_function(
        spec, x_TN if x_TN.dtype == compute_dtype else x_TN.to(compute_dtype), neuron.learned
    )
    v, fired = torch.full_like(drive_TN[0], spec.rest) if v is None else v, []
    # A Python loop over time: torch.export unrolls it, since T is fixed.
    for drive in drive_TN.unbind():
        h = charge(v, drive)
        fired.append(h >= spec.v_threshold)
        v = torch.where(fired[-1], h - spec.v_threshold if spec.v_reset is None else spec.v_reset, h)
    return torch.stack(fired).to(x_TN.dtype), v


def export_program(model: SpikingNetwork) -> ExportedProgram:
    """Trace a module in evaluation mode, for any batch size and the network's number of time-steps.

    Raises:
        ExportError: If PyTorch cannot trace a layer.
    """
    settings = model.network.settings
    dtype = torch.get_default_dtype() if model.example is None else model.example.dtype
    samples, named, shapes = Dim("N"), {}, {}
    for source in settings.sources:
        steps = [] if source.encode == "direct" else [settings.steps]
        # torch.export would specialise on a batch size of 1.
        named[source.name] = torch.zeros(*steps, 2, *source.shape, dtype=torch.int64 if source.of else dtype)
        shapes[source.name] = {len(steps): samples}
    try:
        with torch.no_grad():
            plain = PlainNetwork(model)
            if settings.inputs:
                return torch.export.export(_named_arguments(plain), (), named, dynamic_shapes=shapes)
            return torch.export.export(plain, (named[""],), dynamic_shapes=(shapes[""],))
    except Exception as error:  # torch.export, and custom layers, can raise any exception.
        first_line, *_ = str(error).strip().splitlines() or [type(error).__name__]
        raise ExportError(f"torch.export cannot trace {model.network.name}: {first_line}") from error


def _named_arguments(model: PlainNetwork) -> PlainNetwork:
    """Return a module with one argument for each input, because torch.export rejects variable arguments."""

    def forward(self: PlainNetwork, *values: Tensor, **named: Any) -> Outputs:
        return PlainNetwork.forward(self, *values, **named)

    names = ["self", *(source.name for source in model.network.settings.inputs)]
    parameters = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    forward.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    model.__class__ = type("PlainNetwork", (PlainNetwork,), {"forward": forward})
    return model


def write_archive(model: SpikingNetwork, inputs: str = "") -> bytes:
    """Return the archive of :func:`export_program`, with metadata in ``sewdsl.json``.

    ``inputs`` describes the input scaling.
    """
    file = BytesIO()
    torch.export.save(
        export_program(model), file, extra_files={METADATA_FILE: json.dumps(file_metadata(model.network, inputs))}
    )
    return file.getvalue()


def run_archive(data: bytes, x: Inputs) -> Outputs:
    """Run an archive and return its outputs."""
    with torch.no_grad():
        program = torch.export.load(BytesIO(data))
        assert program.example_inputs is not None  # noqa: S101 -- an archive has them
        positional, named = program.example_inputs
        module = program.module()
        if isinstance(x, Mapping):
            return cast("Outputs", module(**{name: each.to(named[name].dtype) for name, each in x.items()}))
        return cast("Outputs", module(x.to(positional[0].dtype)))
