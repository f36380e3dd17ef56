"""What runs on a machine, whether it computes what it should, and how fast: for ``sewdsl doctor``."""

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
"""Whose versions are said, where they are installed."""

CASES = {
    "IF, LIF and PLIF": "c8k3-BN-IF-c8k3-BN-LIF-c8k3-BN-PLIF",
    "soft reset, other surrogates": "c8k3-BN-LIF(v_reset=none, surrogate=Sigmoid)-c8k3-BN-IF(surrogate=Triangle)",
    "norm, neurons and join in one kernel": "c8k3-BN-LIF-ADD[c8k3-BN-LIF | id]-IAND[c8k3-BN-PLIF | c8k1-BN-IF]",
    "neurons as equations": "c8k3-BN-KLIF-c8k3-BN-ALIF",
    "convolutions by events": "c16k3-BN-IF-c16k3-BN-IF-ADD[c16k3-BN-IF | id]-c16k3-BN-IF",
    "pooling": "c8k3-BN-IF-MPk2-c8k3-BN-LIF-MPk3s2p1",
}
"""Networks that between them run every kernel there is, and give spikes or sums of them."""
INPUT, STEPS, SAMPLES = (2, 32, 32), 8, 16
MANY_STEPS = 20
MIN_SPIKE_TOLERANCE, MIN_GRADIENT_TOLERANCE = 1e-3, 1e-1
"""Differences that are allowed where plain PyTorch has none: one other spike changes later layers and gradients."""
ROUNDING_FACTOR = 2
"""Differences that are allowed, as a multiple of those that plain PyTorch has in the same format, by rounding alone."""
TIMED_NEURONS, TIMED_STEPS = 1 << 20, 16
STEP_NETWORK = "c32k3-BN-LIF-{SEW Block (c32)-MPk2}*3-FC10"
ROUNDS = 3


class KernelCheck(NamedTuple):
    """Comparison of a network that runs by kernels with the same network in plain PyTorch in float64.

    Attributes:
        ok: Whether both differences are within their tolerances.
        error: Why the kernels do not run, or give no finite numbers; empty where they do.
        spikes: Fraction of the spikes that differ; None where there is an error.
        gradient: Mean difference of the input gradient, as a fraction of its mean; None where there is an error.
        seconds: Time with compiling.
    """

    name: str
    dtype: str
    ok: bool
    error: str
    spikes: float | None
    spike_tolerance: float
    gradient: float | None
    gradient_tolerance: float
    seconds: float


class Speed(NamedTuple):
    """How long something takes, and how long something else does.

    Attributes:
        milliseconds: Of the fastest of a few rounds.
        ratio: How many times as long that takes.
    """

    name: str
    milliseconds: float
    other: str
    ratio: float


def installed_versions() -> dict[str, str]:
    """Of sewdsl, Python, the C library and the packages that are installed."""
    library, number = platform.libc_ver()
    found = {"sewdsl": installed_version("sewdsl") or "from its sources", "python": platform.python_version()}
    found |= {library: number} if library else {}
    return found | {name: version for name in PACKAGES if (version := installed_version(name))}


def machine_facts() -> dict[str, str]:
    """Processor, memory, devices, and the settings that change numbers or speed."""
    model = re.search(r"^model name\s*: (.+)$", _text("/proc/cpuinfo"), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s+(\d+)", _text("/proc/meminfo"), re.MULTILINE)
    decided = sorted(name for name in os.environ if name.startswith(("MALLOC_", "GLIBC_TUNABLES", "SEWDSL_", "OMP_")))
    found = {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": model[1] if model else platform.processor() or platform.machine(),
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "cores": f"{os.cpu_count()}, of which torch uses {torch.get_num_threads()}",
        **({"memory": f"{int(memory[1]) / 2**20:.1f} GiB"} if memory else {}),
        "settings": ", ".join(f"{name}={os.environ[name]}" for name in decided) or "none",
    }
    if not torch.cuda.is_available():
        found["GPU"] = "Apple's, which neurons run on in plain PyTorch" if torch.backends.mps.is_available() else "none"
        return found
    for index in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(index)
        capability = f"sm_{device.major}{device.minor}"
        found[f"GPU {index}"] = f"{device.name}, {capability}, {device.total_memory / 2**30:.1f} GiB"
    found["CUDA"] = str(torch.version.cuda or torch.version.hip)
    switches = {"convolutions": torch.backends.cudnn.allow_tf32, "products": torch.backends.cuda.matmul.allow_tf32}
    found["TF32"] = ", ".join(f"{'on' if allowed else 'off'} in {name}" for name, allowed in switches.items())
    return found


def list_missing(device: str) -> list[str]:
    """What is not there, and what does not work without it."""
    found = []
    if find_spec("numba") is None:
        found.append("numba: neurons on the CPU are computed by plain PyTorch, many times slower")
    if device == "cuda" and find_spec("triton") is None:
        found.append("triton: neurons on the GPU are computed by plain PyTorch, many times slower")
    if device == "cuda" and not any(map(shutil.which, ("cc", "gcc", "clang"))):
        found.append("a C compiler: Triton needs one to launch its kernels")
    if shutil.which("dot") is None and find_spec("graphviz") is None:
        found.append("graphviz: 'sewdsl draw --engine dot'")
    return found


def check_kernels(device: str) -> Iterator[KernelCheck]:
    """Compares every kernel of a device with the plain reference, forward and backward."""
    has_bfloat16 = device == "cpu" or torch.cuda.is_bf16_supported(including_emulation=False)
    for dtype in (torch.float32, torch.bfloat16 if has_bfloat16 else torch.float16):
        for name, text in CASES.items():
            yield _check(name, text, torch.device(device), dtype, STEPS)
        if device != "cpu":  # where another kernel is the backward pass of many time-steps
            name, text = next(iter(CASES.items()))
            yield _check(f"{name}, T = {MANY_STEPS}", text, torch.device(device), dtype, MANY_STEPS)


def _check(name: str, text: str, device: torch.device, dtype: torch.dtype, steps: int) -> KernelCheck:
    network = load(text, input=INPUT, steps=steps)
    program = replace(optimize_program(network, 2), lean=True)
    x_TN = torch.rand(steps, SAMPLES, *INPUT, generator=torch.Generator().manual_seed(0)).to(device)
    begun, called = time.perf_counter(), str(dtype).removeprefix("torch.")
    allowed = MIN_SPIKE_TOLERANCE, MIN_GRADIENT_TOLERANCE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with kernels.use_kernels("reference"):
                exact = _outcome(Program.of(network), x_TN, torch.float64)
                plain = _outcome(Program.of(network), x_TN, dtype)
            outcome = _outcome(program, x_TN, dtype)
        # Rounding flips more spikes in narrow formats and deep networks: plain PyTorch shows how many.
        plain_spikes, plain_gradient = _differences(plain, exact)
        allowed = (
            max(MIN_SPIKE_TOLERANCE, ROUNDING_FACTOR * plain_spikes),
            max(MIN_GRADIENT_TOLERANCE, ROUNDING_FACTOR * plain_gradient),
        )
        spikes, gradient = _differences(outcome, exact)
        failure = ""
    except Exception as error:  # noqa: BLE001 -- broken kernels fail in many ways, each of which is reported
        reason = str(error).strip().splitlines()
        spikes, gradient, failure = None, None, f"{type(error).__name__}: {reason[0] if reason else ''}"
    ok = spikes is not None and gradient is not None and spikes <= allowed[0] and gradient <= allowed[1]
    seconds = time.perf_counter() - begun
    return KernelCheck(name, called, ok, failure, spikes, allowed[0], gradient, allowed[1], seconds)


def _outcome(program: Program, x_TN: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The spikes of all time-steps, and the gradient of the input."""
    wide = torch.promote_types(dtype, torch.float32)
    model = lower(program, seed=0).to(x_TN.device, wide)
    x_TN = x_TN.to(wide, copy=True).requires_grad_()
    if dtype == wide:
        y_TN = model(x_TN, return_sequence=True)
    else:
        with torch.autocast(x_TN.device.type, dtype=dtype):
            y_TN = model(x_TN, return_sequence=True)
    y_TN.to(wide).mul(torch.linspace(0.5, 1.5, len(x_TN), device=x_TN.device).view(-1, 1, 1, 1, 1)).sum().backward()
    assert x_TN.grad is not None  # noqa: S101 -- it was asked for
    return y_TN.detach().double().cpu(), x_TN.grad.double().cpu()


def _differences(outcome: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> tuple[float, float]:
    """Return the fraction of the spikes that differ, and the mean difference of the gradient as a fraction of its mean.

    Raises:
        ArithmeticError: The outcome has values that are not finite.
    """
    (y, g), (y_expected, g_expected) = outcome, expected
    if not (g.isfinite().all() and y.isfinite().all()):
        raise ArithmeticError("values that are not finite")
    spikes = float((y != y_expected).double().mean())
    gradient = float((g - g_expected).abs().mean() / (g_expected.abs().mean() + torch.finfo(torch.float32).tiny))
    return spikes, gradient


def measure_speed(device: str) -> Iterator[Speed]:
    """How fast a layer of neurons is, compared with moving its bytes, and a training step, with plain PyTorch."""
    x_TN = torch.rand(TIMED_STEPS, TIMED_NEURONS // 64, 64, device=device).requires_grad_()
    layer = lower(Program.of(load("LIF", input="64", steps=TIMED_STEPS)), seed=0).to(device)
    copied = [torch.empty_like(x_TN) for _ in range(4)]

    def neurons() -> None:
        y_TN = layer(x_TN, return_sequence=True)
        torch.autograd.grad(y_TN, x_TN, copied[0])

    def move() -> None:  # input and spikes once, then the input, the gradient that comes and the one that goes
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
    """Milliseconds of the fastest round of each, in turns, after one that is not counted."""
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(ROUNDS + 1):
        for place, function in enumerate(functions):
            _wait(device)
            begun = time.perf_counter()
            function()
            _wait(device)
            times[place].append(time.perf_counter() - begun)
    return [1e3 * min(each[1:]) for each in times]


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _text(path: str) -> str:
    with suppress(OSError):
        return Path(path).read_text(encoding="utf-8", errors="replace")
    return ""
