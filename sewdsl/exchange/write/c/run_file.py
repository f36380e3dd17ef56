"""Compile a generated C file and compare all its values with the reference."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray  # noqa: TC002 -- a tuple of this type

from sewdsl.exchange.errors import ExportError
from sewdsl.exchange.write.c.kernels import fill_template
from sewdsl.exchange.write.c.write_file import write_c
from sewdsl.integers.network import IntegerNetwork
from sewdsl.integers.steps.neuron import FiringStep
from sewdsl.integers.value import Integers

MULTIPLIER = 2654435761
"""Factor of the position in a checksum."""
SEEN = fill_template("seen.h", MULTIPLIER=str(MULTIPLIER)) + "\n"
"""Start of a file that stores a checksum of each value."""


class SampleTrace(NamedTuple):
    """Results of samples.

    Attributes:
        outputs: ``[samples, outputs]``, summed over time.
        checksums: Of each step's value, and then of each step's potentials, ``[samples, T, 2 · steps]``.
    """

    outputs: Integers
    checksums: NDArray[np.uint32]


def driver(network: IntegerNetwork) -> str:
    """Return a function ``drive`` in C that runs samples and stores their outputs and checksums."""
    starts = [f"in + k * size + {sum(network.input_sizes[:i])}" for i in range(len(network.inputs))]
    frames = (0 if step.static else step.elements for step in network.inputs)
    moved = (f"{start} + t * {frame}" for start, frame in zip(starts, frames, strict=True))
    return fill_template("drive.c", FRAMES=", ".join(moved), SAMPLES=", ".join(starts)) + "\n"


def find_compiler() -> str | None:
    """Return the C compiler of the system, or None."""
    return next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)


def run_c(network: IntegerNetwork, x: Integers, flags: tuple[str, ...] = ("-O2",), source: str = "") -> SampleTrace:
    """Compile the C file of a network and run it.

    Args:
        x: Input ``[N, H, W, C]`` of a static network, otherwise ``[T, N, H, W, C]``.
        source: C file. The default is that of the network.

    Raises:
        ExportError: If there is no compiler, or it rejects the file.
    """
    compiler = find_compiler()
    if compiler is None:
        raise ExportError("no C compiler is installed; install cc, gcc or clang")
    data = np.ascontiguousarray(network.by_sample(x), np.uint8)
    samples, size = data.shape
    with tempfile.TemporaryDirectory() as folder:
        path, library = Path(folder, "net.c"), Path(folder, "net.so")
        path.write_text(SEEN + (source or write_c(network).source) + driver(network), encoding="utf-8")
        command = [compiler, "-std=c99", *flags, "-shared", "-fPIC", "-o", str(library), str(path)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 -- a C compiler
        if done.returncode:
            raise ExportError(f"{compiler} rejects the file:\n{done.stderr}")
        drive = ctypes.CDLL(str(library)).drive
        outputs = np.zeros((samples, sum(readout.bias.size for readout in network.readouts)), np.int32)
        sums = np.zeros((samples, network.T, 2 * len(network.steps)), np.uint32)
        drive(_pointer(data), samples, size, _pointer(outputs), _pointer(sums))
    return SampleTrace(outputs.astype(np.int64), sums)


def run_reference(network: IntegerNetwork, x: Integers) -> SampleTrace:
    """Return the results of the reference."""
    samples = x.shape[0 if network.static else 1]
    count = len(network.steps)
    sums = np.zeros((samples, network.T, 2 * count), np.uint32)

    def watch(t: int, index: int, value: Integers) -> None:
        sums[:, t, index] = checksum(value)

    outputs = network.run(x, watch)
    return SampleTrace(np.concatenate([*outputs.values()], 1), sums)


def differing_steps(network: IntegerNetwork, first: SampleTrace, second: SampleTrace) -> list[str]:
    """Return the names of the steps whose values or potentials differ, and ``outputs`` if the outputs do."""
    plan = network.memory
    differ = (first.checksums != second.checksums).any((0, 1))
    count = len(network.steps)
    names = []
    for index, step in enumerate(network.steps):
        if (index in plan.values and differ[index]) or (isinstance(step, FiringStep) and differ[count + index]):
            names.append(step.name)
    return names + ([] if np.array_equal(first.outputs, second.outputs) else ["outputs"])


def checksum(values: Integers) -> NDArray[np.uint32]:
    """Return a checksum of each sample that depends on the positions of the values."""
    flat = values.reshape(len(values), -1).astype(np.int64).astype(np.uint32)
    with np.errstate(over="ignore"):
        factors = np.arange(flat.shape[1], dtype=np.uint32) * np.uint32(MULTIPLIER) + np.uint32(1)
        sums: NDArray[np.uint32] = (flat * factors).sum(1, dtype=np.uint32)
        return sums


def _pointer(array: NDArray[np.generic]) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)
