"""C files of many networks in one library, each with its own prefix."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from sewdsl.cli.export_c import rename
from sewdsl.exchange.write.c.run_file import SEEN, SampleTrace, driver, find_compiler
from sewdsl.exchange.write.c.write_file import write_c
from tests.integers.zoo import Case

WARNINGS = "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror", "-Wno-unused-function"


def run_batch(cases: Sequence[Case], flags: Sequence[str] = ("-O0", *WARNINGS)) -> list[SampleTrace]:
    """Compile all networks at once, and return the results of each."""
    with TemporaryDirectory() as folder:
        names = []
        for index, this in enumerate(cases):
            text = SEEN + write_c(this.network).source + driver(this.network).replace("drive(", "net_drive(")
            names.append(f"{index}.c")
            Path(folder, names[-1]).write_text(rename(text, f"n{index}"), encoding="utf-8")
        command = [find_compiler() or "", "-std=c99", *flags, "-shared", "-fPIC", "-o", "all.so", *names]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert not done.returncode, done.stderr
        library = ctypes.CDLL(f"{folder}/all.so")
        return [_run(library[f"n{index}_drive"], this) for index, this in enumerate(cases)]


def _run(drive: Callable[..., None], this: Case) -> SampleTrace:
    network = this.network
    data = np.ascontiguousarray(network.by_sample(this.n), np.uint8)
    samples, size = data.shape
    outputs = np.zeros((samples, sum(readout.bias.size for readout in network.readouts)), np.int32)
    sums = np.zeros((samples, network.T, 2 * len(network.steps)), np.uint32)
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (data, outputs, sums)]
    drive(pointers[0], samples, size, *pointers[1:])
    return SampleTrace(outputs.astype(np.int64), sums)
