"""The step itself: build every node's module, then set the initial values."""

from __future__ import annotations

import torch

from sewdsl.ir.network import Network
from sewdsl.lower.initialise import initialise
from sewdsl.lower.module import SpikingNetwork
from sewdsl.passes import Program
from sewdsl.snn.runtime import Runtime


def lower(spec: Network | Program, *, seed: int | None = None) -> SpikingNetwork:
    """The torch module of a network, with the initial values that its settings ask for.

    Args:
        spec: What to build: a network, node by node, or a program that computes one.
        seed: Of the initial weights, leaving torch's generator untouched; None: drawn from that generator.

    Raises:
        ValueError: zero-initialisation is asked for, and a join has a branch that cannot be made neutral.
    """
    program = spec if isinstance(spec, Program) else Program.of(spec)
    network = program.network
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        modules = {node.name: node.op.build(Runtime, *network.inputs(node)) for node in network.nodes[1:]}
        model = SpikingNetwork(program, modules)
        initialise(network, model)
    if program.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, unused-ignore]
    return model
