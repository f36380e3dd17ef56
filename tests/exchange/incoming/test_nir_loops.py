"""Recurrent graphs of NIR: read, written and read again, and what snnTorch makes of the same."""

from __future__ import annotations

import nir
import numpy as np
import pytest
import snntorch
import torch
from torch import Tensor

import sewdsl
from sewdsl.exchange.nir_graphs import EndlessCycle, cut_cycles
from sewdsl.exchange.read.draft import ModelImportError
from sewdsl.exchange.read.nir import NirReadOptions, read_graph
from sewdsl.exchange.write.nir.execute import NirExecutor
from sewdsl.exchange.write.nir.write_graph import from_bytes, to_bytes, to_graph
from sewdsl.ir.network import Network
from tests.exchange.incoming.graphs import conv, fires, graph
from tests.exchange.incoming.run import given

DT = 1e-4


def current_based(size: int, alpha: float, beta: float) -> nir.CubaLIF:
    """Neurons as snnTorch writes its Synaptic: I = alpha I + X, V = beta V + I."""
    one = np.ones(size)
    tau_syn, tau_mem = DT / (1 - alpha), DT / (1 - beta)
    return nir.CubaLIF(one * tau_syn, one * tau_mem, one * tau_mem / DT, one * 0, one, one * 0, one * tau_syn / DT)


def third_task(*, nested: bool) -> nir.NIRGraph:
    """The recurrent graph of the third task of Pedersen et al. (2024), in small: neurons that read each other."""
    random = np.random.default_rng(0)
    fc1, recurrent, fc2 = (
        nir.Affine(0.3 * random.normal(size=shape), 0.3 * random.normal(size=shape[0]))
        for shape in ((9, 6), (9, 9), (4, 9))
    )
    lif1, lif2 = current_based(9, 0.9, 0.95), current_based(4, 0.7, 0.6)
    if nested:  # as snnTorch writes it
        nodes = {
            "input": nir.Input(np.array([9])),
            "lif": lif1,
            "w_rec": recurrent,
            "output": nir.Output(np.array([9])),
        }
        inner = nir.NIRGraph(nodes, [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")])
        layer, edges = {"lif1": inner}, [("fc1", "lif1"), ("lif1", "fc2")]
    else:
        layer = {"lif1.lif": lif1, "lif1.w_rec": recurrent}
        edges = [
            ("fc1", "lif1.lif"),
            ("lif1.lif", "lif1.w_rec"),
            ("lif1.w_rec", "lif1.lif"),
            ("lif1.lif", "fc2"),
        ]
    nodes = {"input": nir.Input(np.array([6])), "fc1": fc1, **layer, "fc2": fc2, "lif2": lif2}
    nodes["output"] = nir.Output(np.array([4]))
    return nir.NIRGraph(nodes, [("input", "fc1"), *edges, ("fc2", "lif2"), ("lif2", "output")])


def run(network: Network, tensors: dict[str, Tensor], x: Tensor) -> Tensor:
    model = sewdsl.compile(network).double().eval()
    model.load_state_dict({key: value.double() for key, value in tensors.items()})
    with torch.no_grad():
        found: Tensor = model(x, return_sequence=True)
    return found


def snntorch_run(graph: nir.NIRGraph, x: Tensor) -> Tensor:
    """Run the graph in snnTorch's layers, reset at once as in NIR. By default, they reset one time-step later."""
    nodes, double = graph.nodes, torch.float64
    decays = torch.tensor([0.9, 0.95, 0.7, 0.6], dtype=double)
    fc1, back, fc2 = (nodes[name] for name in ("fc1", "lif1.w_rec", "fc2"))
    first = snntorch.RSynaptic(decays[0], decays[1], linear_features=9, reset_mechanism="zero").double()
    second = snntorch.Synaptic(decays[2], decays[3], reset_mechanism="zero")
    first.recurrent.weight.data, first.recurrent.bias.data = map(torch.from_numpy, (back.weight, back.bias))
    spikes, current, potential = (torch.zeros(x.shape[1], 9, dtype=double) for _ in range(3))
    current2, potential2 = (torch.zeros(x.shape[1], 4, dtype=double) for _ in range(2))
    given = []
    with torch.no_grad():
        for step in x:
            into = torch.nn.functional.linear(step, *map(torch.from_numpy, (fc1.weight, fc1.bias)))
            spikes, current, potential = first(into, spikes, current, potential)
            spikes = spikes.double()
            potential = potential * (1 - spikes)
            into = torch.nn.functional.linear(spikes, *map(torch.from_numpy, (fc2.weight, fc2.bias)))
            fired, current2, potential2 = second(into, current2, potential2)
            potential2 = potential2 * (1 - fired)
            given.append(fired)
    return torch.stack(given).double()


@pytest.mark.parametrize("nested", [False, True])
def test_the_third_task(nested: bool) -> None:  # noqa: FBT001 -- of pytest
    graph = third_task(nested=nested)
    found = read_graph(graph, NirReadOptions(steps=60))
    assert "".join(found.text.partition("body ")[2].split()) == (
        "FC9-LOOP[LOOP[id|SCALE(value=0.9)]-DLIF(decay=0.95)|FC9]-FC4-LOOP[id|SCALE(value=0.7)]-DLIF(decay=0.6)"
    )
    x = 2 * torch.randn(60, 3, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = run(found.network, found.tensors, x)
    assert 0.1 < y.mean() < 0.9
    if not nested:
        assert torch.equal(y, snntorch_run(graph, x))
        assert torch.equal(y, NirExecutor(graph, dt=DT).run(x))


TEXTS = {
    "FC9-LOOP[LIF | FC9]-FC4": "FC9-LOOP[LIF | FC9]-FC4",
    "LOOP[id | SCALE(value=0.9)]-IF": "LOOP[id | SCALE(value=0.9)]-IF",
    "LOOP[id | SCALE(value=0.9)]-LIF-FC4": "LOOP[id | SCALE(value=0.9)]-LIF-FC4",
    "FC9-LOOP[LOOP[id | SCALE(value=0.9)]-LIF | FC9]-FC4": "FC9-LOOP[LOOP[id | SCALE(value=0.9)]-LIF | FC9]-FC4",
    "LOOP[LIF | LOOP[id | SCALE(value=0.5)]-FC6]-FC4": "LOOP[LIF | LOOP[id | SCALE(value=0.5)]-FC6]-FC4",
    "FC6-LOOP[LOOP[LIF | id] | FC6]-FC4": "FC6-LOOP[LIF | ADD[id | FC6]]-FC4",
    "FC9-DELAY-DELAY-LIF-FC4": "FC9-{DELAY}*2-LIF-FC4",
    "FC9-DELAY4-LIF-FC4": "FC9-DELAY4-LIF-FC4",
    "let h = ADD[id | h-DELAY2-SCALE(value=0.5)]\nh-LIF-FC4": None,
    "LOOP[id | id]-FC4": "LOOP[id | id]-FC4",
    "let a = ADD[id | b-DELAY]-FC6-SN\nlet b = ADD[a | b-DELAY-FC6]-FC6-SN\nADD[a | b]-FC4": None,
}


@pytest.mark.parametrize("body", TEXTS)
def test_what_is_written_comes_back(body: str) -> None:
    *lets, rest = body.split("\n")
    text = "\n".join(["sewdsl 1", "input 6", "steps 8", "neuron LIF", *lets, f"body {rest}", ""])
    model = sewdsl.compile(text, seed=0).double().eval()
    x = 3 * torch.randn(8, 2, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
        y = model(x, return_sequence=True)
    assert y.abs().sum() > 0
    torch.testing.assert_close(NirExecutor(to_graph(model)).run(x), y, rtol=0, atol=1e-12)
    found = read_graph(from_bytes(to_bytes(model)))
    torch.testing.assert_close(run(found.network, found.tensors, x), y, rtol=0, atol=1e-12)
    if TEXTS[body] is not None:
        assert found.text.splitlines()[-1] == f"body    {TEXTS[body]}"


@pytest.mark.parametrize(
    "body",
    [
        "FC6-LOOP[LIF | DELAY-FC6]-FC4",
        "FC6-LOOP[FC6-LIF-DELAY3 | DELAY2]-FC4",
        "FC6-LOOP[LOOP[id | SCALE(value=0.5)]-LIF | DELAY2-FC6]-FC4",
    ],
)
def test_a_delay_in_a_loop_adds_to_that_of_the_loop(body: str) -> None:
    """In a cycle with a delay, no other edge is delayed: the loop's own delay is then a node too."""
    model = sewdsl.compile(body, input=(6,), steps=12, neuron="LIF", seed=0).double().eval()
    x = 3 * torch.randn(12, 2, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
        y = model(x, return_sequence=True)
    assert (y[6:].std(0) > 0).any()
    torch.testing.assert_close(NirExecutor(to_graph(model)).run(x), y, rtol=0, atol=1e-12)


def test_currents_that_decay_are_one_node_with_their_neurons() -> None:
    model = sewdsl.compile("FC9-LOOP[LOOP[id | SCALE(value=0.9)]-LIF | FC9]-FC4", input=(6,), steps=3, seed=0)
    graph = to_graph(model)
    kinds = [type(node).__name__ for node in graph.nodes.values()]
    assert sorted(kinds) == ["Affine", "Affine", "Affine", "CubaLIF", "Input", "Output"]
    neurons = next(node for node in graph.nodes.values() if isinstance(node, nir.CubaLIF))
    assert neurons.tau_syn[0] == pytest.approx(1e-3)
    assert neurons.tau_mem[0] == pytest.approx(2e-4)


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (1.5, "x (Delay) delays by 1.5 time-steps; expected an integer from 1 to 1000"),
        (1001, "x (Delay) delays by 1001"),
    ],
)
def test_delays_are_whole_time_steps(steps: float, said: str) -> None:
    nodes = {"input": nir.Input(np.array([4])), "x": nir.Delay(np.ones(4) * DT * steps)}
    graph = nir.NIRGraph({**nodes, "output": nir.Output(np.array([4]))}, [("input", "x"), ("x", "output")])
    with pytest.raises(ModelImportError) as caught:
        read_graph(graph, NirReadOptions(dt=DT))
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("reads", "delays", "cut"),
    [
        ({"a": [], "b": ["a", "c"], "c": ["b"], "d": ["c"]}, [], {("c", "b")}),
        ({"a": [], "b": ["a", "c"], "c": ["b"], "d": ["b"]}, [], {("b", "c")}),
        ({"a": [], "b": ["a", "b"], "d": ["b"]}, [], {("b", "b")}),
        ({"a": [], "b": ["a", "c"], "c": ["b"], "d": ["b"]}, ["c"], {("b", "c")}),
        ({"a": [], "b": ["a", "c"], "c": ["b"], "d": ["b", "c"]}, [], {("c", "b")}),
        ({"a": [], "o": ["a", "f"], "i": ["o", "s"], "s": ["i"], "n": ["i"], "f": ["n"], "d": ["n"]}, [],
         {("n", "f"), ("i", "s")}),
    ],
)  # fmt: skip
def test_where_cycles_are_cut(reads: dict[str, list[str]], delays: list[str], cut: set[tuple[str, str]]) -> None:
    assert cut_cycles(reads, delays) == cut


def test_cutting_ends() -> None:
    every = [str(number) for number in range(120)]
    with pytest.raises(EndlessCycle):
        cut_cycles(dict.fromkeys(every, every))


@pytest.mark.parametrize(
    "edges",
    [
        "input a, a d, d b, b d, b output",
        "input a, a d, d c, c e, e b, b d, b output",
        "input a, a b, b output, b c, c d, d a, c f, f e, e c",
    ],
    ids=["an input and feedback", "two delays in a row", "a loop in the feedback"],
)
def test_delays_of_sums(edges: str) -> None:
    shape = (2, 4, 4)
    all_nodes = {"a": conv(2, 2), "b": fires(*shape), "c": conv(2, 2), "f": fires(*shape)}
    all_nodes |= {name: nir.Delay(np.full(shape, DT)) for name in "de"}
    pairs = edges.split(", ")
    nodes = {name: node for name, node in all_nodes.items() if any(name in pair.split() for pair in pairs)}
    recurrent = graph(shape, nodes, *pairs)
    found = read_graph(recurrent, NirReadOptions(dt=DT, steps=5))
    x = torch.randn(5, 3, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = NirExecutor(recurrent, dt=DT, fires="at").run(x)
    torch.testing.assert_close(given(found, x), expected, rtol=1e-12, atol=1e-12)
    assert float(expected.std()) > 0
