"""Checks of an installation for ``sewdsl doctor``: versions, devices, kernels and speed."""

from __future__ import annotations

import os
import platform
import re
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sewdsl.compiler import load
from sewdsl.lower import lower
from sewdsl.passes import Program, optimize_program
from sewdsl.plugins import installed_version
from sewdsl.snn import kernels

PACKAGES = ("torch", "numpy", "numba", "llvmlite", "triton", "lightning", "torchvision", "tonic", "nir", "onnx")
"""Packages whose versions are listed, if installed."""

CASES = {
    "IF, LIF and PLIF": "c8k3-BN-IF-c8k3-BN-LIF-c8k3-BN-PLIF",
    "soft reset, other surrogates": "c8k3-BN-LIF(v_reset=none, surrogate=Sigmoid)-c8k3-BN-IF(surrogate=Triangle)",
    "norm, neurons and join in one kernel": "c8k3-BN-LIF-ADD[c8k3-BN-LIF | id]-IAND[c8k3-BN-PLIF | c8k1-BN-IF]",
    "neurons as equations": "c8k3-BN-KLIF-c8k3-BN-ALIF",
    "convolutions by events": "c16k3-BN-IF-c16k3-BN-IF-ADD[c16k3-BN-IF | id]-c16k3-BN-IF",
    "pooling": "c8k3-BN-IF-MPk2-c8k3-BN-LIF-MPk3s2p1",
}
"""Networks that together run every kernel, with spikes or sums of spikes as output."""
INPUT, STEPS, SAMPLES = (2, 32, 32), 8, 16
MANY_STEPS = 20
MIN_SPIKE_TOLERANCE, MIN_GRADIENT_TOLERANCE = 1e-3, 1e-1
"""Differences that are accepted even if plain PyTorch has none: one other spike changes later layers and gradients."""
ROUNDING_FACTOR = 2
"""Accepted differences as a multiple of the rounding differences of plain PyTorch in the same dtype."""
TIMED_NEURONS, TIMED_STEPS = 1 << 20, 16
STEP_NETWORK = "c32k3-BN-LIF-{SEW Block (c32)-MPk2}*3-FC10"
ROUNDS = 3


class KernelCheck(NamedTuple):
    """Comparison of a network with kernels to the same network in plain PyTorch in float64."""

    name: str
    dtype: str
    ok: bool
    """Whether both differences are within their tolerances."""
    error: str
    """Reason why the kernels fail or return non-finite values (empty if they work)."""
    spikes: float | None
    """Fraction of spikes that differ, or None after an error."""
    spike_tolerance: float
    gradient: float | None
    """Mean difference of the input gradient, relative to its mean, or None after an error."""
    gradient_tolerance: float
    seconds: float
    """Duration, including compilation."""


class Speed(NamedTuple):
    """Duration of the fastest round of an operation, and that of another operation as a ratio."""

    name: str
    milliseconds: float
    other: str
    ratio: float


def installed_versions() -> dict[str, str]:
    """Return the versions of sewdsl, Python, the C library and the installed packages."""
    library, library_version = platform.libc_ver()
    versions = {"sewdsl": installed_version("sewdsl") or "from its sources", "python": platform.python_version()}
    versions |= {library: library_version} if library else {}
    return versions | {name: version for name in PACKAGES if (version := installed_version(name))}


def machine_facts() -> dict[str, str]:
    """Return processor, memory, devices, and the settings that affect results or speed."""
    model = re.search(r"^model name\s*: (.+)$", _text("/proc/cpuinfo"), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s+(\d+)", _text("/proc/meminfo"), re.MULTILINE)
    variables = sorted(name for name in os.environ if name.startswith(("MALLOC_", "GLIBC_TUNABLES", "SEWDSL_", "OMP_")))
    facts = {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": model[1] if model else platform.processor() or platform.machine(),
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "cores": f"{os.cpu_count()}, {torch.get_num_threads()} used by PyTorch",
        **({"memory": f"{int(memory[1]) / 2**20:.1f} GiB"} if memory else {}),
        "settings": ", ".join(f"{name}={os.environ[name]}" for name in variables) or "none",
    }
    if not torch.cuda.is_available():
        facts["GPU"] = "Apple GPU (neurons run in plain PyTorch)" if torch.backends.mps.is_available() else "none"
        return facts
    for index in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(index)
        capability = f"sm_{device.major}{device.minor}"
        facts[f"GPU {index}"] = f"{device.name}, {capability}, {device.total_memory / 2**30:.1f} GiB"
    facts["CUDA"] = str(torch.version.cuda or torch.version.hip)
    switches = {"convolutions": torch.backends.cudnn.allow_tf32, "products": torch.backends.cuda.matmul.allow_tf32}
    facts["TF32"] = ", ".join(f"{'on' if allowed else 'off'} in {name}" for name, allowed in switches.items())
    return facts


def list_missing(device: str) -> list[str]:
    """List missing optional packages and programs, and the features that require them."""
    missing = []
    if find_spec("numba") is None:
        missing.append("numba: without it, neurons on the CPU run in plain PyTorch, many times slower")
    if device == "cuda" and find_spec("triton") is None:
        missing.append("triton: without it, neurons on the GPU run in plain PyTorch, many times slower")
    if device == "cuda" and not any(map(shutil.which, ("cc", "gcc", "clang"))):
        missing.append("a C compiler: required by Triton to launch kernels")
    return missing


def check_kernels(device: str) -> Iterator[KernelCheck]:
    """Compare every kernel of a device with plain PyTorch, forward and backward."""
    has_bfloat16 = device == "cpu" or torch.cuda.is_bf16_supported(including_emulation=False)
    for dtype in (torch.float32, torch.bfloat16 if has_bfloat16 else torch.float16):
        for name, text in CASES.items():
            yield _check(name, text, torch.device(device), dtype, STEPS)
        if device != "cpu":  # On GPUs, many time-steps have a separate backward kernel.
            name, text = next(iter(CASES.items()))
            yield _check(f"{name}, T = {MANY_STEPS}", text, torch.device(device), dtype, MANY_STEPS)


def _check(name: str, text: str, device: torch.device, dtype: torch.dtype, steps: int) -> KernelCheck:
    network = load(text, input=INPUT, steps=steps)
    # Lean programs run the kernels for tensors of any size.
    program = replace(optimize_program(network, 2), lean=True)
    # Drawn on the CPU, for the same input on every device.
    x_TN = torch.rand(steps, SAMPLES, *INPUT, generator=torch.Generator().manual_seed(0)).to(device)
    start, dtype_name = time.perf_counter(), str(dtype).removeprefix("torch.")
    tolerances = MIN_SPIKE_TOLERANCE, MIN_GRADIENT_TOLERANCE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with kernels.use_kernels("reference"):
                exact = _outcome(Program.of(network), x_TN, torch.float64)
                plain = _outcome(Program.of(network), x_TN, dtype)
            outcome = _outcome(program, x_TN, dtype)
        # Rounding flips more spikes in narrow dtypes and deep networks: measure it with plain PyTorch.
        plain_spikes, plain_gradient = _differences(plain, exact)
        tolerances = (
            max(MIN_SPIKE_TOLERANCE, ROUNDING_FACTOR * plain_spikes),
            max(MIN_GRADIENT_TOLERANCE, ROUNDING_FACTOR * plain_gradient),
        )
        spikes, gradient = _differences(outcome, exact)
        failure = ""
    except Exception as error:  # noqa: BLE001 -- broken kernels can raise anything
        reason = str(error).strip().splitlines()
        spikes, gradient, failure = None, None, f"{type(error).__name__}: {reason[0] if reason else ''}"
    ok = spikes is not None and gradient is not None and spikes <= tolerances[0] and gradient <= tolerances[1]
    seconds = time.perf_counter() - start
    return KernelCheck(name, dtype_name, ok, failure, spikes, tolerances[0], gradient, tolerances[1], seconds)


def _outcome(program: Program, x_TN: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the spikes of all time-steps, and the input gradient."""
    wide = torch.promote_types(dtype, torch.float32)
    model = lower(program, seed=0).to(x_TN.device, wide)
    x_TN = x_TN.to(wide, copy=True).requires_grad_()
    if dtype == wide:
        y_TN = model(x_TN, return_sequence=True)
    else:
        with torch.autocast(x_TN.device.type, dtype=dtype):
            y_TN = model(x_TN, return_sequence=True)
    # Unequal weights of the time-steps reveal gradients that belong to another time-step.
    y_TN.to(wide).mul(torch.linspace(0.5, 1.5, len(x_TN), device=x_TN.device).view(-1, 1, 1, 1, 1)).sum().backward()
    assert x_TN.grad is not None  # noqa: S101 -- the input requires a gradient
    return y_TN.detach().double().cpu(), x_TN.grad.double().cpu()


def _differences(outcome: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> tuple[float, float]:
    """Return the fraction of spikes that differ, and the mean gradient difference relative to the mean gradient.

    Raises:
        ArithmeticError: If the outcome has non-finite values.
    """
    (y, g), (y_expected, g_expected) = outcome, expected
    if not (g.isfinite().all() and y.isfinite().all()):
        raise ArithmeticError("non-finite values")
    spikes = float((y != y_expected).double().mean())
    gradient = float((g - g_expected).abs().mean() / (g_expected.abs().mean() + torch.finfo(torch.float32).tiny))
    return spikes, gradient


def measure_speed(device: str) -> Iterator[Speed]:
    """Measure a layer of neurons relative to a copy of its memory, and a training step relative to plain PyTorch."""
    x_TN = torch.rand(TIMED_STEPS, TIMED_NEURONS // 64, 64, device=device).requires_grad_()
    layer = lower(Program.of(load("LIF", input="64", steps=TIMED_STEPS)), seed=0).to(device)
    copied = [torch.empty_like(x_TN) for _ in range(4)]

    def neurons() -> None:
        y_TN = layer(x_TN, return_sequence=True)
        torch.autograd.grad(y_TN, x_TN, copied[0])

    def move() -> None:  # The traffic of the layer: input and spikes, then input and both gradients.
        with torch.no_grad():
            copied[1].copy_(x_TN)
            copied[2].copy_(x_TN)
            copied[3].copy_(copied[0])

    copied[0].fill_(1)
    neuron_time, move_time = _fastest(device, neurons, move)
    yield Speed(
        f"{TIMED_NEURONS:,} LIF neurons, T = {TIMED_STEPS}", neuron_time, "moving its bytes", move_time / neuron_time
    )
    network = load(STEP_NETWORK, input=(2, 64, 64), steps=STEPS)
    x = (torch.rand(STEPS, SAMPLES, *network.settings.input, device=device) < 0.1).float()  # noqa: PLR2004 -- a rate
    models = [lower(program, seed=0).to(device) for program in (optimize_program(network), Program.of(network))]

    def step(model: nn.Module) -> None:
        model.zero_grad()
        model(x).square().sum().backward()

    def reference() -> None:
        with kernels.use_kernels("reference"):
            step(models[1])

    own, plain = _fastest(device, lambda: step(models[0]), reference)
    yield Speed("a training step of three SEW blocks", own, "plain PyTorch", plain / own)


def _fastest(device: str, *functions: Callable[[], None]) -> list[float]:
    """Return the duration in ms of the fastest round of each function, in alternation, after an uncounted round."""
    times: list[list[float]] = [[] for _ in functions]
    # The first round compiles kernels. Alternating rounds distribute the load of other processes.
    for _ in range(ROUNDS + 1):
        for index, function in enumerate(functions):
            # CUDA kernels run asynchronously.
            _wait(device)
            start = time.perf_counter()
            function()
            _wait(device)
            times[index].append(time.perf_counter() - start)
    return [1e3 * min(each[1:]) for each in times]


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _text(path: str) -> str:
    # Only Linux has /proc.
    with suppress(OSError):
        return Path(path).read_text(encoding="utf-8", errors="replace")
    return ""
