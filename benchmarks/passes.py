"""Levels, passes and SpikingJelly in turns.

``python -m benchmarks.passes [--as-it-comes] [NETWORK[:SIZE] …]`` measures a training step in float32 at each level, at
level 1 without each of its passes, at level 1 with each pass of level 2, and in SpikingJelly if it is installed. The
default networks are 7B-Net and SEW-ResNet-18 at 64x64 and 224x224. Runs of a network take turns in one process with
memory kept. With ``--as-it-comes``, each level and SpikingJelly run in separate processes with default allocators.
Times are medians of rounds, with minima in parentheses. Ratios are medians of the ratios per round.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from time import perf_counter

import torch
from torch import Tensor
from torch.nn import functional

import sewdsl
from benchmarks.contenders import SPIKINGJELLY
from benchmarks.networks import name_and_input, printed_errors
from benchmarks.workload import Workload
from sewdsl.ir.network import Network
from sewdsl.lower import lower
from sewdsl.passes import LEVELS, PASSES, Program, optimize_program

NETWORKS = ("7b-net", "sew-resnet-18:64", "sew-resnet-18:224")
SAMPLES, ROUNDS, THREADS = 4, 7, 2
BASE = "level 1"


def programs(network: Network) -> Iterator[tuple[str, Program]]:
    """Yield the programs to compare, by name."""
    for level in LEVELS:
        yield f"level {level}", optimize_program(network, level)
    for lowest, name, _ in PASSES:
        sign = "without" if lowest == 1 else "with"
        program = Program.of(network)
        for low, other, step in PASSES:
            if (low == 1) != (other == name):
                program, _ = step(program)
        if program != optimize_program(network):
            yield f"level 1 {sign} {name}", program


def steps(spec: str, only: str | None = None) -> dict[str, Callable[[], None]]:
    """Return a training step of each program, or of one."""
    network_name, size = name_and_input(spec)
    network = sewdsl.load(network_name, input=size)
    settings, generator = network.settings, torch.Generator().manual_seed(0)
    static = settings.encode == "direct"
    x = torch.randn(SAMPLES, *settings.input, generator=generator) + 0.5
    if not static:
        x = (torch.rand(settings.steps, SAMPLES, *settings.input, generator=generator) < 0.1).float()  # noqa: PLR2004
    y = torch.zeros(SAMPLES, dtype=torch.long)

    def step(forward: Callable[[Tensor], Tensor], module: torch.nn.Module, reset: Callable[[], object]) -> None:
        module.train().zero_grad()
        torch.autograd.backward(functional.cross_entropy(forward(x), y))
        reset()

    models = {name: lower(program, seed=0) for name, program in programs(network) if only in {None, name}}
    runs: dict[str, Callable[[], None]] = {name: partial(step, model, model, bool) for name, model in models.items()}
    if SPIKINGJELLY.installed and only in {None, SPIKINGJELLY.name}:
        workload = Workload(network_name, settings.input, settings.steps, SAMPLES, static=static)
        peer = SPIKINGJELLY.build(workload)
        runs[SPIKINGJELLY.name] = partial(step, peer.forward, peer.module, peer.reset)
    return runs


def lines(spec: str, rounds: int, only: str | None = None) -> Iterator[str]:
    """Yield the lines to print for a network, or for one of its programs."""
    runs = steps(spec, only)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name, run in runs.items():
            start = perf_counter()
            run()
            if turn:
                seconds[name].append(perf_counter() - start)
    for name, taken in seconds.items():
        ratio = median(base / own for base, own in zip(seconds.get(BASE, taken), taken, strict=True))
        times = f"{1000 * median(taken):.0f} ms ({1000 * min(taken):.0f})"
        yield f"{spec}, {name}: {times}" + (f", {ratio:.2f} times as fast as {BASE}" if only is None else "")


def main(arguments: list[str]) -> None:
    """Print all measurements."""
    parser = argparse.ArgumentParser("python -m benchmarks.passes", description="Compare levels and passes.")
    parser.add_argument("networks", nargs="*", metavar="NETWORK[:SIZE]", default=NETWORKS)
    parser.add_argument("--as-it-comes", action="store_true", help="Run each level in a process with default memory.")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    names = [*(f"level {level}" for level in LEVELS), *([SPIKINGJELLY.name] if SPIKINGJELLY.installed else [])]
    if not options.as_it_comes and options.only is None:
        sewdsl.keep_memory()
    torch.set_num_threads(THREADS)
    with printed_errors(options.networks):
        for spec in options.networks:
            if options.as_it_comes:
                for name in names:
                    command = [sys.executable, "-m", "benchmarks.passes", "--only", name, spec]
                    subprocess.run(command, check=True)  # noqa: S603 -- ours
                continue
            for line in lines(spec, ROUNDS, options.only):
                sys.stdout.write(f"{line}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
