"""Constructions of integer networks that tests call, and comparisons with their numbers before a change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import is_dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import pytest

from sewdsl.integers.build import IntegerFormat, NoIntegerLaw, build_integer_network
from sewdsl.integers.calibration import measure_ranges
from sewdsl.integers.network import IntegerNetwork
from sewdsl.lower import SpikingNetwork
from tests.integers import test_construction, test_laws, zoo

COARSE = IntegerFormat(weight_bits=3, state_bits=16, fraction_bits=2)
"""Bits of a second construction of each network."""
MAX_STEPS = 30
"""Largest number of time-steps of a network whose outputs are compared."""

Computation: TypeAlias = Callable[[], object]


def comparisons_of_constructions(tests: Iterable[Callable[[], None]]) -> Iterator[Callable[[], None]]:
    """Run tests, and yield comparisons of the networks and ranges that they compute with those of now."""
    different = {numbers(each): each for each in computations(tests)}
    return (partial(compare, computation, expected) for expected, computation in different.items())


def compare(computation: Computation, expected: object) -> None:
    assert numbers(computation) == expected


def computations(tests: Iterable[Callable[[], None]]) -> Iterator[Computation]:
    """Run tests, and yield their constructions and calibrations, with the weights of that time."""
    calls = list[partial[Any]]()

    def build(model: SpikingNetwork, scaling: Any = None, formats: Any = None, ranges: Any = None) -> Any:
        calls.append(partial(build_integer_network, deepcopy(model), scaling, ranges=ranges, formats=formats))
        return calls[-1]()

    def measure(model: SpikingNetwork, network: IntegerNetwork, batches: Iterable[Any]) -> Any:
        calls.append(partial(measure_ranges, deepcopy(model), network, [*batches]))
        return calls[-1]()

    with pytest.MonkeyPatch.context() as monkeypatch:
        for module in (test_laws, test_construction, zoo):
            monkeypatch.setattr(module, "build_integer_network", build)
            monkeypatch.setattr(module, "measure_ranges", measure, raising=False)
        for test in tests:
            test()
    for call in calls:
        yield call
        if call.func is build_integer_network:
            yield partial(call, formats=COARSE)
            try:
                network = call()
            except NoIntegerLaw:
                continue
            yield partial(properties, network)


def properties(network: IntegerNetwork) -> object:
    """Return all that a finished network computes, with the outputs for one input unless it has many time-steps."""
    formats, memory = [step.format for step in network.steps], (network.memory, network.state_size)
    sizes = formats, *memory, [*network.state_members], network.input_sizes, network.timed
    if network.T > MAX_STEPS:
        return sizes
    high, elements = network.inputs[0].value.high, sum(step.elements for step in network.inputs)
    x = np.random.default_rng(0).integers(0, high + 1, (1, elements) if network.static else (network.T, 1, elements))
    return *sizes, network.by_sample(x), network.run(x)


def numbers(computation: Computation) -> object:
    """Return a result without objects and arrays, or the message of a refusal."""
    try:
        return _plain(computation())
    except NoIntegerLaw as refused:
        return str(refused)


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, dict):
        return tuple((key, _plain(each)) for key, each in value.items())
    if isinstance(value, list | tuple):
        return tuple(map(_plain, value))
    return (type(value).__name__, _plain(vars(value))) if is_dataclass(value) else repr(value)
