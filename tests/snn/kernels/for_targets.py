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
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.runtime import driver, jit

from sewdsl.snn.kernels import cuda_neuron
from sewdsl.snn.kernels.neuron_call import NeuronCall, NeuronConstants, NeuronNeedsGrad
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


def main(targets: Sequence[str], surrogates: Sequence[str]) -> None:
    jit.JITFunction.run = compile_only
    for target in targets:
        driver.set_active(Driver(GPUTarget(*TARGETS[target])))
        cuda_neuron._kernels.cache_clear()
        for surrogate in surrogates:
            slope = trace_surrogate(make("LIF", surrogate).surrogate) or ""
            for dtype in (torch.float32, torch.bfloat16):
                for v_reset, T in product((0.0, None), (MAX_REGISTER_STEPS, MAX_REGISTER_STEPS + 1)):
                    x_TN = torch.zeros(T, 4, 8, 16, 16, dtype=dtype)
                    law = NeuronConstants(0.5, 0.5, 0.0, 0.0, 1.0, v_reset, detach_reset=False, slope=slope)
                    call = NeuronCall(x_TN, None, None, None, None, law)
                    compiled.clear()
                    cuda_neuron.forward(call, final=True)
                    cuda_neuron.backward(call, x_TN, None, NeuronNeedsGrad(x=True, v=True, factors=True))
                    for name, assembly in compiled:
                        kernel = [target, name, surrogate, str(dtype), str(v_reset), T]
                        sys.stdout.write(json.dumps({"kernel": kernel, **needs(assembly)}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1].split(","), sys.argv[2].split(","))
