"""When two networks are the same, whatever their nodes are called."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from hashlib import sha256
from typing import Any

import sewdsl
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node, PathStep
from sewdsl.source import Source


def essence(network: Network) -> tuple[Any, ...]:
    """Return a node without names, paths and spans."""
    nodes = [(node.op, node.inputs, node.delayed, node.weights, node.output) for node in network]
    return nodes, network.output, network.settings, network.recipe, network.expectations


def unordered(network: Network) -> tuple[Any, ...]:
    """Return the nodes independently of the order of computation, numbered from the outputs backward."""
    number = dict[int, int]()
    left = [*network.output_indices]
    while left:
        index = left.pop()
        if index not in number:
            number[index] = len(number)
            left += network.nodes[index].sources
    # Which call of a part comes first, and owns the weights, is a matter of order too.
    shared = {user: min(number.get(each, -1) for each in users) for users in network.users.values() for user in users}
    nodes = [
        (node.op, [number[source] for source in node.sources], node.feeds_back, shared.get(index), node.output)
        for index, node in ((index, network.nodes[index]) for index in number)
    ]
    return nodes, len(network), network.settings, network.recipe, network.expectations


def anonymous(network: Network) -> Network:
    """A network as somebody builds it by hand: nodes have numbers, and no paths but those of shared weights."""

    def calls(node: Node) -> tuple[PathStep, ...]:
        return tuple(step for step in node.path if step.kind == "part")

    inputs = network.nodes[: network.first_layer]
    layers = (replace(node, name=f"n{i}", path=calls(node)) for i, node in enumerate(network.layers, len(inputs)))
    return network.with_nodes((*inputs, *layers))


def compiled(text: str) -> Network:
    """The network of the text of a file."""
    return sewdsl.read(Source("text.net", text), limit={"nesting": 1000}).result()


def options(network: Network) -> dict[str, Any]:
    """The header of a network, for a bare expression."""
    settings = network.settings
    init = " ".join(filter(None, (settings.init, "zero" if settings.zero_init else "")))
    header = {key: getattr(settings, key) for key in ("encode", "join", "readout")}
    neuron = None if settings.neuron is None else str(settings.neuron)
    return {"input": settings.input, "steps": settings.steps, "neuron": neuron, "set": {**header, "init": init}}


def ways(network: Network) -> Counter[str]:
    """Return the computation of each node from the input, independent of the order of nodes."""
    found: list[str] = []
    for node in network:
        inputs = "".join(found[source] for source in node.inputs)
        found.append(sha256(f"{node.op} {inputs}".encode()).hexdigest())
    shared = (f"{found[node.weights]} = {found[i]}" for i, node in enumerate(network) if node.weights is not None)
    return Counter([*found, *shared])
