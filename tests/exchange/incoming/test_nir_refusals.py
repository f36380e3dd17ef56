"""Graphs that have no place in the language, and what is said of them."""

from __future__ import annotations

import nir
import numpy as np
import pytest

import sewdsl
from sewdsl.exchange.nir_graphs import KEY, GraphMetadata
from sewdsl.exchange.read.draft import ModelImportError
from sewdsl.exchange.read.nir import NirReadOptions, read_graph
from sewdsl.source import Source
from tests.exchange.incoming.graphs import above, conv, fires, flatten, graph, leaks, numbers, pool
from tests.exchange.incoming.run import reads
from tests.words import raises

UNLIKE = fires(3, 8, 8)
UNLIKE.v_threshold[1] = 0.5
NODES: dict[str, tuple[nir.NIRNode, str]] = {
    "LI": (nir.LI(*(np.ones(4),) * 3), "x (LI) has no equivalent in sewdsl"),
    "delay": (nir.Delay(np.ones(4) * 1.5e-4), "x (Delay) delays by 1.5 time-steps; expected an integer from 1 to 1000"),
    "1-D": (nir.Conv1d(8, numbers(2, 2, 3), 1, 1, 1, 1, numbers(2)), "x (Conv1d) has a 1-D kernel, but its input is"),
    "empty": (nir.Delay(np.zeros(0)), "x (Delay) has an empty delay"),
    "unlike": (UNLIKE, "x (IF) has a v_threshold that varies from 0.5 to 1"),
    "shape": (fires(3, 8, 7), "x (IF) has a r of shape [3, 8, 7], but its input is [3, 8, 8]"),
    "leak": (leaks(1, v_leak=0.5), "x (LIF) has v_leak 0.5 and v_reset 0; expected equal values: sewdsl neurons leak"),
    "fast": (leaks(1, tau=1e-4), "x (LIF) has a time constant of 1 time-steps of 0.0001 s; expected more than 1"),
    "threshold": (leaks(1, v_threshold=-1.0), "x (LIF) has a value that LIF does not accept: v_threshold: Input"),
    "no number": (leaks(1, tau=np.nan), "x (LIF) has a tau with non-numeric or non-finite values"),
    "nothing": (nir.Scale(np.ones((3, 8, 0))), "x (Scale) has factors of shape [3, 8, 0], but its input is [3, 8, 8]"),
    "real": (above(0.5, 3, 8, 8), "x (Threshold) is a threshold of 0.5 that is not a join"),
    "places": (nir.Scale(numbers(3, 8, 8)), "x (Scale) has factors that differ within a channel"),
    "scale": (nir.Scale(numbers(3)), "x (Scale) has factors of shape [3], but its input is [3, 8, 8]"),
    "matrix": (nir.Linear(numbers(4, 8)), "x (Linear) has weights [4, 8], but its input is [3, 8, 8]; add a Flatten"),
    "batched": (nir.Linear(numbers(2, 4, 8)), "x (Linear) has a weight with 3 axes, expected 2"),
    "channels": (conv(2, 4), "x (Conv2d) has weights [4, 2, 3, 3] and 4 biases, but its input is [3, 8, 8]"),
    "size": (conv(3, 4, input_shape=(7, 8)), "x (Conv2d) expects maps of 7x8, but its input is [3, 8, 8]"),
    "padding": (conv(3, 4, 2, padding="same"), "x (Conv2d) has padding 'same'; expected 'valid', or 'same' with"),
    "groups": (conv(1, 4, groups=3), "x (Conv2d) does not fit: 3 groups do not divide 4 output channels"),
    "stride": (conv(3, 4, stride=0), "x (Conv2d) has a value that c does not accept: stride.0: Input should be"),
    "half": (conv(3, 4, stride=1.5), "x (Conv2d) has a stride that is not an integer or a pair of integers"),
    "large": (conv(3, 4, 11, padding=0), "x (Conv2d) does not fit: convolution k11 does not fit an 8x8 input"),
    "window": (pool(nir.AvgPool2d, 2, 2, 2), "x (AvgPool2d) has a value that AP does not accept: Value error, padd"),
    "wide": (pool(nir.SumPool2d, 4096), "x (SumPool2d) has a window of [4096, 4096], which is too large for its"),
    "axes": (nir.Flatten({"input": np.array([3, 8, 8])}, 1, 2), "x (Flatten) flattens axes 1 to 2 of [3, 8, 8]"),
}  # fmt: skip


@pytest.mark.parametrize("name", NODES)
def test_a_node_is_named(name: str) -> None:
    node, said = NODES[name]
    with pytest.raises(ModelImportError) as caught:
        read_graph(graph((3, 8, 8), {"a": conv(3, 3), "x": node}), NirReadOptions(dt=1e-4))
    assert str(caught.value).startswith(said)


SHAPE = (2, 4, 4)


@pytest.mark.parametrize(
    ("nodes", "edges", "said"),
    [
        (
            {name: conv(2, 2) for name in "ab"} | {"d": nir.Delay(np.ones(SHAPE)), "e": nir.Delay(np.ones(SHAPE))},
            "input a, d e, e d, e a, a output",
            r"no path from Input to Output contains b, d, e$",
        ),
        (
            {"a": conv(2, 2), "b": conv(2, 2)},
            "input a, a output, input b",
            r"no path from Input to Output contains b$",
        ),
        (
            {"a": conv(2, 2), "i": nir.Input(np.array(SHAPE))},
            "input a, i a, a output",
            "2 nodes of type Input, expected 1",
        ),
        ({"a": conv(2, 2)}, "input a, a output, a output", "duplicate edge from a to output"),
        ({"a": conv(2, 2)}, "input a, a b", "an edge refers to b, which is not a node"),
        (
            {"a": conv(2, 2), "b": conv(2, 3)},
            "input a, input b, a output, b output",
            r"b \(Conv2d\) does not fit: the branch has shape \[2x4x4\] but the shortcut has shape \[3x4x4\]",
        ),
    ],
)
def test_a_graph_is_no_row_with_joins(nodes: dict[str, nir.NIRNode], edges: str, said: str) -> None:
    with pytest.raises(ModelImportError, match=said):
        read_graph(graph(SHAPE, nodes, *edges.split(", ")))


def test_a_graph_whose_paths_cross_has_named_values() -> None:
    """Two sums that share a part of one of them."""
    nodes = {name: conv(2, 2) for name in "abcde"} | {"s": fires(*SHAPE)}
    found = read_graph(
        graph(SHAPE, nodes, *["input a", "a s", "s b", "s c", "b d", "b e", "c e", "d output", "e output"])
    )
    assert "let " in found.text
    assert sewdsl.read(Source("graph", found.text)).result() == found.network
    assert len(found.network) == len(nodes) + 3  # two sums of two, and the input


def test_two_outputs_of_one_value() -> None:
    """Both are named, one after the other."""
    nodes = {"a": conv(2, 2), "output_more": nir.Output(np.array([1]))}
    found = read_graph(graph(SHAPE, nodes, "input a", "a output", "a output_more"))
    assert {name for name, _ in found.network.outputs} == {"output", "more"}
    assert len({index for _, index in found.network.outputs}) == 1


@pytest.mark.parametrize(
    ("entry", "layer"),
    [({"node": "pool1", "op": "APk2s2p0"}, "APk2s2"), ({"op": "APk2s2p0"}, "FC2b0"), (None, "FC2b0")],
)
def test_a_layer_in_the_metadata_of_a_node(entry: dict[str, str] | None, layer: str) -> None:
    """Other metadata is ignored."""
    means = nir.Linear(np.kron(np.eye(2), np.full((1, 2), 0.5)))
    means.metadata = {KEY: entry}
    assert f"body    {layer}\n" in read_graph(graph((4,), {"a": means})).text


def test_an_input_of_four_axes() -> None:
    with raises(ModelImportError):
        read_graph(graph((2, 3, 4, 5), {"a": nir.Linear(numbers(3, 5))}))


def test_thresholds_of_real_values_that_look_like_joins() -> None:
    """A sum of currents above 1.5 is no AND; a count is no spike."""
    nodes = {"a": conv(2, 2), "b": conv(2, 2), "j": above(1.5, *SHAPE)}
    with raises(ModelImportError):
        read_graph(graph(SHAPE, nodes, "input a", "a b", "a j", "b j", "j output"))
    nodes = {"a": conv(2, 2), "s": fires(*SHAPE), "b": conv(2, 2), "t": fires(*SHAPE), "p": pool(nir.SumPool2d, 2)}
    edges = ("input a", "a s", "s b", "b t", "s p", "t p", "p m", "m output")
    with raises(ModelImportError, "2"):
        read_graph(graph(SHAPE, {**nodes, "m": above(0.5, 2, 2, 2)}, *edges))


def test_a_diagonal_that_is_too_large() -> None:
    nodes = {"f": flatten(2, 64, 64), "n": fires(8192), "s": nir.Scale(numbers(8192)), "o": fires(8192)}
    with raises(ModelImportError):
        read_graph(graph((2, 64, 64), nodes))


def test_metadata_that_are_not_ours() -> None:
    found = graph((4,), {"a": nir.Linear(numbers(3, 4))})
    found.metadata = {"sewdsl": {"steps": "many"}}
    with raises(ModelImportError):
        read_graph(found)


def test_what_a_node_says_of_its_origin_is_not_believed() -> None:
    """Metadata are ignored if they differ from the node, or are not a text of the language."""
    said = {
        "IF(v_threshold=0.5)": "IF",
        "LIF(tau=3.0)": "IF",
        "import os": "IF",
        "FC4": "IF",
        "IF(surrogate=Sigmoid(alpha=4.0))": "IF(surrogate=Sigmoid)",
    }
    for text, kept in said.items():
        node = fires(4)
        node.metadata = {"sewdsl": {"node": "if1", "op": text}}
        reads(read_graph(graph((4,), {"a": nir.Linear(numbers(4, 4)), "n": node})), f"FC4b0-{kept}")


def test_a_text_that_reads_as_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a text is never returned."""
    monkeypatch.setattr(
        "sewdsl.exchange.read.build_network.write_net", lambda network: f"sewdsl 1\ninput 4\nbody FC{len(network)}\n"
    )
    with raises(ModelImportError):
        read_graph(graph((4,), {"a": nir.Linear(numbers(3, 4))}))


def test_a_plif_keeps_what_it_learned() -> None:
    node = leaks(4, tau=3e-4)
    node.metadata = {"sewdsl": {"node": "plif1", "op": "PLIF(tau=2.0, detach_reset=off)"}}
    found = graph((4,), {"a": nir.Linear(numbers(4, 4)), "n": node})
    found.metadata = GraphMetadata("Net", 3, "direct", "last").to_dict()
    imported = read_graph(found)
    assert float(imported.tensors["plif1.w"].sigmoid()) == pytest.approx(1 / 3, rel=1e-12)
    reads(imported, "FC4b0-PLIF(detach_reset=off)")
    settings = imported.network.settings
    assert (imported.network.name, settings.steps, settings.encode, settings.readout) == ("Net", 3, "direct", "last")
    assert imported.notes == ()
