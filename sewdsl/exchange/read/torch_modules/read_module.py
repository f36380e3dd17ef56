"""Import of a PyTorch module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from sewdsl.exchange.read.build_network import (
    ImportedNetwork,
    InputSize,
    build_network,
    header_assumptions,
    parse_input_sizes,
)
from sewdsl.exchange.read.draft import Draft, ModelImportError, SourcePart
from sewdsl.exchange.read.torch_modules.functions import VOCABULARY
from sewdsl.exchange.read.torch_modules.known_modules import module_reader, unsupported_neuron_message
from sewdsl.exchange.read.torch_modules.shared_modules import assign_parts
from sewdsl.exchange.read.torch_modules.trace import LeadingAxes, Trace, TracedTensor
from sewdsl.ir.network import Network
from sewdsl.ir.settings import InputSetting, Settings
from sewdsl.ops.joins import Add

TRACE_SAMPLES = (7, 11)
"""Batch sizes for tracing: the first that differs from the number of time-steps, to tell the two axes apart."""


def from_torch(
    model: nn.Module,
    input: str | tuple[int, ...] | Mapping[str, str | tuple[int, ...]],
    steps: int = 1,
    readout: Literal["mean", "sum", "last"] | None = None,
    name: str | None = None,
) -> tuple[Network, dict[str, Tensor]]:
    """Import a PyTorch module as a network with weights.

    See :func:`read_module`, which also returns the text of a ``.net`` file.

    Args:
        input: Shape of one time-step of one sample: ``"2x128x128"``, ``(2, 128, 128)``, ``"784"`` or ``(784,)``. For
            several inputs, a mapping from the names of the arguments of ``forward``, or ``"left=784,right=784"``.

    Returns:
        The network, and its weights with the keys of the compiled network.

    Raises:
        ModelImportError: As for :func:`read_module`.
        ValueError: If ``input`` is not a shape, or ``steps`` is not a positive integer.
    """
    if type(steps) is not int or steps < 1:
        raise ValueError(f"steps must be an integer of at least 1, got {steps!r}")
    imported = read_module(model, parse_input_sizes(input), steps, readout, name)
    return imported.network, imported.tensors


def read_module(
    model: nn.Module,
    input: InputSize,
    steps: int | None = None,
    readout: Literal["mean", "sum", "last"] | None = None,
    name: str | None = None,
) -> ImportedNetwork:
    """Import a module of PyTorch layers, SpikingJelly layers and SpikingJelly neurons.

    The module's ``forward`` runs on a tensor without data. The module is not modified.

    Args:
        model: Module that reads ``[T, N, *]``. It reads ``[N, *]`` if it repeats its input over time itself, has no
            neurons, or is called once per time-step (SpikingJelly's single-step mode).
        input: Shape of one time-step of one sample, ``(C, H, W)`` or ``(F,)``.
        steps: Number of time-steps. Default: 1.
        readout: Reduction of the outputs over time, if the module has none. Default: ``mean``.
        name: Name of the network. Default: the name of the module's class.

    Raises:
        ModelImportError: If sewdsl cannot express an operation. The message names the part.
    """
    for part, module in model.named_modules():
        message = unsupported_neuron_message(module)
        if message and module_reader(module) is None:
            raise SourcePart(part, f"{type(module).__module__}.{type(module).__qualname__}").refusal(message)
    # The form of the input follows from the step mode, if the module has one; else try both.
    modes = {getattr(module, "step_mode", None) for module in model.modules()}
    forms = (LeadingAxes.SEQUENCE, LeadingAxes.STEP) if "m" in modes else (LeadingAxes.STEP, LeadingAxes.SEQUENCE)
    refusals: dict[str, str] = {}
    for form in (LeadingAxes.STEP,) if "s" in modes and "m" not in modes else forms:
        try:
            imported, has_readout = _read(model, input, steps or 1, form, readout, name or type(model).__name__)
            return replace(
                imported, assumed=header_assumptions(imported.network, steps=steps is None, readout=not has_readout)
            )
        except ModelImportError as refusal:
            refusals.setdefault(str(refusal), f"with input {form.value}: {refusal}")
    raise ModelImportError("; ".join(refusals.values()))


def _read(  # noqa: PLR0913 -- all arguments of read_module()
    model: nn.Module,
    shape: InputSize,
    steps: int,
    form: LeadingAxes,
    readout: Literal["mean", "sum", "last"] | None,
    name: str,
) -> tuple[ImportedNetwork, bool]:
    """Trace the module on an input of one form, and return the network and whether its readout is specified."""
    draft = Draft(shape)
    samples = next(count for count in TRACE_SAMPLES if count != steps)
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.get_default_dtype())
    trace = Trace(draft, (steps, samples), dtype, VOCABULARY)
    draft.outputs = {"": _run(model, trace, form).draft_index}
    assign_parts(draft, trace.calls)
    # The module repeats its input over time: the network input is constant.
    if trace.repeated:
        draft.static()
    effective_readout = trace.readout or readout or "mean"
    if readout not in {None, effective_readout}:
        raise ModelImportError(
            f"the module computes the {effective_readout} over time-steps, but the readout is {readout}"
        )
    encode: Literal["direct", "none"] = "direct" if trace.repeated else "none"
    named = shape if isinstance(shape, Mapping) else {}
    settings = Settings(
        input=() if isinstance(shape, Mapping) else shape,
        inputs=tuple(InputSetting(name, size, encode) for name, size in named.items()),
        steps=steps,
        encode=encode,
        readout=effective_readout,  # type: ignore[arg-type]
        join=Add(),
    )
    return build_network(draft, name, settings), bool(trace.readout or readout)


def _run(model: nn.Module, trace: Trace, form: LeadingAxes) -> TracedTensor:
    with trace.watching(model, module_reader):
        try:
            output = trace.run(model, form)
        # A rejected operation is the cause: do not wrap it.
        except ModelImportError:
            raise
        except Exception as error:
            message = f"the module fails on a tensor without data: {type(error).__name__}: {error}"
            raise ModelImportError(message) from error
    if not isinstance(output, TracedTensor):
        message = f"the module returns {type(output).__name__}, expected one tensor computed from its input"
        raise ModelImportError(message)
    if output.form is LeadingAxes.FOLDED or output.complement:
        raise ModelImportError("the module returns [T·N, *] or 1 - x, expected [T, N, *] or [N, *]")
    output.checked()
    return output
