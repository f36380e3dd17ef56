"""Comparison of the outputs of a written file with those of the module, with a tolerance measured by rounding."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from sewdsl.exchange.write.formats import ExportFormat, Outputs
    from sewdsl.lower import SpikingNetwork

ROUNDINGS = 4
"""How often weights and input are changed by rounding, to measure how far the outputs move."""
ROUNDING_FACTOR = 2
"""Largest accepted difference, as a multiple of the largest change that rounding caused."""


class OutputDifference(NamedTuple):
    """Difference between an output of the module and that of the file.

    Attributes:
        name: Empty for the only output.
        difference: Largest absolute difference; NaN if an element is NaN in one of them.
        largest: Largest absolute element of the module's output.
        tolerance: Largest accepted difference.
    """

    name: str
    difference: float
    largest: float
    tolerance: float

    @property
    def accepted(self) -> bool:
        """Whether the difference is within the tolerance."""
        return self.difference <= self.tolerance


class OutputComparison(NamedTuple):
    """Comparison of all outputs.

    Attributes:
        depends_on_input: Whether an output differs from that for an input of zeros; if not, the comparison shows
            nothing.
    """

    outputs: tuple[OutputDifference, ...]
    depends_on_input: bool


def compare_outputs(model: SpikingNetwork, format_: ExportFormat, written: bytes, x: Tensor) -> OutputComparison:
    """Run a file and the module that it was written from.

    Args:
        model: Module in evaluation mode.
        x: Input, ``[T, N, *]`` or static, in the dtype of the module.

    Raises:
        ExportError: If the file cannot be run.
    """
    with torch.no_grad():
        ours = _by_name(model(x, return_sequence=format_.sequence))
        theirs = _by_name(format_.run(written, x, *(() if format_.holds_weights else (model.state_dict(),))))
        blank = _by_name(model(torch.zeros_like(x), return_sequence=format_.sequence))
    largest = {name: y.abs().max().item() for name, y in ours.items()}
    differences = {name: _difference(y, theirs[name]) for name, y in ours.items()}
    tolerances = {name: format_.tolerance * value for name, value in largest.items()}
    if any(not differences[name] <= tolerance for name, tolerance in tolerances.items()):
        # A spike that rounding moves changes the output by more than rounding does: measure by how much.
        moved = _rounding_effects(model, x, ours, sequence=format_.sequence)
        tolerances = {name: max(tolerance, ROUNDING_FACTOR * moved[name]) for name, tolerance in tolerances.items()}
    outputs = tuple(OutputDifference(name, differences[name], largest[name], tolerances[name]) for name in ours)
    return OutputComparison(outputs, not all(torch.equal(y, blank[name]) for name, y in ours.items()))


def _by_name(outputs: Outputs) -> dict[str, Tensor]:
    """Return the outputs of a network by name; the only output has an empty name."""
    return outputs if isinstance(outputs, dict) else {"": outputs}


def _difference(ours: Tensor, theirs: Tensor) -> float:
    same = (ours == theirs) | (ours.isnan() & theirs.isnan())
    return (ours - theirs).abs().masked_fill(same, 0.0).max().item()


def _rounding_effects(model: SpikingNetwork, x: Tensor, ours: dict[str, Tensor], *, sequence: bool) -> dict[str, float]:
    """Return the largest change of each output when weights and input change by the rounding of float32."""
    generator = torch.Generator().manual_seed(0)
    effects = dict.fromkeys(ours, 0.0)

    def nudge(values: Tensor) -> Tensor:
        noise = torch.rand(values.shape, generator=generator, dtype=values.dtype) * 2 - 1
        return values * (1 + torch.finfo(torch.float32).eps * noise)

    for _ in range(ROUNDINGS):
        nudged = deepcopy(model)
        with torch.no_grad():
            for parameter in nudged.parameters():
                parameter.copy_(nudge(parameter))
            outputs = _by_name(nudged(nudge(x), return_sequence=sequence))
        effects = {name: max(effects[name], _difference(y, outputs[name])) for name, y in ours.items()}
    return effects
