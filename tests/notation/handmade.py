"""Networks built without a text, as importers build them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import sewdsl
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.op import Activation, Op
from sewdsl.ir.settings import Settings
from sewdsl.ir.wiring import find_loops
from sewdsl.ops import catalogue
from sewdsl.ops.input import Input
from sewdsl.ops.joins import Add

SHAPE = (4, 8, 8)


def op(text: str) -> Op:
    """The op of a layer, or a join by its name, with nothing left open."""
    made = catalogue()[text]() if text in catalogue() else sewdsl.load(text, input=SHAPE).nodes[1].op
    assert isinstance(made, Op)
    return made


def network(*rows: tuple[str | Op, Sequence[int]], neuron: Activation | None = None, output: int = -1) -> Network:
    """A network of layers and the nodes that each reads; node 0 is the input, of four channels."""
    source = Input(shape=SHAPE)
    nodes = [Node("n0", source, (), source.infer())]
    for what, inputs in rows:
        made = op(what) if isinstance(what, str) else what
        signal = made.infer(*(nodes[i].output for i in inputs))
        nodes.append(Node(f"n{len(nodes)}", made, tuple(inputs), signal))
    settings = Settings(input=SHAPE, join=Add(), neuron=neuron)
    return Network("handmade", tuple(nodes), output % len(nodes), settings).validate()


def shuffled(network: Network, seed: int) -> Network:
    """The same nodes in another order of computation, without names and paths.

    It begins with the inputs, and the delay of a loop follows what flows into the loop.
    """
    if network.users:  # the calls of a part have their nodes in one order
        return network
    choice = random.Random(seed)  # noqa: S311 -- no secret
    loops = find_loops(network.graph, network.output_indices, network.sums)
    entries = {loop.delay: network.nodes[loop.total].inputs[:1] for loop in loops}
    inputs = range(network.first_layer)
    waiting, order, place = {*range(len(inputs), len(network))}, [*inputs], {i: i for i in inputs}
    while waiting:
        ready = sorted(i for i in waiting if place.keys() >= {*network.nodes[i].inputs, *entries.get(i, ())})
        index = choice.choice(ready)
        waiting.remove(index)
        place[index] = len(order)
        order.append(index)

    def moved(index: int) -> Node:
        node = network.nodes[index]
        return node if index in inputs else replace(node.moved(place), name=f"n{place[index]}", path=())

    nodes = tuple(moved(index) for index in order)
    outputs = tuple((name, place[index]) for name, index in network.outputs)
    return replace(network, nodes=nodes, output=place[network.output], outputs=outputs).validate()
