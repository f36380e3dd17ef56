"""Event-driven and Winograd convolutions compared with dense ones.

``python -m benchmarks.events [NETWORK …]`` measures 3x3 layers at several active fractions, then layers of
SEW-ResNet-18 by Winograd's algorithm, both compared with oneDNN. Then it measures training steps and inference of
networks (default: 7B-Net) at level 1 without events, at level 1, and at level 2. Measurements take turns in one process
with memory kept. Times are minima of the rounds. On a shared machine, only their ratios are meaningful.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from time import perf_counter

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.grad import conv2d_input, conv2d_weight

import sewdsl
from benchmarks.networks import printed_errors
from sewdsl.lower import lower
from sewdsl.passes import optimize_program
from sewdsl.snn.conv_window import ConvWindow
from sewdsl.snn.kernels.convolution.event_convolution import EventConvolution
from sewdsl.snn.kernels.convolution.winograd import Winograd

THREADS = 2
ROUNDS = 5
LAYERS = ((32, 128, 32), (256, 14, 64))
"""Channels, height and width, and samples of event-driven layers."""
ACTIVE = (0.03, 0.05, 0.1, 0.2, 0.3)
DENSE_LAYERS = (
    *((64, 56, 16), (128, 28, 16), (256, 14, 16), (512, 7, 16)),
    *((64, 16, 16), (128, 8, 16), (256, 4, 16), (512, 2, 16)),
)
"""Channels, height and width, and samples of Winograd layers."""
WINDOW = ConvWindow((3, 3), (1, 1), (1, 1), (1, 1), 1)
NETWORKS = {"7b-net": 4, "sew-resnet-18": 4}
"""Samples per step."""
LEVELS = ("level 1, dense", "level 1", "level 2")


def least_seconds(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the shortest time of each function in seconds, after a warm-up round."""
    least = dict.fromkeys(runs, float("inf"))
    for turn in range(rounds + 1):
        for who, run in runs.items():
            start = perf_counter()
            run()
            if turn:
                least[who] = min(least[who], perf_counter() - start)
    return least


def measure_layer(channels: int, size: int, samples: int, active: float, rounds: int) -> dict[str, float]:
    """Return the times of output and weight gradient in seconds, dense and event-driven."""
    generator = torch.Generator().manual_seed(0)
    shape = samples, channels, size, size
    x = (torch.rand(shape, generator=generator) < active).float().contiguous(memory_format=torch.channels_last)
    g = torch.randn(shape, generator=generator).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(channels, channels, 3, 3, generator=generator).contiguous(memory_format=torch.channels_last)
    events = EventConvolution.of(WINDOW, x, weight, counts=False)
    if events is None:
        message = "there is no kernel for these layers"
        raise RuntimeError(message)

    return least_seconds(
        {
            "output, dense": lambda: functional.conv2d(x, weight, padding=1),
            "output": lambda: events.computed(x, weight, None),
            "gradient, dense": lambda: conv2d_weight(x, weight.shape, g, padding=1),  # type: ignore[no-untyped-call]
            "gradient": lambda: events.computed_gradient(x, weight, g),
        },
        rounds,
    )


def measure_dense_layer(channels: int, size: int, samples: int, rounds: int) -> dict[str, float]:
    """Return the times of output and gradients in seconds, by oneDNN and by Winograd's algorithm."""
    generator = torch.Generator().manual_seed(0)
    shape = samples, channels, size, size
    x, g = (torch.randn(shape, generator=generator).contiguous(memory_format=torch.channels_last) for _ in range(2))
    weight = torch.randn(channels, channels, 3, 3, generator=generator).contiguous(memory_format=torch.channels_last)
    fast = Winograd.of(WINDOW, x, weight)
    if fast is None or not all((fast.output_tile, fast.weight_tile, fast.input_tile)):
        message = "these layers are dense"
        raise RuntimeError(message)
    return least_seconds(
        {
            "output, dense": lambda: functional.conv2d(x, weight, padding=1),
            "output": lambda: fast.forward(x, weight, None),
            "gradient of the weight, dense": lambda: conv2d_weight(x, weight.shape, g, padding=1),  # type: ignore[no-untyped-call]
            "gradient of the weight": lambda: fast.weight_gradient(x, weight, g),
            "gradient of the input, dense": lambda: conv2d_input(x.shape, weight, g, padding=1),  # type: ignore[no-untyped-call]
            "gradient of the input": lambda: fast.input_gradient(weight, g),
        },
        rounds,
    )


def measure_network(spec: str, samples: int, rounds: int) -> dict[str, dict[str, float]]:
    """Return the times of a training step and of inference in seconds, by level."""
    network = sewdsl.load(spec)
    settings, generator = network.settings, torch.Generator().manual_seed(0)
    if settings.encode == "direct":
        x = torch.randn(samples, *settings.input, generator=generator)
    else:
        x = (torch.rand(settings.steps, samples, *settings.input, generator=generator) < 0.1).float()  # noqa: PLR2004
    y = torch.zeros(samples, dtype=torch.long)
    programs = {"level 1": optimize_program(network), "level 2": optimize_program(network, 2)}
    programs["level 1, dense"] = replace(programs["level 1"], events={})
    # Equal seeds give equal weights.
    models = {name: lower(programs[name], seed=0) for name in LEVELS}

    def step(level: str) -> None:
        models[level].zero_grad()
        loss: Tensor = functional.cross_entropy(models[level].train()(x), y)
        torch.autograd.backward(loss)

    def infer(level: str) -> None:
        with torch.no_grad():
            models[level].eval()(x)

    kinds = {"training": step, "inference": infer}
    return {
        name: least_seconds({level: partial(run, level) for level in LEVELS}, rounds) for name, run in kinds.items()
    }


def lines(networks: Mapping[str, int], rounds: int) -> Iterator[str]:
    """Yield the lines to print, as they are measured."""
    for channels, size, samples in LAYERS:
        for active in ACTIVE:
            times = measure_layer(channels, size, samples, active, rounds)
            gains = (f"{kind} {times[f'{kind}, dense'] / times[kind]:.2f} times" for kind in ("output", "gradient"))
            yield f"{channels} to {channels} at {size}x{size}, {active:.0%} active: as fast as dense {', '.join(gains)}"
    for channels, size, samples in DENSE_LAYERS:
        times = measure_dense_layer(channels, size, samples, rounds)
        texts = (
            f"{kind} {1000 * times[f'{kind}, dense']:.1f} to {1000 * times[kind]:.1f} ms"
            for kind in ("output", "gradient of the weight", "gradient of the input")
        )
        yield f"{channels} to {channels} at {size}x{size}, by Winograd's algorithm: {', '.join(texts)}"
    for spec, samples in networks.items():
        for kind, times in measure_network(spec, samples, rounds).items():
            for level, seconds in times.items():
                gain = times[LEVELS[0]] / seconds
                yield f"{spec}, {kind}, {level}: {1000 * seconds:.0f} ms, {gain:.2f} times as fast"


def main() -> None:
    """Print all measurements."""
    sewdsl.keep_memory()
    torch.set_num_threads(THREADS)
    named = {spec: NETWORKS.get(spec, 4) for spec in sys.argv[1:]} or {"7b-net": 4}
    capability = torch.backends.cpu.get_cpu_capability()
    sys.stdout.write(f"{os.cpu_count()} cores, {capability}, torch {torch.__version__}\n")
    with printed_errors(named):
        for line in lines(named, ROUNDS):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
