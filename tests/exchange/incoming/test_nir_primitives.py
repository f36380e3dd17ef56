"""Import of each primitive of NIR, compared with the equations of NIR and with the written layers."""

from __future__ import annotations

import nir
import numpy as np
import pytest
import torch
from torch import Tensor

from sewdsl.exchange.read.build_network import ImportedNetwork
from sewdsl.exchange.read.draft import ModelImportError
from sewdsl.exchange.read.nir import NirReadOptions, read_graph
from sewdsl.exchange.write.nir.execute import NirExecutor
from tests.exchange.incoming.graphs import above, conv, fires, flatten, graph, leaks, numbers, pool
from tests.exchange.incoming.run import given, reads
from tests.words import raises


def same(found: nir.NIRGraph, wanted: NirReadOptions | None = None) -> ImportedNetwork:
    """Import a graph, and compare six time-steps of four samples with the graph."""
    imported = read_graph(found, wanted)
    generator = torch.Generator().manual_seed(0)
    x: Tensor = 3 * torch.rand(6, 4, *imported.network.settings.input, generator=generator, dtype=torch.float64)
    y = NirExecutor(found, dt=1e-4, fires="at").run(x)
    assert float(y.std()) > 0
    torch.testing.assert_close(given(imported, x), y, rtol=1e-10, atol=1e-10)
    return imported


ROWS = {
    "c4k3s1-IF-FC3": [conv(2, 4), fires(4, 8, 8), flatten(4, 8, 8), nir.Affine(numbers(3, 256), numbers(3))],
    "c4k3s2p0b0-IF-GAP-FC3b0": [
        conv(2, 4, stride=2, padding="valid", bias=np.zeros(4)),
        fires(4, 3, 3),
        pool(nir.AvgPool2d, 3),
        flatten(4, 1, 1),
        nir.Linear(numbers(3, 4)),
    ],
    "c4k3x5s2x1g2-LIF-APk2s1p1": [
        nir.Conv2d((8, 8), numbers(4, 1, 3, 5), (2, 1), (1, 2), (1, 1), 2, numbers(4)),
        leaks(4, 4, 8),
        pool(nir.AvgPool2d, 2, 1, 1),
    ],
    "c4k3s1d2-LIF(v_threshold=0.5, tau=3.0)-Flatten": [
        conv(2, 4, padding="same", dilation=(2, 2)),
        leaks(1, tau=3e-4, v_threshold=0.5),
        flatten(4, 8, 8),
    ],
    "IF(v_threshold=0.5, v_reset=-0.25)-c2k2s2p0g2b0-LIF(v_threshold=2.5)": [
        fires(2, 8, 8, v_threshold=0.5, v_reset=-0.25),
        pool(nir.SumPool2d, 2),
        leaks(2, 4, 4, v_threshold=2.5),
    ],
    "FC4-LIF(v_threshold=0.75, v_reset=0.25)": [
        nir.Flatten({"input": np.array([2, 8, 8])}, 0, 2),
        nir.Affine(numbers(4, 128), numbers(4)),
        leaks(4, v_reset=0.25, v_leak=0.25, v_threshold=0.75),
    ],
}


@pytest.mark.parametrize("text", ROWS)
def test_rows(text: str) -> None:
    found = same(graph((2, 8, 8), {f"n{i}": node for i, node in enumerate(ROWS[text])}))
    reads(found, text)


FACTORS = {
    "into a convolution": [conv(2, 3), fires(3, 8, 8, r=2.5e4)],
    "into a linear layer": [flatten(2, 8, 8), nir.Affine(numbers(5, 128), numbers(5)), leaks(5, r=2.0)],
    "through a pooling": [conv(2, 3), pool(nir.AvgPool2d, 2), leaks(3, 4, 4, r=3.0)],
    "through a flattening": [conv(2, 3), flatten(3, 8, 8), leaks(192, r=0.5)],
    "one for each channel": [conv(2, 3), nir.Scale(numbers(3, 1, 1) * np.ones((3, 8, 8))), leaks(3, 8, 8)],
    "one for each feature": [flatten(2, 8, 8), nir.Linear(numbers(5, 128)), nir.Scale(numbers(5)), leaks(5, r=2.0)],
    "twice": [conv(2, 3), nir.Scale(np.full((3, 8, 8), 2.0)), nir.Scale(np.full((3, 8, 8), 0.75)), fires(3, 8, 8)],
}


@pytest.mark.parametrize("name", FACTORS)
def test_factors_become_part_of_weights(name: str) -> None:
    nodes = {f"n{i}": node for i, node in enumerate(FACTORS[name])}
    found = same(graph((2, 8, 8), nodes), NirReadOptions(dt=1e-4))
    written = [node for node in FACTORS[name] if not isinstance(node, nir.Scale | nir.Flatten)]
    assert len([node for node in found.network.nodes[1:] if node.op.kind != "Flatten"]) == len(written)


@pytest.mark.parametrize(
    ("nodes", "text"),
    [
        ([nir.Scale(abs(numbers(2, 1, 1)) * np.ones((2, 8, 8))), fires(2, 8, 8)], "c2k1s1g2b0-IF"),
        ([fires(2, 8, 8), nir.Scale(np.full((2, 8, 8), 2.0)), fires(2, 8, 8)], "IF-SCALE(value=2.0)-IF"),
        ([flatten(2, 8, 8), leaks(128, r=3.0)], "Flatten-SCALE(value=3.0)-LIF"),
        ([flatten(2, 8, 8), leaks(128, r=2.0)], "Flatten-DLIF"),
        ([flatten(2, 8, 8), fires(128), nir.Scale(numbers(128)), leaks(128)], "Flatten-IF-FC128b0-LIF"),
    ],
)
def test_factors_that_no_weights_take_become_layers(nodes: list[nir.NIRNode], text: str) -> None:
    found = same(graph((2, 8, 8), {f"n{i}": node for i, node in enumerate(nodes)}))
    reads(found, text)


SHAPE = (2, 4, 4)
SPIKES = {"a": conv(2, 2), "s": fires(*SHAPE), "b": conv(2, 2), "t": fires(*SHAPE)}
TWO = ("input a", "a s", "s b", "b t")


@pytest.mark.parametrize(
    ("more", "edges", "text"),
    [
        ({}, ("t output", "s output"), "ADD[c2k3s1-IF | id]"),
        ({"j": above(1.5, *SHAPE)}, ("t j", "s j", "j output"), "AND[c2k3s1-IF | id]"),
        (
            {"n": nir.Scale(np.full(SHAPE, -1.0)), "j": above(0.5, *SHAPE)},
            ("t n", "n j", "s j", "j output"),
            "IAND[c2k3s1-IF | id]",
        ),
        (
            {"n": nir.Scale(np.full(SHAPE, -1.0)), "j": above(0.5, *SHAPE)},
            ("s n", "n j", "t j", "j output"),
            "IAND[id | c2k3s1-IF]",
        ),
        (
            {"n": nir.Scale(np.full(SHAPE, -1.0)), "j": above(0.5, *SHAPE)},
            ("t j", "s n", "n j", "j output"),
            "IAND[id | c2k3s1-IF]",
        ),
        (
            {"p": pool(nir.SumPool2d, 2), "m": above(0.5, 2, 2, 2)},
            ("t p", "p m", "m output"),
            "c2k3s1-IF-MPk2s2",
        ),
        ({"m": above(0.5, *SHAPE)}, ("t m", "m output"), "c2k3s1-IF"),
    ],
)
def test_patterns_of_spikes(more: dict[str, nir.NIRNode], edges: tuple[str, ...], text: str) -> None:
    reads(same(graph(SHAPE, {**SPIKES, **more}, *TWO, *edges)), f"c2k3s1-IF-{text}")


def test_maxima_of_counts() -> None:
    """[max x >= 1] + [max x >= 2], of x = t + s."""
    levels = {
        f"{name}{k}": node
        for k in (1, 2)
        for name, node in (
            ("l", above(k - 0.5, *SHAPE)),
            ("p", pool(nir.SumPool2d, 3, 2, 1)),
            ("m", above(0.5, 2, 2, 2)),
        )
    }
    edges = [f"{a} {b}" for k in (1, 2) for a, b in ((f"l{k}", f"p{k}"), (f"p{k}", f"m{k}"), (f"m{k}", "c"))]
    nodes = {**SPIKES, **levels, "c": conv(2, 3)}
    found = same(graph(SHAPE, nodes, *TWO, "t l1", "s l1", "t l2", "s l2", *edges, "c output"))
    reads(found, "c2k3s1-IF-ADD[c2k3s1-IF | id]-MPk3s2p1-c3k3s1")
    del nodes["l2"], nodes["p2"], nodes["m2"]
    kept = [edge for edge in edges if "2" not in edge]
    found = same(graph(SHAPE, nodes, *TWO, "t l1", "s l1", *kept, "c output"))
    reads(found, "c2k3s1-IF-OR[c2k3s1-IF | id]-MPk3s2p1-c3k3s1")


def test_a_sum_in_a_sum() -> None:
    """Blocks one after the other: after the third, NIR adds up four addends, and three of them for its branch."""
    nodes, edges, out = {"a": conv(2, 2), "s": fires(*SHAPE)}, ["input a", "a s"], ["s"]
    for k in range(3):
        nodes |= {f"c{k}": conv(2, 2), f"i{k}": fires(*SHAPE)}
        edges += [f"{name} c{k}" for name in out] + [f"c{k} i{k}"]
        out.append(f"i{k}")
    found = same(graph(SHAPE, nodes, *edges, *(f"{name} output" for name in out)))
    reads(found, "c2k3s1-IF-{ADD[c2k3s1-IF | id]}*3")


def test_a_block_in_a_block() -> None:
    """B(H) + H + S, without a layer between the two sums."""
    nodes = {"c": conv(2, 2), "s": fires(*SHAPE), "h": conv(2, 2), "b": conv(2, 2, 1)}
    found = same(graph(SHAPE, nodes, "input c", "c s", "s h", "h b", "h output", "s output", "b output"))
    reads(found, "c2k3s1-IF-ADD[c2k3s1-ADD[c2k1s1 | id] | id]")


def test_a_part_that_is_read_by_itself() -> None:
    """T(S) + U(P + Q) + P + Q, where only U reads P + Q."""
    names = {"c": conv(2, 2), "s": fires(*SHAPE), "t": conv(2, 2), "p": conv(2, 2), "q": conv(2, 2, 1), "u": conv(2, 2)}
    edges = ("input c", "c s", "s t", "s p", "s q", "p u", "q u", *(f"{name} output" for name in "tpqu"))
    found = same(graph(SHAPE, names, *edges))
    reads(found, "c2k3s1-IF-ADD[ADD[c2k3s1 | c2k1s1]-ADD[c2k3s1 | id] | c2k3s1]")


def test_three_addends() -> None:
    """No two of the three addends form a block."""
    nodes = {**SPIKES, "d": conv(2, 2, 1)}
    found = same(graph(SHAPE, nodes, *TWO, "s d", "d output", "s output", "t output"))
    assert sorted(node.op.kind for node in found.network) == ["ADD", "ADD", "IF", "IF", "c", "c", "c", "input"]


def test_a_graph_in_a_graph() -> None:
    """Its Input and Output pass on, sums too; names tell where a node lies."""
    inner = graph(SHAPE, {"c": conv(2, 2), "s": fires(*SHAPE)}, "input c", "c s", "s output", "input output")
    outer = graph(
        SHAPE, {"a": conv(2, 2), "s": fires(*SHAPE), "block": inner}, "input a", "a s", "s block", "block output"
    )
    reads(read_graph(outer), "c2k3s1-IF-ADD[c2k3s1-IF | id]")
    inner.nodes["s"] = nir.LI(*(np.ones(SHAPE),) * 3)
    with raises(ModelImportError):
        read_graph(outer)


def test_a_current_of_one_step_is_none() -> None:
    """CubaLIF with tau_syn of one step: I = w_in X, then a LIF."""
    values = {
        "tau_syn": 1e-4,
        "tau_mem": 2e-4,
        "r": 2.0,
        "v_leak": 0.0,
        "v_threshold": 1.0,
        "v_reset": 0.0,
        "w_in": 3.0,
    }
    weight = numbers(5, 4)
    node = nir.CubaLIF(**{key: np.full(5, value) for key, value in values.items()})
    found = read_graph(graph((4,), {"a": nir.Linear(weight), "n": node}))
    reads(found, "FC5b0-LIF")
    assert torch.equal(found.tensors["fc1.weight"], torch.from_numpy(weight * 6))
    node.tau_syn = np.full(5, 2e-4)
    found = read_graph(graph((4,), {"a": nir.Linear(weight), "n": node}))
    reads(found, "FC5b0-LOOP[id | SCALE(value=0.5)]-LIF")
    assert torch.equal(found.tensors["fc1.weight"], torch.from_numpy(weight * 3))
    node.tau_syn = np.full(5, 5e-5)
    with raises(ModelImportError):
        read_graph(graph((4,), {"a": nir.Linear(weight), "n": node}))


@pytest.mark.parametrize(
    ("node", "dt", "text"),
    [
        (fires(4, r=1.0), 1.0, "IF"),
        (fires(4, r=1e4), 1e-4, "IF"),
        (leaks(4, tau=0.02), 1e-4, "LIF(tau=200.0)"),
        (nir.LIF(*(np.full(4, value, np.float32) for value in (3e-4, 1, 0, 1, 0))), 1e-4, "LIF(tau=3.0)"),
    ],
)
def test_the_time_step_is_seen_from_the_neurons(node: nir.NIRNode, dt: float, text: str) -> None:
    found = read_graph(graph((3,), {"a": nir.Linear(numbers(4, 3)), "n": node}))
    reads(found, f"FC4b0-{text}")
    assert found.notes[0] == f"a time-step is {dt:g} s"


def test_the_time_step_is_asked_for() -> None:
    """The time constant of a LIF or the gain of an IF is ambiguous without --dt."""
    slow = graph((3,), {"a": nir.Linear(numbers(4, 3)), "n": leaks(4, tau=0.5)})
    with raises(ModelImportError):
        read_graph(slow)
    with raises(ModelImportError, "2"):
        read_graph(graph((3,), {"a": nir.Linear(numbers(4, 3)), "n": fires(4, r=3.0)}))
    reads(read_graph(slow, NirReadOptions(dt=0.125)), "FC4b0-LIF(tau=4.0)")


def test_a_text_is_the_network() -> None:
    """Name, time-steps, readout and input can be said; a first axis of samples is left out."""
    found = graph((1, 2, 8, 8), {"c": conv(2, 3), "n": fires(3, 8, 8)})
    imported = read_graph(found, NirReadOptions(name="A net", steps=5, readout="sum"))
    assert imported.text.splitlines()[:5] == [
        "sewdsl 1", "", 'network "A net"', "input   2x8x8", "steps   5"
    ]  # fmt: skip
    assert imported.network.settings.readout == "sum"
    assert read_graph(found, NirReadOptions(input=(2, 8, 8))).network.settings.input == (2, 8, 8)
