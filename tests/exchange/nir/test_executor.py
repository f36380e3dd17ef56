"""The reference runs graphs as NIR defines them."""

from __future__ import annotations

import nir
import numpy as np
import pytest
import torch

from sewdsl.exchange.errors import ExportError
from sewdsl.exchange.nir_graphs import GraphMetadata
from sewdsl.exchange.write.nir.execute import NirExecutor
from tests.words import raises


def neuron(kind: type[nir.NIRNode] = nir.IF, **values: float) -> nir.NIRNode:
    return kind(**{key: np.array([value]) for key, value in values.items()})


def graph(*nodes: nir.NIRNode, shape: tuple[int, ...] = (1,), metadata: GraphMetadata | None = None) -> nir.NIRGraph:
    """The nodes in a row."""
    found = nir.NIRGraph.from_list(nir.Input(np.array(shape)), *nodes, nir.Output(None))
    found.metadata = metadata.to_dict() if metadata else {}
    return found


def run(found: nir.NIRGraph, *x: float, dt: float | None = None, fires: str | None = None) -> list[float]:
    x_TN = torch.tensor(x, dtype=torch.float64)[:, None, None]
    y: list[float] = NirExecutor(found, dt=dt, fires=fires).run(x_TN).flatten().tolist()
    return y


def test_if_integrates() -> None:
    """dv/dt = r I: steps of 0.5 s at r = 2 add the input itself; after a spike it is v_reset."""
    found = graph(neuron(r=2.0, v_threshold=1.0, v_reset=-0.25))
    assert run(found, 0.5, 0.76, 0.76, 0.6, dt=0.5) == [0, 1, 0, 1]


def test_lif_leaks() -> None:
    """Tau dv/dt = v_leak - v + r I: of 0.25 s at tau = 1 s, a quarter of the way from V = 0 to 0.5 + 2 · 3 = 6.5."""
    found = graph(neuron(nir.LIF, tau=1.0, r=2.0, v_leak=0.5, v_threshold=1.625, v_reset=0.0))
    assert run(found, 3.0, dt=0.25, fires="at") == [1]
    assert run(found, 3.0, dt=0.25, fires="above") == [0]
    assert run(found, 3.0, 0.6, dt=0.25, fires="above") == [0, 1 if 1.625 + 0.25 * (0.5 - 1.625 + 1.2) > 1.625 else 0]


def test_the_first_potential_is_that_behind_a_spike() -> None:
    assert run(graph(neuron(r=1.0, v_threshold=1.0, v_reset=0.75)), 0.5, dt=1.0) == [1]


@pytest.mark.parametrize(("fires", "wanted"), [("at", [1, 1]), ("above", [0, 1])])
def test_metadata_say_what_nir_does_not(fires: str, wanted: list[float]) -> None:
    """Metadata define firing at the threshold and the time-step. Defaults are those of NIR, and 0.1 ms."""
    said = GraphMetadata("a net", 2, "none", "sum", dt=0.25, fires=fires)  # type: ignore[arg-type]
    assert run(graph(neuron(r=4.0, v_threshold=1.0, v_reset=0.0), metadata=said), 1.0, 1.0) == wanted
    silent = graph(neuron(r=10000.0, v_threshold=1.0, v_reset=0.0))
    assert run(silent, 1.0, 1.0) == [0, 1]
    assert run(silent, 1.0, 1.0, fires="at") == [1, 1]


def test_thresholds_must_be_exceeded() -> None:
    assert run(graph(nir.Threshold(np.array([0.5]))), 0.4, 0.5, 0.6) == [0, 0, 1]


def test_a_static_input_is_shown_at_each_step() -> None:
    said = GraphMetadata("a net", 3, "direct", "sum", dt=1.0)
    executor = NirExecutor(graph(neuron(r=1.0, v_threshold=1.0, v_reset=0.0), metadata=said))
    assert executor.run(torch.tensor([[0.5], [1.0]])).squeeze(-1).T.tolist() == [[0, 1, 0], [1, 1, 1]]


def test_windows_and_axes() -> None:
    """Padding adds zeros, which count in a mean; axes are counted without that of the samples."""
    x = torch.arange(16.0, dtype=torch.float64).reshape(1, 1, 1, 4, 4)
    pair = np.array([2, 2]), np.array([2, 2]), np.array([1, 1])
    sums, means = (NirExecutor(graph(kind(*pair), shape=(1, 4, 4))).run(x) for kind in (nir.SumPool2d, nir.AvgPool2d))
    assert sums[0, 0, 0].tolist() == [[0, 3, 3], [12, 30, 18], [12, 27, 15]]
    assert means.equal(sums / 4)
    flat = nir.Flatten({"input": np.array([1, 4, 4])}, 1, -1)
    assert NirExecutor(graph(flat, shape=(1, 4, 4))).run(x).shape == (1, 1, 1, 16)
    weight, bias = np.ones((2, 1, 3, 3)), np.array([0.0, 0.5])
    for padding in ("same", 1, (1, 1)):
        conv = nir.Conv2d((4, 4), weight, 1, padding, 1, 1, bias)
        assert NirExecutor(graph(conv, shape=(1, 4, 4))).run(x)[0, 0, :, 0, 0].tolist() == [10, 10.5]


def fan(edges: list[tuple[str, str]], **nodes: nir.NIRNode) -> nir.NIRGraph:
    ends = {"input": nir.Input(np.array([1])), "output": nir.Output(np.array([1]))}
    return nir.NIRGraph({**ends, **nodes}, edges)


def test_edges_add_up() -> None:
    """In any order of the nodes."""
    three, minus = nir.Scale(np.array([3.0])), nir.Scale(np.array([-1.0]))
    edges = [("minus", "output"), ("three", "output"), ("three", "minus"), ("input", "minus"), ("input", "three")]
    assert run(fan(edges, minus=minus, three=three), 2.0) == [6 - (6 + 2)]


def test_the_input_is_not_changed() -> None:
    """By what adds to it."""
    x = torch.ones(1, 1, 1)
    edges = [("input", "a"), ("input", "b"), ("a", "b"), ("b", "output"), ("input", "output")]
    scales = {name: nir.Scale(np.array([2.0])) for name in "ab"}
    assert float(NirExecutor(fan(edges, **scales)).run(x)) == 7
    assert x.equal(torch.ones(1, 1, 1))


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (graph(neuron(nir.LI, tau=1.0, r=1.0, v_leak=0.0)), r"^cannot run li: unsupported primitive LI$"),
        (
            fan([("input", "output"), ("more", "output")], more=nir.Input(np.array([1]))),
            r"^the graph has 2 Input nodes, expected 1$",
        ),
    ],
)
def test_is_refused(found: nir.NIRGraph, words: str) -> None:
    with pytest.raises(ExportError, match=words):
        run(found, 1.0)


def test_several_outputs() -> None:
    """By their names, without that of the node."""
    twice = nir.Scale(np.array([2.0]))
    edges = [("input", "output"), ("input", "twice"), ("twice", "output_more")]
    outputs = NirExecutor(fan(edges, twice=twice, output_more=nir.Output(np.array([1])))).run(torch.ones(1, 1, 1))
    assert isinstance(outputs, dict)
    assert {name: float(y) for name, y in outputs.items()} == {"output": 1, "more": 2}


def test_metadata_of_somebody_else() -> None:
    """Ours that are not as we write them are an error, not a guess; other keys are nobody's business."""
    assert GraphMetadata.of({"version": "1"}) is None
    with raises(ValueError):
        GraphMetadata.of({"sewdsl": {"steps": 4}})
    early = {"name": "a net", "steps": 2, "encode": "none", "readout": "sum"}
    assert GraphMetadata.of({"sewdsl": early}) == GraphMetadata("a net", 2, "none", "sum"), (
        "what was written before there was more"
    )
