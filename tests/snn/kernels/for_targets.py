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
from types import ModuleType
from typing import Any, NamedTuple

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.runtime import driver, jit

from sewdsl.elaborate.neuron_kinds import shipped_neurons
from sewdsl.ops import catalogue
from sewdsl.ops.equation_neurons import defined_kind, equation_kind
from sewdsl.snn import kernels
from sewdsl.snn.equations import Equations
from sewdsl.snn.kernels.compile_kernel import load_kernels
from sewdsl.snn.kernels.neuron import on_cuda
from sewdsl.snn.kernels.neuron.layer_call import KernelChannels, LayerCall, RunningStatistics
from sewdsl.snn.kernels.neuron.plan_kernel import LayerNeedsGrad
from sewdsl.snn.kernels.neuron.tapes import join_slopes
from sewdsl.snn.kernels.packed_bits import cuda_packed_bits
from sewdsl.snn.kernels.pooling import cuda_max_pool
from sewdsl.snn.limits import MAX_REGISTER_STEPS
from tests.snn.kernels import hand_written
from tests.snn.kernels.cases import ONE_OF_EACH, make

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
    """Return the resources of a kernel.

    Number of registers, bytes of spilled registers, whether multiplications and sums are contracted, and the widest
    memory access in bits.
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


class Layer(NamedTuple):
    """A layer to compile.

    Attributes:
        neuron: Name of the neuron.
        surrogate: Name of its surrogate.
        v_reset: Potential after a spike; None: a soft reset.
        T: Time-steps.
        join: Tape of the join after batch norm; empty without a join, None without batch norm.
        equations: Whether the neuron is given as equations.
        places: Neurons of each channel. Triton makes a constant of an argument that is 1.
    """

    neuron: str
    surrogate: str
    v_reset: float | None
    T: int
    join: str | None = None
    equations: bool = False
    places: int = 4 * 16 * 16

    def call(self, dtype: torch.dtype) -> LayerCall:
        """Return the call of its kernels; channels are last."""
        x_TN = torch.zeros(self.T, self.places, 32, 1, 1, dtype=dtype)
        settings: dict[str, Any] = {"v_reset": self.v_reset, "detach_reset": False}
        if self.equations:
            kind = defined_kind(ONE_OF_EACH) if self.neuron == "Each" else equation_kind(shipped_neurons()[self.neuron])
            settings |= {"steps": self.T, "surrogate": catalogue()[self.surrogate]()}
            spec = kind.model_validate({name: each for name, each in settings.items() if name in kind.model_fields})
            module = Equations(spec, 32, self.T)
            kernel = kernels.find_norm_kernel(spec, x_TN, module.learned)
        else:
            neuron = make(self.neuron, self.surrogate, v_reset=self.v_reset, detach_reset=False)
            learned = {name: torch.tensor(value) for name, value in neuron.learnable().items()}
            kernel = kernels.find_norm_kernel(neuron, x_TN, learned)
        assert kernel is not None
        channels = None if self.join is None else KernelChannels(*torch.zeros(4, 32).unbind())
        text = kernel.program._replace(join=self.join or "").text()
        return LayerCall(x_TN, text, None, kernel.factors, x_TN if self.join else None, channels)

    def compile(self, dtype: torch.dtype, device: ModuleType) -> None:
        """Compile the kernels of its forward and backward passes."""
        call = self.call(dtype)
        norm, factors = self.join is not None, call.factors is not None
        after = None if norm else call.states_after()
        device.forward(call, final=not norm)
        slopes = join_slopes(self.join) if self.join else None
        other = slopes is not None and slopes.other.number != 1
        wanted = LayerNeedsGrad(x=True, start=not norm, channels=norm, factors=factors, other=other)
        device.backward(call, call.x_TN, after, wanted, batch=norm)


def compile_statistics(dtype: torch.dtype) -> None:
    """Statistics of batch norm; channels are last."""
    x_TN = torch.zeros(4 * 4, 32, 16, 16, dtype=dtype).contiguous(memory_format=torch.channels_last)
    running = RunningStatistics(torch.zeros(32), torch.zeros(32), 0.1, torch.zeros((), dtype=torch.int64), 1)
    on_cuda.statistics(x_TN.reshape(4, 4, 32, 16, 16), running, 1e-5)


def compile_layer(target: str, layer: Layer, device: ModuleType) -> dict[str, dict[str, int | bool]]:
    """Return what the kernels of a layer need on a target, in single precision."""
    start(target)
    layer.compile(torch.float32, device)
    return {function: needs(assembly) for function, assembly in compiled}


def start(target: str) -> None:
    """Compile for a target from now on."""
    jit.JITFunction.run = compile_only
    driver.set_active(Driver(GPUTarget(*TARGETS[target])))
    load_kernels.cache_clear()
    hand_written.render.load.cache_clear()
    compiled.clear()


def compile_storage(dtype: torch.dtype, widths: Sequence[int]) -> None:
    """Compile the kernels of storage: packed numbers, and positions of maxima."""
    x = torch.zeros(64, 32, 16, 16, dtype=dtype).contiguous(memory_format=torch.channels_last)
    for bits in widths:
        cuda_packed_bits.unpack(cuda_packed_bits.pack(x, bits), x, bits)
    y, places = cuda_max_pool.forward(x, WINDOW)
    cuda_max_pool.backward(y, places, x.shape, WINDOW)


def layers(surrogates: Sequence[str], *, few: bool) -> Iterator[Layer]:
    """Return all layers, or one of each kind of kernel with 4 time-steps, which compile three times as fast as 16."""
    if few:
        yield from (Layer("LIF", surrogates[0], 0.0, T) for T in (4, MAX_REGISTER_STEPS + 1))
        yield Layer("PLIF", surrogates[0], None, 4, IAND)
        yield from (Layer("Each", surrogates[0], 0.0, 4, join, equations=True) for join in (None, IAND))
        return
    for surrogate, v_reset, neuron in product(surrogates, (0.0, None), ("LIF", "PLIF")):
        yield from (Layer(neuron, surrogate, v_reset, T) for T in (MAX_REGISTER_STEPS, MAX_REGISTER_STEPS + 1))
        yield from (Layer(neuron, surrogate, v_reset, MAX_REGISTER_STEPS, join) for join in ("", "add s z", IAND))
    for neuron, T, join in product((*shipped_neurons(), "Each"), (4, MAX_REGISTER_STEPS), (None, IAND)):
        yield Layer(neuron, surrogates[0], 0.0, T, join, equations=True)
    yield Layer("LIF", surrogates[0], 0.0, 4, IAND, places=1)
    yield Layer("PLIFC", surrogates[0], 0.0, 4, equations=True, places=1)


def jobs(surrogates: Sequence[str], *, few: bool) -> Iterator[tuple[str, torch.dtype, Callable[[], None]]]:
    """Return the kernels to compile for a target: all kinds in all variants, or each kind once."""
    for dtype in (torch.float32,) if few else (torch.float32, torch.bfloat16):
        yield "storage", dtype, partial(compile_storage, dtype, (1,) if few else (1, 2, 4, 8))
        yield "norm", dtype, partial(compile_statistics, dtype)
        for layer in layers(surrogates, few=few):
            kind = "norm" if layer.join is not None else "registers" if layer.T <= MAX_REGISTER_STEPS else "memory"
            yield f"{'equations' if layer.equations else kind} {layer}", dtype, partial(layer.compile, dtype, on_cuda)


def main(targets: Sequence[str], surrogates: Sequence[str], *, few: bool) -> None:
    for target in targets:
        start(target)
        for name, dtype, job in jobs(surrogates, few=few):
            compiled.clear()
            job()
            for function, assembly in compiled:
                kernel = [target, f"{name.split()[0]} {function}", name, str(dtype)]
                sys.stdout.write(json.dumps({"kernel": kernel, **needs(assembly)}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1].split(","), sys.argv[2].split(","), few=sys.argv[3] == "few")
