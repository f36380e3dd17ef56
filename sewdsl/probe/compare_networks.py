"""Comparison of untrained networks on random input: Figures 5 to 8 of Fang et al. 2021."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from sewdsl.analysis.residual_blocks import NamedResidual
from sewdsl.compiler import compile as compile_module
from sewdsl.ir.network import Network
from sewdsl.probe.block_measures import block_gradients, block_rates
from sewdsl.probe.untrained import move_batches, random_inputs, set_untrained_mode

SAMPLES = 4
"""Batch size of the random input."""

QUANTITIES = {
    "O": "firing rate of the output O",
    "A": "firing rate of the last neuron A",
    "S": "gradient amplitude ‖∂L/∂S‖",
}
"""Descriptions of the quantities of curves."""


@dataclass(frozen=True)
class BlockCurve:
    """Quantity of each block of a network."""

    network: Network
    labels: Mapping[str, str]
    """Label of the variant on each axis."""
    quantity: str
    """One of :data:`QUANTITIES`."""
    blocks: tuple[NamedResidual, ...]
    runs: tuple[tuple[float, ...], ...]
    """Values of all blocks, for each seed."""

    @property
    def values(self) -> tuple[float, ...]:
        """Mean over seeds."""
        return tuple(map(fmean, zip(*self.runs, strict=True)))


def block_curves(
    network: Network, labels: Mapping[str, str], probe: str, seeds: Sequence[int], device: str = "cpu"
) -> list[BlockCurve]:
    """Measure the blocks of a network with the weights and the random input of each seed, in training mode.

    Args:
        network: Network with at least one residual block.
        probe: ``rates`` or ``gradients``.
        seeds: At least one seed.

    Returns:
        For rates, curves of O and A. If the last neuron of a block follows the addition, as in a Spiking block, A is O.
    """
    runs_by_quantity: dict[str, list[tuple[float, ...]]] = {}
    blocks: tuple[NamedResidual, ...] = ()
    for seed in seeds:
        # Without optimisation, results do not depend on how a network is written.
        model = set_untrained_mode(compile_module(network, seed=seed, optimize=0)).to(device)
        batches = move_batches(random_inputs(network, samples=SAMPLES, seed=seed), device)
        if probe == "rates":
            rates = block_rates(model, batches)
            blocks = tuple(rate.block for rate in rates)
            runs_by_quantity.setdefault("O", []).append(tuple(rate.output for rate in rates))
            # In a Spiking block, the last neuron follows the addition, so A is O.
            last = tuple(rate.output if rate.branch is None else rate.branch for rate in rates)
            runs_by_quantity.setdefault("A", []).append(last)
        else:
            amplitudes = block_gradients(model, batches)
            blocks = tuple(each.block for each in amplitudes)
            runs_by_quantity.setdefault("S", []).append(tuple(each.amplitude for each in amplitudes))
    return [BlockCurve(network, labels, quantity, blocks, tuple(runs)) for quantity, runs in runs_by_quantity.items()]


def describe_curves(every: Sequence[BlockCurve], seeds: Sequence[int]) -> str:
    """Describe the common settings of some curves, for the title of a figure."""
    settings = [curve.network.settings for curve in every]
    shapes = {each.input_text for each in settings}
    steps = {each.steps for each in settings}
    parts = [
        f"{every[0].network.name}: before training",
        " ".join(["random input", *(shapes if len(shapes) == 1 else ())]),
        *(f"T = {T}" for T in steps if len(steps) == 1),
        f"N = {SAMPLES}",
        *([f"mean and range of {len(seeds)} seeds"] if len(seeds) > 1 else []),
    ]
    return ", ".join(parts)


def curve_rows(every: Sequence[BlockCurve], seeds: Sequence[int]) -> list[dict[str, object]]:
    """Return a table row for each block of each curve."""
    return [
        {
            **curve.labels,
            "quantity": curve.quantity,
            "block": block.index,
            "name": block.name,
            "downsample": block.downsample,
            "mean": curve.values[i],
            **{f"seed {seed}": run[i] for seed, run in zip(seeds, curve.runs, strict=True)},
        }
        for curve in every
        for i, block in enumerate(curve.blocks)
    ]


def curves_to_json(every: Sequence[BlockCurve], seeds: Sequence[int]) -> dict[str, object]:
    """Return the curves as JSON-compatible values."""
    return {
        "name": every[0].network.name,
        "samples": SAMPLES,
        "seeds": list(seeds),
        "curves": [
            {
                "labels": dict(curve.labels),
                "input": list(curve.network.settings.input),
                "steps": curve.network.settings.steps,
                "quantity": curve.quantity,
                "blocks": [block.name for block in curve.blocks],
                "downsample": [block.downsample for block in curve.blocks],
                "values": list(curve.values),
                "runs": [list(run) for run in curve.runs],
            }
            for curve in every
        ],
    }
