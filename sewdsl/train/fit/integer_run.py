"""Integer networks of a training: grids of the weights, and the accuracy in integers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from sewdsl.analysis.weight_units import reading_neuron, reads_input
from sewdsl.integers.build import InputScaling, IntegerFormat, NoIntegerLaw, build_integer_network
from sewdsl.integers.calibration import measure_ranges
from sewdsl.integers.network import IntegerNetwork
from sewdsl.snn.weight_grid import WeightGrid
from sewdsl.terminal import echo
from sewdsl.train.data.dataset import Normalisation
from sewdsl.train.fit.load_run import random_batches
from sewdsl.train.store.result import IntegerScore
from sewdsl.train.training_plan import find_dataset_of
from sewdsl.user_error import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from sewdsl.integers.steps.step import InputStep
    from sewdsl.integers.value import Integers
    from sewdsl.ir.network import Network
    from sewdsl.lower import SpikingNetwork
    from sewdsl.lower.inputs import Inputs
    from sewdsl.train.data.dataset import SampleSet, Splits

TOLERANCE = 1e-2
"""Largest distance of an input value from an integer, in integers."""
BATCH, BATCHES, MAX_MACS = 100, 10, 1 << 38
"""Largest size, number and MACs of batches of the accuracy in integers, which numpy computes in minutes."""


CALIBRATION = 64
"""Number of training samples that measure ranges of currents."""


class NoIntegerInput(UserError):
    """Samples that are no integers, or are outside of their range."""


def input_scaling(model: SpikingNetwork) -> InputScaling:
    """Return the relation between integer inputs and the inputs of the network, from the dataset of the recipe.

    Without a dataset, static inputs are pixels that are divided by 255, and sequences are counts. Integers of
    ``input … of N`` are not scaled.
    """
    network = model.network
    if all(source.of is not None for source in network.settings.sources):
        return InputScaling()
    dataset = find_dataset_of(network)
    normalisation = dataset.normalisation() if dataset else None
    if normalisation is None and dataset is None and network.settings.encode == "direct":
        normalisation = Normalisation((0.0,), (1.0,))
    return InputScaling() if normalisation is None else InputScaling.of_pixels(*normalisation)


def to_integers(x: Inputs, network: IntegerNetwork) -> Integers:
    """Return samples ``[N, C, *]`` or ``[T, N, C, *]`` as integers, with channels last, or elements of several inputs.

    Raises:
        NoIntegerInput: If the values are no integers.
    """
    if not isinstance(x, Mapping):
        return _to_integers(x, network.inputs[0])
    parts = [_to_integers(x[step.name], step) for step in network.inputs]
    if network.static:
        return np.concatenate([part.reshape(len(part), -1) for part in parts], -1)
    parts = [
        np.broadcast_to(n, (network.T, *n.shape)) if s.static else n for n, s in zip(parts, network.inputs, strict=True)
    ]
    return np.concatenate([part.reshape(*part.shape[:2], -1) for part in parts], -1)


def _to_integers(x: Tensor, step: InputStep) -> Integers:
    value = step.value
    axes = x.ndim - (1 if step.static else 2)
    array = x.double().numpy()
    array = array.reshape(*array.shape[:-axes], array.shape[-axes], *(1, 1, *array.shape[x.ndim - axes + 1 :])[-2:])
    numbers = (np.moveaxis(array, -3, -1) - value.shift) / value.factor
    integers = np.round(numbers).astype(np.int64)
    if np.abs(numbers - integers).max() > TOLERANCE:
        raise NoIntegerInput(
            "the samples are no integers after their scaling is undone; networks in integers read pixels or counts"
        )
    low, high = int(integers.min()), int(integers.max())
    if low < value.low or high > value.high:
        raise NoIntegerInput(
            f"the samples have integers from {low} to {high}; networks in integers read {value.low} to {value.high}"
        )
    return integers


def score_batches(network: Network) -> tuple[int, int]:
    """Return size and number of the batches of the accuracy in integers, which are smaller for large networks."""
    macs = max(1, network.total_macs * network.settings.steps)
    samples = max(1, min(BATCH * BATCHES, MAX_MACS // macs))
    batch = min(samples, BATCH)
    return batch, samples // batch


def integer_score(model: SpikingNetwork, splits: Splits, bits: int) -> IntegerScore | None:
    """Return the accuracy in integers on up to 1,000 test samples, or print why the network has none."""
    main = model.network.recipe.terms[0].output if model.network.recipe else ""
    right = count = 0
    try:
        network = _integer_network(model, splits.train, bits)
        for x, y in random_batches(splits.test, *score_batches(model.network), 0):
            right += int((network.run(to_integers(x, network))[main].argmax(1) == y.numpy()).sum())
            count += len(y)
    except UserError as error:
        echo(f"note: no accuracy in integers: {error}", err=True)
        return None
    return IntegerScore(bits=bits, accuracy=right / count, samples=count)


def _integer_network(model: SpikingNetwork, training: SampleSet, bits: int) -> IntegerNetwork:
    """Return the network in integers, with ranges of currents from training samples if no proven ranges exist."""
    build = partial(build_integer_network, model, input_scaling(model), IntegerFormat(bits))
    try:
        return build()
    except NoIntegerLaw:
        # A layer without any law is refused again.
        network = build({})
    batch, mode = min(CALIBRATION, score_batches(model.network)[0]), model.training
    batches = random_batches(training, batch, -(-CALIBRATION // batch), 0)
    # Validation restores the training mode, whose norms would depend on the batch.
    ranges = measure_ranges(model.eval(), network, (x for x, _ in batches))
    model.train(mode)
    echo(f"note: ranges of currents measured as by 'sewdsl export RUN net.c --calibrate {CALIBRATION}'", err=True)
    return build(ranges)


def weight_grids(model: SpikingNetwork, bits: int) -> dict[str, WeightGrid]:
    """Return the grid of each convolution and fully connected layer, by name, on which its integer weights are.

    A norm multiplies weights and units of a channel alike, so a norm needs no separate grid.
    """
    network, grids = model.network, {}
    factor = np.atleast_1d(input_scaling(model).factor)
    for index, node in enumerate(network.nodes):
        if not node.op.on_grid or node.weights is not None:
            continue
        layer = model.get_submodule(node.name)
        transposed = isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d)
        groups = getattr(layer, "groups", 1)
        calls = network.users.get(index, (index,))
        factors = None
        # A transposed convolution adds zeros, which normalised pixels do not have.
        if len(factor) > 1 and not transposed and all(reads_input(network, call) for call in calls):
            factors = _factors(factor, layer.get_parameter("weight"), groups)
        common = any(reading_neuron(network, call) is None for call in calls)
        grids[node.name] = WeightGrid(bits, common, groups if transposed else 0, factors)
    return grids


def _factors(factor: NDArray[np.float64], weight: Tensor, groups: int) -> Tensor:
    """Return the factors of the inputs of each weight."""
    # [outputs, inputs of a group, *], where an input of a fully connected layer is an element of a channel.
    by_group = torch.from_numpy(factor / factor.max()).reshape(groups, -1)
    by_group = by_group.repeat_interleave(weight.shape[1] // by_group.shape[1], 1)
    by_output = by_group.repeat_interleave(weight.shape[0] // groups, 0)
    return by_output.reshape(*by_output.shape, *[1] * (weight.ndim - 2))
