"""Compiles the CUDA kernels for GPUs that are not there, and prints what each needs, as lines of JSON.

``test_targets.py`` runs this in a process of its own: Triton's driver is replaced by one that names a target and
launches nothing.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.runtime import driver, jit

from sewdsl.snn.kernels import cuda_max_pool, cuda_neuron, cuda_norm_neuron, cuda_packed_bits
from sewdsl.snn.kernels.neuron_call import NeuronCall, NeuronConstants, NeuronNeedsGrad
from sewdsl.snn.kernels.norm_call import FusedJoin, KernelChannels, NeedsGrad, RunningStatistics
from sewdsl.snn.kernels.tapes import trace_surrogate
from sewdsl.snn.limits import MAX_REGISTER_STEPS
from tests.snn.kernels.cases import make

TARGETS: dict[str, tuple[str, int | str, int]] = {
    "sm_75": ("cuda", 75, 32),
    "sm_80": ("cuda", 80, 32),
    "sm_90": ("cuda", 90, 32),
    "sm_100": ("cuda", 100, 32),
    "gfx942": ("hip", "gfx942", 64),
}
IAND = "sub 1.0 s; mul t0 z"
WINDOW = 3, 3, 2, 2, 1, 1
CUOBJDUMP = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
compiled: list[tuple[str, Mapping[str, Any]]] = []


class Driver:
    """Names a target."""

    def __init__(self, target: GPUTarget) -> None:
        self._target = target

    def get_current_target(self) -> GPUTarget:
        return self._target

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, _device: object = None) -> int:
        return 0

    def get_active_torch_device(self) -> torch.device:
        return torch.device("cpu")


run = jit.JITFunction.run


def compile_only(self: Any, *arguments: Any, grid: Any, warmup: bool, **options: Any) -> Any:
    kernel = run(self, *arguments, grid=grid, warmup=True, **options)
    compiled.append((self.__name__, kernel.asm))
    return kernel


def needs(assembly: Mapping[str, Any]) -> dict[str, int | bool]:
    """What a kernel needs.

    Registers; bytes of memory that registers are spilled to; whether multiplications and sums are contracted; the
    widest access to memory, in bits.
    """
    if "amdgcn" in assembly:
        text = assembly["amdgcn"]
        spilled = sum(int(number) for number in re.findall(r"\.[sv]gpr_spill_count:\s*(\d+)", text))
        registers = max(int(number) for number in re.findall(r"\.vgpr_count:\s*(\d+)", text))
        widest = 128 if "dwordx4" in text else 64 if "dwordx2" in text else 32
        contracted = re.search(r"llvm\.fma|llvm\.fmuladd", assembly["llir"]) is not None  # in text, divisions have some
        return {"registers": registers, "spilled": spilled, "contracted": contracted, "widest": widest}
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(assembly["cubin"])
        file.flush()
        command = [str(CUOBJDUMP), "--dump-resource-usage", file.name]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = {name: int(number) for name, number in re.findall(r"(REG|LOCAL):(\d+)", said)}
    accesses = re.findall(r"(?:ld|st)\.global\S*?(?:\.v(\d))?\.[bfsu](\d+)", assembly["ptx"])
    widest = max(int(count or 1) * int(bits) for count, bits in accesses)
    contracted = "fma.rn.f32" in assembly["ptx"]
    return {"registers": found["REG"], "spilled": found["LOCAL"], "contracted": contracted, "widest": widest}


def compile_neurons(dtype: torch.dtype, slope: str, v_reset: float | None, T: int) -> None:
    """Neurons by themselves, forward and backward."""
    x_TN = torch.zeros(T, 4, 8, 16, 16, dtype=dtype)
    law = NeuronConstants(0.5, 0.5, 0.0, 0.0, 1.0, v_reset, detach_reset=False, slope=slope)
    call = NeuronCall(x_TN, None, None, None, None, law)
    cuda_neuron.forward(call, final=True)
    cuda_neuron.backward(call, x_TN, None, NeuronNeedsGrad(x=True, v=True, factors=True))


def compile_norm_neurons(dtype: torch.dtype, slope: str, v_reset: float | None, join: str) -> None:
    """Batch norm, neurons whose factors are learned, and a join, with statistics and gradients; channels are last."""
    x_TN = torch.zeros(MAX_REGISTER_STEPS * 4, 32, 16, 16, dtype=dtype).contiguous(memory_format=torch.channels_last)
    x_TN = x_TN.reshape(MAX_REGISTER_STEPS, 4, 32, 16, 16)
    law = NeuronConstants(0.0, 0.0, 0.0, 0.0, 1.0, v_reset, detach_reset=False, slope=slope)
    call = NeuronCall(x_TN, None, torch.zeros(()), torch.zeros(()), None, law)
    channels = KernelChannels(*torch.zeros(4, 32))
    joint = FusedJoin(join, x_TN if join else None)
    running = RunningStatistics(torch.zeros(32), torch.zeros(32), 0.1, torch.zeros((), dtype=torch.int64), 1)
    cuda_norm_neuron.statistics(x_TN, running, 1e-5)
    cuda_norm_neuron.forward(call, channels, joint)
    wanted = NeedsGrad(x=True, channels=True, factors=True, other=bool(join))
    cuda_norm_neuron.gradients(call, x_TN, channels, joint, wanted, batch=True)


def compile_storage(dtype: torch.dtype, widths: Sequence[int]) -> None:
    """What is kept: numbers in few bits, and places of maxima."""
    x = torch.zeros(64, 32, 16, 16, dtype=dtype).contiguous(memory_format=torch.channels_last)
    for bits in widths:
        cuda_packed_bits.unpack(cuda_packed_bits.pack(x, bits), x, bits)
    y, places = cuda_max_pool.forward(x, WINDOW)
    cuda_max_pool.backward(y, places, x.shape, WINDOW)


def jobs(surrogates: Sequence[str], *, few: bool) -> Iterator[tuple[str, torch.dtype, Callable[[], None]]]:
    """What is compiled for a target: all kinds of kernels in all variants, or each kind once."""
    for number, dtype in enumerate((torch.float32, torch.bfloat16)):
        if not (few and number):
            yield "storage", dtype, partial(compile_storage, dtype, (1,) if few else (1, 2, 4, 8))
        for surrogate, v_reset in product(surrogates, (0.0, None)):
            if few and (v_reset is None) != bool(number):
                continue
            slope = trace_surrogate(make("LIF", surrogate).surrogate) or ""
            for T in (MAX_REGISTER_STEPS, MAX_REGISTER_STEPS + 1):
                yield f"neurons {surrogate} {v_reset} {T}", dtype, partial(compile_neurons, dtype, slope, v_reset, T)
            for join in (IAND,) if few else ("", "add s z", IAND):
                job = partial(compile_norm_neurons, dtype, slope, v_reset, join)
                yield f"norm {surrogate} {v_reset} {join}", dtype, job


def main(targets: Sequence[str], surrogates: Sequence[str], *, few: bool) -> None:
    jit.JITFunction.run = compile_only
    for target in targets:
        driver.set_active(Driver(GPUTarget(*TARGETS[target])))
        cuda_neuron.load_kernels.cache_clear()
        for name, dtype, job in jobs(surrogates, few=few):
            compiled.clear()
            job()
            for function, assembly in compiled:
                kernel = [target, f"{name.split()[0]} {function}", name, str(dtype)]
                sys.stdout.write(json.dumps({"kernel": kernel, **needs(assembly)}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1].split(","), sys.argv[2].split(","), few=sys.argv[3] == "few")
