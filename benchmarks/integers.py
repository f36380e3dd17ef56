"""C files in integers compared with onnxruntime and with inference in floats, one sample at a time.

``python -m benchmarks.integers [NETWORK[:SIZE] …]`` measures 7B-Net and SEW-ResNet-18 at 64x64 and 224x224 by default.
Weights are random, and batch norms are set so that each neuron layer fires in a tenth of the time-steps. The C file is
compiled with and without vectors. onnxruntime runs the exported model in float32, and with convolutions and full
connections in int8 (QDQ, per channel, static quantisation). All run on one thread and take turns in one process. Each
turn is two samples, of which the second is measured. Times are medians of the CPU time of the process.
"""

from __future__ import annotations

import ctypes
import logging
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from torch import Tensor

import sewdsl
from benchmarks.networks import name_and_input, printed_errors
from sewdsl.exchange.write.c.run_file import find_compiler
from sewdsl.exchange.write.c.write_file import write_c
from sewdsl.exchange.write.formats import FORMATS
from sewdsl.integers.build import build_integer_network
from sewdsl.lower import SpikingNetwork
from sewdsl.snn.batch_norm import BatchNorm
from sewdsl.snn.neuron import Neuron
from sewdsl.train.fit.integer_run import input_scaling, to_integers

NETWORKS = ("7b-net", "sew-resnet-18:64", "sew-resnet-18:224")
ROUNDS = 7
RATE = 0.1
"""Fraction of the time-steps in which a neuron fires."""
EVENTS = 0.05
"""Mean number of events for each pixel and time-step."""
FLAGS = ("-std=c99", "-O3", "-march=native", "-shared", "-fPIC")
# GCC uses half of the registers of AVX-512 by default.
WIDE = ("-mprefer-vector-width=512",) if platform.machine() == "x86_64" else ()
BODIES = {"C": (), "C without vectors": ("-DNET_LANES=0",)}
ENTRY = "\nint64_t state_size(void) { return (int64_t)sizeof(net_state); }\n"

Run = Callable[[], object]


def set_rates(model: SpikingNetwork, x: Tensor) -> None:
    """Set the batch norms so that each neuron layer fires at the same rate."""
    norms: list[BatchNorm] = []

    def normalise(norm: BatchNorm, arguments: tuple[Tensor], _: Tensor) -> Tensor:
        (current,) = arguments
        axes = (0, 1, *range(3, current.ndim))
        norm.running_mean.copy_(current.mean(axes))
        norm.running_var.copy_(current.var(axes) + norm.eps)
        norms.append(norm)
        shape = (1, 1, -1, *[1] * (current.ndim - 3))
        centred = current - norm.running_mean.view(shape)
        return centred * (norm.weight / (norm.running_var + norm.eps).sqrt()).view(shape) + norm.bias.view(shape)

    def shift(neuron: Neuron, arguments: tuple[Tensor, ...]) -> tuple[Tensor]:
        low, high = -5.0, 5.0
        for _ in range(12):
            middle = (low + high) / 2
            is_low = neuron.forward(arguments[0] + middle).mean() < RATE
            low, high = (middle, high) if is_low else (low, middle)
        norms[-1].bias.add_(low)
        return (arguments[0] + low,)

    hooks = [m.register_forward_hook(normalise) for m in model.modules() if isinstance(m, BatchNorm)]
    hooks += [m.register_forward_pre_hook(shift) for m in model.modules() if isinstance(m, Neuron)]
    model(x)
    for hook in hooks:
        hook.remove()


def runs(spec: str, folder: Path) -> dict[str, Run]:
    """Return a function of each contender that computes the outputs of a sample."""
    name, size = name_and_input(spec)
    model = sewdsl.compile(name, seed=0, optimize=0, input=size).eval()
    scaling, settings = input_scaling(model), model.network.settings
    random, static = np.random.default_rng(0), settings.encode == "direct"
    shape = (1, *settings.input) if static else (settings.steps, 1, *settings.input)
    n = random.integers(0, scaling.high + 1, shape) if static else random.poisson(EVENTS, shape)
    factor, shift = (np.asarray(x).reshape(-1, *[1] * (len(shape) - 2)) for x in (scaling.factor, scaling.shift))
    x = torch.from_numpy(n * factor + shift).float()
    set_rates(model, x)
    ours = sewdsl.compile(name, seed=0, input=size).eval()
    ours.load_state_dict(model.state_dict())
    contenders: dict[str, Run] = {"sewdsl in floats": partial(ours, x)}
    path, quantised = folder / "network.onnx", folder / "int8.onnx"
    path.write_bytes(FORMATS["onnx"].write(ours, ""))
    _quantise(path, quantised, x.numpy())
    for words, file in (("float32", path), ("int8", quantised)):
        contenders[f"onnxruntime {words}"] = _in_onnxruntime(file, x.numpy())
    network = replace(build_integer_network(model, scaling), hoist=True)
    source = folder / "net.c"
    source.write_text(write_c(network).source + ENTRY, encoding="utf-8")
    integers = np.ascontiguousarray(to_integers(x, network), np.uint8)
    (expected,) = network.run(integers.astype(np.int64)).values()
    for words, flags in BODIES.items():
        contenders[words] = _in_c(source, flags, integers, expected)
    return contenders


def _quantise(path: Path, out: Path, x: np.ndarray[Any, Any]) -> None:
    class Samples(CalibrationDataReader):  # type: ignore[misc]
        samples = iter([{"input": x}])

        def get_next(self) -> dict[str, Any] | None:
            return next(self.samples, None)

    logging.disable(logging.WARNING)
    quantize_static(
        path,
        out,
        Samples(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        op_types_to_quantize=["Conv", "Gemm"],
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QUInt8,
    )


def _in_onnxruntime(file: Path, x: np.ndarray[Any, Any]) -> Run:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(["logits"], {"input": x})


def _in_c(source: Path, flags: tuple[str, ...], n: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> Run:
    library = source.with_name(f"net{len(flags)}.so")
    command = [find_compiler() or "cc", *FLAGS, *WIDE, *flags, "-o", str(library), str(source)]
    subprocess.run(command, check=True)  # noqa: S603 -- a C compiler
    loaded = ctypes.CDLL(str(library))
    loaded.state_size.restype = ctypes.c_int64
    state = np.zeros(loaded.state_size() // 8 + 1, np.int64)
    outputs = np.zeros(expected.size, np.int32)
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (state, n, outputs)]

    def run() -> tuple[object, ...]:
        # The arrays live as long as this function.
        return loaded.net_run(*pointers), state, n, outputs

    run()
    if not np.array_equal(outputs, expected.ravel()):
        raise RuntimeError(f"{source}: the outputs differ from the reference")
    return run


def lines(spec: str, rounds: int) -> Iterator[str]:
    """Yield the lines to print for a network."""
    with TemporaryDirectory(prefix="benchmarks-") as folder, torch.no_grad():
        contenders = runs(spec, Path(folder))
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(rounds):
            for name, run in contenders.items():
                # The caches contain the data of the last contender.
                run()
                start = process_time()
                run()
                seconds[name].append(process_time() - start)
    for name, taken in seconds.items():
        ratio = median(base / own for base, own in zip(seconds["onnxruntime int8"], taken, strict=True))
        yield f"{spec}, {name}: {1000 * median(taken):.1f} ms, {ratio:.2f} times as fast as onnxruntime int8"


def main() -> None:
    """Print all measurements."""
    if sys.argv[1:2] in (["-h"], ["--help"]):
        raise SystemExit(__doc__)
    sewdsl.keep_memory()
    torch.set_num_threads(1)
    specs = sys.argv[1:] or NETWORKS
    with printed_errors(specs):
        for spec in specs:
            for line in lines(spec, ROUNDS):
                sys.stdout.write(f"{line}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
