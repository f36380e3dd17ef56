"""Graphs of NIR as any library may write them, with a random number generator for their weights."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import nir
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
RNG = np.random.default_rng(0)


def numbers(*shape: int, scale: float = 1.0) -> Array:
    """Normal ones."""
    return scale * RNG.normal(size=shape)


def conv(before: int, after: int, kernel: int = 3, stride: float = 1, **options: object) -> nir.Conv2d:
    """A convolution with padding k // 2."""
    weight, bias = numbers(after, before, kernel, kernel), numbers(after)
    return nir.Conv2d(**{
        "input_shape": None, "weight": weight, "stride": stride, "padding": kernel // 2, "dilation": 1, "groups": 1,
        "bias": bias, **options,
    })  # fmt: skip


def fires(*shape: int, **options: float) -> nir.IF:
    """IF neurons by whose r a current counts once in 0.1 ms."""
    values = {"r": 1e4, "v_threshold": 1.0, "v_reset": 0.0, **options}
    return nir.IF(**{key: np.full(shape, value) for key, value in values.items()})


def leaks(*shape: int, **options: float) -> nir.LIF:
    """LIF neurons with a time constant of 0.2 ms."""
    values = {"tau": 2e-4, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0, **options}
    return nir.LIF(**{key: np.full(shape, value) for key, value in values.items()})


def pool(kind: type[nir.NIRNode], kernel: int, stride: int = 0, padding: int = 0) -> nir.NIRNode:
    """A pooling."""
    return kind(*(np.array([value, value]) for value in (kernel, stride or kernel, padding)))


def above(threshold: float, *shape: int) -> nir.Threshold:
    """1 where it is exceeded."""
    return nir.Threshold(np.full(shape, threshold))


def flatten(*shape: int) -> nir.Flatten:
    """Return a Flatten node over all axes."""
    return nir.Flatten({"input": np.array(shape)}, 0, -1)


def graph(shape: tuple[int, ...], nodes: Mapping[str, nir.NIRNode], *edges: str) -> nir.NIRGraph:
    """Nodes by name between ``input`` and ``output``, and edges such as ``a b``; without these, nodes in a row."""
    ends = {"input": nir.Input(np.array(shape)), **nodes, "output": nir.Output(np.array([1]))}
    names = list(ends)
    found = [tuple(edge.split()) for edge in edges] if edges else list(pairwise(names))
    return nir.NIRGraph(ends, found, type_check=False)
