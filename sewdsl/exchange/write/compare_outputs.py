"""Comparison of an exported file with the module, with a tolerance derived from rounding effects."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from sewdsl.ir.op import Neuron
from sewdsl.lower.inputs import map_inputs

if TYPE_CHECKING:
    from sewdsl.exchange.write.formats import ExportFormat, Outputs
    from sewdsl.lower import SpikingNetwork
    from sewdsl.lower.inputs import Inputs

ROUNDINGS = 4
"""Number of random perturbations of weights and input by float32 rounding. Two shift the currents of neurons, too."""
ROUNDING_FACTOR = 2
"""Maximum accepted difference, as a multiple of the largest effect of rounding."""


class OutputDifference(NamedTuple):
    """Difference between an output of the module and of the file."""

    name: str
    """Name of the output. Empty for a single output."""
    difference: float
    """Largest absolute difference. NaN if an element is NaN in one output only."""
    largest: float
    """Largest absolute element of the module's output."""
    tolerance: float
    """Maximum accepted difference."""

    @property
    def accepted(self) -> bool:
        """Whether the difference is within the tolerance."""
        return self.difference <= self.tolerance


class OutputComparison(NamedTuple):
    """Comparison of all outputs."""

    outputs: tuple[OutputDifference, ...]
    depends_on_input: bool
    """Whether an output differs from the output for zero input. If not, the comparison is meaningless."""


def compare_outputs(model: SpikingNetwork, format_: ExportFormat, written: bytes, x: Inputs) -> OutputComparison:
    """Run an exported file and its module on the same input, and compare the outputs.

    Args:
        model: Module in evaluation mode.
        x: Input, ``[T, N, *]`` or static, in the dtype of the module, or several by name.

    Raises:
        ExportError: If the file cannot be run.
    """
    with torch.no_grad():
        expected = _by_name(model(x, return_sequence=format_.sequence))
        actual = _by_name(format_.run(written, x, *(() if format_.holds_weights else (model.state_dict(),))))
        baseline = _by_name(model(map_inputs(torch.zeros_like, x), return_sequence=format_.sequence))
    largest = {name: y.abs().max().item() for name, y in expected.items()}
    differences = {name: _difference(y, actual[name]) for name, y in expected.items()}
    tolerances = {name: format_.tolerance * value for name, value in largest.items()}
    if any(not differences[name] <= tolerance for name, tolerance in tolerances.items()):
        # Rounding can move a spike, which changes the output by more than the rounding error: measure by how much.
        effects = _rounding_effects(model, x, expected, sequence=format_.sequence)
        tolerances = {name: max(tolerance, ROUNDING_FACTOR * effects[name]) for name, tolerance in tolerances.items()}
    outputs = tuple(OutputDifference(name, differences[name], largest[name], tolerances[name]) for name in expected)
    return OutputComparison(outputs, not all(torch.equal(y, baseline[name]) for name, y in expected.items()))


def _by_name(outputs: Outputs) -> dict[str, Tensor]:
    """Return the outputs by name. A single output has an empty name."""
    return outputs if isinstance(outputs, dict) else {"": outputs}


def _difference(expected: Tensor, actual: Tensor) -> float:
    """Return the largest absolute difference, with NaN equal to NaN."""
    # The difference of two infinities or of two NaN would be NaN.
    is_equal = (expected == actual) | (expected.isnan() & actual.isnan())
    return (expected - actual).abs().masked_fill(is_equal, 0.0).max().item()


def _rounding_effects(
    model: SpikingNetwork, x: Inputs, expected: dict[str, Tensor], *, sequence: bool
) -> dict[str, float]:
    """Return the largest change of each output when weights, input and currents change by float32 rounding."""
    # A fixed seed makes the tolerance reproducible.
    generator, network = torch.Generator().manual_seed(0), model.network
    effects = dict.fromkeys(expected, 0.0)
    eps = torch.finfo(torch.float32).eps

    def nudge(values: Tensor) -> Tensor:
        # At most one float32 epsilon, relative to the value.
        noise = torch.rand(values.shape, generator=generator, dtype=values.dtype) * 2 - 1
        return values * (1 + eps * noise)

    def nudge_input(x: Tensor) -> Tensor:
        # Integers of an input with a number of values are exact.
        return x if any(source.of for source in network.settings.sources) else nudge(x)

    # The calls of a part share a module, whose hook runs in each call.
    neurons = {network.owner(node).name for node in network if isinstance(node.op, Neuron) or node.op.equations}
    # Sums of counts without weights can tie with a threshold. A library rounds all of them in one direction.
    for shift in (*[0.0] * ROUNDINGS, -eps, eps):
        nudged = deepcopy(model)
        for name in neurons if shift else ():
            module = nudged.get_submodule(name)
            module.register_forward_pre_hook(lambda _, currents, by=1 + shift: tuple(each * by for each in currents))
        with torch.no_grad():
            for parameter in nudged.parameters():
                parameter.copy_(nudge(parameter))
            outputs = _by_name(nudged(map_inputs(nudge_input, x), return_sequence=sequence))
        effects = {name: max(effects[name], _difference(y, outputs[name])) for name, y in expected.items()}
    return effects
