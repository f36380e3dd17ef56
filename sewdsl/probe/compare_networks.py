"""Networks side by side, before training, on random input: Figures 5 to 8 of Fang et al. 2021."""

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
"""Of the batch that is shown."""

QUANTITIES = {
    "O": "firing rate of the output O",
    "A": "firing rate of the last neuron A",
    "S": "gradient amplitude ‖∂L/∂S‖",
}
"""What a curve may be, in words."""


@dataclass(frozen=True)
class BlockCurve:
    """One quantity over the blocks of one network.

    Attributes:
        labels: What makes it another than the rest, by axis.
        quantity: One of :data:`QUANTITIES`.
        runs: For each seed a value for each block.
    """

    network: Network
    labels: Mapping[str, str]
    quantity: str
    blocks: tuple[NamedResidual, ...]
    runs: tuple[tuple[float, ...], ...]

    @property
    def values(self) -> tuple[float, ...]:
        """The mean over the seeds."""
        return tuple(map(fmean, zip(*self.runs, strict=True)))


def block_curves(
    network: Network, labels: Mapping[str, str], probe: str, seeds: Sequence[int], device: str = "cpu"
) -> list[BlockCurve]:
    """Looks into a network with the weights and the noise of each seed, in training mode.

    Args:
        network: It has a residual block.
        probe: ``rates`` or ``gradients``.
        seeds: At least one.

    Returns:
        Of rates, O and A: where a block's last neuron is the one after the addition, as in a Spiking block, A is O.
    """
    found: dict[str, list[tuple[float, ...]]] = {}
    blocks: tuple[NamedResidual, ...] = ()
    for seed in seeds:
        # Without optimisation, equal networks are equal to the last spike.
        model = set_untrained_mode(compile_module(network, seed=seed, optimize=0)).to(device)
        shown = move_batches(random_inputs(network, samples=SAMPLES, seed=seed), device)
        if probe == "rates":
            seen = block_rates(model, shown)
            blocks = tuple(rate.block for rate in seen)
            found.setdefault("O", []).append(tuple(rate.output for rate in seen))
            last = tuple(rate.output if rate.branch is None else rate.branch for rate in seen)
            found.setdefault("A", []).append(last)
        else:
            amplitudes = block_gradients(model, shown)
            blocks = tuple(each.block for each in amplitudes)
            found.setdefault("S", []).append(tuple(each.amplitude for each in amplitudes))
    return [BlockCurve(network, labels, quantity, blocks, tuple(runs)) for quantity, runs in found.items()]


def describe_curves(every: Sequence[BlockCurve], seeds: Sequence[int]) -> str:
    """What all networks of some curves share, as the title of a figure."""
    settings = [curve.network.settings for curve in every]
    shapes = {"x".join(map(str, each.input)) for each in settings}
    steps = {each.steps for each in settings}
    said = [
        f"{every[0].network.name}: before training",
        " ".join(["random input", *(shapes if len(shapes) == 1 else ())]),
        *(f"T = {T}" for T in steps if len(steps) == 1),
        f"N = {SAMPLES}",
        *([f"mean and range of {len(seeds)} seeds"] if len(seeds) > 1 else []),
    ]
    return ", ".join(said)


def curve_rows(every: Sequence[BlockCurve], seeds: Sequence[int]) -> list[dict[str, object]]:
    """A row for each block of each curve."""
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
    """The same as plain data."""
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
