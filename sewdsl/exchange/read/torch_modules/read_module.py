"""The way from a module of torch to a network."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from sewdsl.exchange.read.build_network import ImportedNetwork, build_network, header_assumptions, parse_input_size
from sewdsl.exchange.read.draft import Draft, ModelImportError, SourcePart
from sewdsl.exchange.read.torch_modules.functions import VOCABULARY
from sewdsl.exchange.read.torch_modules.known_modules import module_reader, unsupported_neuron_message
from sewdsl.exchange.read.torch_modules.trace import LeadingAxes, Trace, TracedTensor
from sewdsl.ir.network import Network
from sewdsl.ir.settings import Settings
from sewdsl.ops.joins import Add

TRACE_SAMPLES = (7, 11)
"""Samples that a module is shown; not as many as time-steps, so that neither is taken for the other."""


def from_torch(
    model: nn.Module,
    input: str | tuple[int, ...],
    steps: int = 1,
    readout: Literal["mean", "sum", "last"] | None = None,
    name: str | None = None,
) -> tuple[Network, dict[str, Tensor]]:
    """Return the network of a module, and its weights by the keys of the network's own module.

    See :func:`read_module`, which also gives the text of a ``.net`` file.

    Args:
        input: As there, or as text: ``"2x128x128"``, ``(2, 128, 128)``, ``"784"``.

    Raises:
        ModelImportError: as there.
        ValueError: the input is no shape, or the steps are no number of at least 1.
    """
    if type(steps) is not int or steps < 1:
        raise ValueError(f"steps is a number of time-steps, at least 1, not {steps!r}")
    found = read_module(model, parse_input_size(input), steps, readout, name)
    return found.network, found.tensors


def read_module(
    model: nn.Module,
    input: tuple[int, ...],
    steps: int | None = None,
    readout: Literal["mean", "sum", "last"] | None = None,
    name: str | None = None,
) -> ImportedNetwork:
    """Return the network of a module, made of layers of torch and of layers and neurons of SpikingJelly.

    The module's ``forward`` is run, with a tensor that has no numbers; nothing of the module is changed.

    Args:
        model: The module. It reads ``[T, N, *]``; ``[N, *]`` if it repeats that itself, has no neurons, or is called
            once for each time-step (SpikingJelly's single-step mode).
        input: Shape of one time-step of one sample, ``(C, H, W)`` or ``(F,)``.
        steps: Time-steps; None: 1.
        readout: How the outputs of the time-steps become one, where the module does not say; None: ``mean``.
        name: The network's; None: the name of the module's class.

    Raises:
        ModelImportError: it does something that the language has no word for; the message names the part.
    """
    for part, module in model.named_modules():
        said = unsupported_neuron_message(module)
        if said and module_reader(module) is None:
            raise SourcePart(part, f"{type(module).__module__}.{type(module).__qualname__}").refusal(said)
    modes = {getattr(module, "step_mode", None) for module in model.modules()}
    forms = (LeadingAxes.SEQUENCE, LeadingAxes.STEP) if "m" in modes else (LeadingAxes.STEP, LeadingAxes.SEQUENCE)
    refusals: dict[str, str] = {}
    for form in (LeadingAxes.STEP,) if "s" in modes and "m" not in modes else forms:
        try:
            found, stated = _read(model, input, steps or 1, form, readout, name or type(model).__name__)
            return replace(found, assumed=header_assumptions(found.network, steps=steps is None, readout=not stated))
        except ModelImportError as refusal:
            refusals.setdefault(str(refusal), f"as {form.value}, {refusal}")
    raise ModelImportError("; ".join(refusals.values()))


def _read(  # noqa: PLR0913 -- all that was asked for
    model: nn.Module,
    shape: tuple[int, ...],
    steps: int,
    form: LeadingAxes,
    readout: Literal["mean", "sum", "last"] | None,
    name: str,
) -> tuple[ImportedNetwork, bool]:
    """Return the network, and whether the readout was stated."""
    draft = Draft(shape)
    samples = next(count for count in TRACE_SAMPLES if count != steps)
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.get_default_dtype())
    trace = Trace(draft, (steps, samples), dtype, VOCABULARY)
    draft.outputs = {"": _run(model, trace, form).place}
    if trace.repeated:
        draft.static()
    said = trace.readout or readout or "mean"
    if readout not in {None, said}:
        raise ModelImportError(f"the module takes the {said} over all time-steps, not the {readout}")
    encode = "direct" if trace.repeated else "none"
    settings = Settings(input=shape, steps=steps, encode=encode, readout=said, join=Add())  # type: ignore[arg-type]
    return build_network(draft, name, settings), bool(trace.readout or readout)


def _run(model: nn.Module, trace: Trace, form: LeadingAxes) -> TracedTensor:
    with trace.watching(model, module_reader):
        try:
            output = model(trace.input(form))
        except ModelImportError:
            raise
        except Exception as error:
            message = f"the module does not run on a tensor without numbers: {type(error).__name__}: {error}"
            raise ModelImportError(message) from error
    if not isinstance(output, TracedTensor):
        message = f"the module gives {type(output).__name__}, not one tensor that is computed from its input"
        raise ModelImportError(message)
    if output.form is LeadingAxes.FOLDED or output.complement:
        raise ModelImportError("the module gives time-steps and samples as one axis, or 1 - x")
    output.checked()
    return output
