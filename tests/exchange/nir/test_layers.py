"""Each layer as nodes of NIR: what they are, that they give the same, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from math import log
from typing import TYPE_CHECKING, ClassVar

import nir
import numpy as np
import pytest

import sewdsl
from sewdsl.exchange.errors import UnsupportedLayer
from sewdsl.exchange.write.nir.execute import NirExecutor
from sewdsl.exchange.write.nir.write_graph import to_graph
from sewdsl.ir.network import Network
from sewdsl.ir.op import Join, Layer, LinearDynamics, LinearNeuron, Neuron, Op
from sewdsl.ir.signal import BINARY, Signal, ValueRange
from sewdsl.snn.runtime import Runtime
from tests.exchange.nir.settled import differences, noise, settled

if TYPE_CHECKING:
    from torch import Tensor, nn

SPECS = {
    "convolutions": "c4k3x5s2x1p2x1-IF-c6k3d2g2-BN-IF-c6k2p1g6b0-IF-c2k1",
    "norms in a row": "c4k3-BN(eps=0.5)-tdBN(alpha=0.5)-BN-LIF-FC7-BN-LIF-FC5b0-BN-tdBN",
    "a norm whose convolution is read elsewhere": "c4k3-ADD[BN|id]-IF-FC5",
    "norms with no convolution before them": "BN-c4k3-IF-BN-LIF-Flatten-BN-tdBN-IF-FC5",
    "the last layer's norm": "c4k3-IF-FC5-BN",
    "neurons that leak": "c4k3-LIF(tau=3.0)-c4k3-PLIF(tau=1.5)-FC9-LIF(tau=49.0, v_threshold=0.01)",
    "another reset": "c4k3-IF(v_reset=-0.5)-c4k3-LIF(v_reset=0.25, v_threshold=0.5)-c4k3-PLIF(v_reset=-1.0)",
    "neurons that read whole numbers": "c4k3-BN-IF-IF-ADD[id|IF]-LIF-LIF(v_threshold=0.5)-FC5",
    "sums": "c4k3-BN-IF-{SEW Block}*2-Spiking Block (c6s2)-ADD[c6k3|c6k1]-ADD[ADD[c6k3|id]|c6k1-BN]-PLIF-FC5",
    "a sum of two of the same": "c4k3-BN-IF-ADD[id|id]-AND[IF|IF]-ADD[DP|id]-FC5",
    "a sum at the end": "c4k3-BN-IF-ADD[c4k3|id]",
    "a sum of vectors": "FC6-LIF-{ADD[FC6-IF|id]}*2-FC4",
    "a sum of vectors at the end": "FC6-LIF-ADD[FC6|id]-DP",
    "joins of three": "c4k3-BN-IF-AND[c4k3-BN-IF|c4k1-BN-IF|id]-OR[c4k3-BN-IF|c4k1-BN-IF|id]-FC5",
    "AND and IAND": "c4k3-BN-IF-AND[c4k3-BN-IF|id]-IAND[c4k3-BN-IF|id]-IAND[id|c4k3-BN-IF]-FC5",
    "maxima of spikes": "c4k3-BN-IF-MPk3s2p1-DP-MPk3x1s1x2p0-FC5",
    "maxima of counts": "c4k3-BN-IF-{SEW Block}*3-MPk3s2p1-MPk2s1-Spiking Block-FC5",
    "means": "c4k3-BN-IF-APk3s2p1-APk2s1-LIF-GAP-FC6-LIF-APk3",
    "reshaping to a vector": "c4k3-BN-IF-Reshape(288)-FC6-IF-Reshape(6)-FC5",
    "what does nothing": "c4k3-BN-IF-DP-ReLU-{ADD[c4k3-IF|id]-ReLU}*2-MPk2-GAP-DP-FC6-IF-DP-FC3-DP",
}


def network(spec: str, steps: int = 4) -> Network:
    return sewdsl.load(spec, input="12" if spec.startswith("FC") else "2x9x8", steps=steps)


@pytest.mark.parametrize("what", SPECS)
def test_gives_the_same(what: str) -> None:
    known = network(SPECS[what])
    x = 2 * noise(known, T=5, N=3)
    apart, neurons = differences(settled(known, x), x)
    assert apart <= 1e-12
    assert neurons == []


def test_rows_give_the_same() -> None:
    """Pools of rows are convolutions: NIR pools over two axes only."""
    known = sewdsl.load("c4k3-BN-IF-MPk2-c4k3-IF-APk3s2p1-LIF-GAP-FC5", input="2x12", steps=4)
    x = 2 * noise(known, T=5, N=3)
    apart, neurons = differences(settled(known, x), x)
    assert apart <= 1e-12
    assert neurons == []


def kinds(spec: str) -> list[str]:
    """The kinds of the nodes between input and output, in order."""
    found = to_graph(sewdsl.compile(network(spec)))
    return [type(node).__name__ for node in found.nodes.values()][1:-1]


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ("c4k3-BN-IF", ["Conv2d", "IF"]),
        ("c4k3-BN-tdBN-PLIF", ["Conv2d", "LIF"]),
        ("BN-LIF", ["Conv2d", "LIF"]),
        ("c4k3-ADD[BN|id]-IF", ["Conv2d", "Conv2d", "IF"]),
        ("c4k3-IF-ADD[c4k3-BN|id]-IF", ["Conv2d", "IF", "Conv2d", "IF"]),
        ("c4k3-IF-ADD[c4k3-IF|id]-{ADD[c4k3-IF|id]}*2", ["Conv2d", "IF", *["Conv2d", "IF", "AvgPool2d"] * 3]),
        ("c4k3-IF-ADD[ADD[c4k1|id]|c4k3-IF]-IF", ["Conv2d", "IF", "Conv2d", "Conv2d", "IF", "AvgPool2d", "IF"]),
        ("c4k3-IF-AND[c4k3-IF|id]", ["Conv2d", "IF", "Conv2d", "IF", "Threshold"]),
        ("c4k3-IF-IAND[c4k3-IF|id]", ["Conv2d", "IF", "Conv2d", "IF", "Scale", "Threshold"]),
        ("c4k3-IF-MPk2-DP", ["Conv2d", "IF", "SumPool2d", "Threshold"]),
        ("c4k3-IF-GAP-FC3", ["Conv2d", "IF", "AvgPool2d", "Flatten", "Affine"]),
        ("c4k3-FC6b0-IF-APk2", ["Conv2d", "Flatten", "Linear", "IF", "Linear"]),
    ],
)
def test_takes_these_nodes(spec: str, wanted: list[str]) -> None:
    """No more than it must."""
    assert kinds(spec) == wanted


def test_maxima_of_counts_are_sums_over_levels() -> None:
    graph = to_graph(sewdsl.compile(network("c4k3-IF-SEW Block-MPk2")))
    names = [name for name in graph.nodes if name.startswith("max_pool1")]
    assert names == [f"max_pool1.{part}{level}" for level in (1, 2) for part in ("level", "sum", "any")] + ["max_pool1"]
    thresholds = [float(graph.nodes[f"max_pool1.level{level}"].threshold.max()) for level in (1, 2)]
    assert thresholds == [0.5, 1.5]


def test_joins_are_thresholds_between_whole_numbers() -> None:
    graph = to_graph(sewdsl.compile(network("c4k3-IF-AND[c4k3-IF|id]-IAND[c4k3-IF|id]")))
    joins = [node for node in graph.nodes.values() if isinstance(node, nir.Threshold)]
    assert [np.unique(node.threshold).tolist() for node in joins] == [[1.5], [0.5]]


def test_what_nobody_needs_is_left_out() -> None:
    """A network may end before its last node; NIR would take both for outputs."""
    known = replace(network("c4k3-BN-IF"), output=1)
    x = noise(known)
    model = settled(known, x).requires_grad_(requires_grad=False)
    assert list(to_graph(model).nodes) == ["input", "conv1", "output"]
    assert float((NirExecutor(to_graph(model)).run(x) - model(x, return_sequence=True)).abs().max()) <= 1e-12


def test_differential_equations() -> None:
    """In seconds: tau of 7 time-steps, and one of 1/sigmoid(w); IF's r is what one time-step makes 1."""
    model = sewdsl.compile(network("c4k3-IF(v_threshold=0.5)-LIF(tau=7.0, v_reset=0.1)-PLIF(tau=1.25)"))
    found = [node for node in to_graph(model).nodes.values() if isinstance(node, nir.IF | nir.LIF)]
    assert {value.shape for node in found for value in vars(node).values() if isinstance(value, np.ndarray)} == {
        (4, 9, 8)
    }
    fire, leak, learn = (
        {key: float(value.max()) for key, value in vars(node).items() if isinstance(value, np.ndarray)}
        for node in found
    )
    assert fire == {"r": 10000.0, "v_threshold": 0.5, "v_reset": 0.0}
    assert leak == {
        "tau": pytest.approx(7e-4, rel=1e-12),
        "r": 1.0,
        "v_leak": 0.1,
        "v_threshold": 1.0,
        "v_reset": 0.1,
    }
    assert learn == {
        "tau": pytest.approx(1.25e-4, rel=1e-6),
        "r": 1.0,
        "v_leak": 0.0,
        "v_threshold": 1.0,
        "v_reset": 0.0,
    }


class Forgetful(LinearNeuron):
    """Keeps 3/4 of its potential, and takes the whole input, less a little."""

    kind: ClassVar[str] = "FIF"

    def learnable(self) -> dict[str, float]:
        return {"w": log(3)}

    def dynamics(self, w: Tensor) -> LinearDynamics:
        return LinearDynamics(decay=w.sigmoid(), gain=1.0, drift=-0.125)


class Doubling(LinearNeuron):
    kind: ClassVar[str] = "DOIF"

    def dynamics(self) -> LinearDynamics:
        return LinearDynamics(decay=1.0, gain=2.0, drift=0.0)


class Growing(LinearNeuron):
    kind: ClassVar[str] = "GIF"

    def dynamics(self) -> LinearDynamics:
        return LinearDynamics(decay=1.25, gain=1.0, drift=0.0)


class Leaking(LinearNeuron):
    kind: ClassVar[str] = "DIF"

    def dynamics(self) -> LinearDynamics:
        return LinearDynamics(decay=1.0, gain=1.0, drift=-0.25)


class Quadratic(Neuron):
    kind: ClassVar[str] = "QIF"

    def charge(self, v: Tensor, x: Tensor) -> Tensor:
        return v * v + x


class SpikeJoin(Join):
    spikes_only = True
    neutral_branch = 0

    def values(self, branch: ValueRange, identity: ValueRange) -> ValueRange:  # noqa: ARG002 -- spikes whatever the spikes
        return BINARY


class Or(SpikeJoin):
    kind: ClassVar[str] = "OR"

    def combine(self, *, branch: Tensor, identity: Tensor) -> Tensor:
        return branch + identity - branch * identity


class Nand(SpikeJoin):
    kind: ClassVar[str] = "NAND"

    def combine(self, *, branch: Tensor, identity: Tensor) -> Tensor:
        return 1 - branch * identity


class Xor(SpikeJoin):
    kind: ClassVar[str] = "XOR"

    def combine(self, *, branch: Tensor, identity: Tensor) -> Tensor:
        return (branch - identity).abs()


def exchanged(spec: str, index: int, kind: type[Op]) -> Network:
    """A network with another op, one of no catalogue, at some place."""
    known = network(spec)
    nodes, op = list(known.nodes), kind()
    nodes[index] = replace(nodes[index], op=op, output=op.infer(*known.inputs(nodes[index])))
    return known.with_nodes(tuple(nodes)).validate()


@pytest.mark.parametrize(
    "known",
    [
        exchanged("c4k3-IF-FC5", 2, Forgetful),
        exchanged("c4k3-IF-FC5", 2, Doubling),
        exchanged("c4k3-IF-AND[c4k3-IF|id]-FC5", 5, Or),
        exchanged("c4k3-IF-AND[c4k3-IF|id]-FC5", 5, Nand),
    ],
    ids=["a neuron that keeps more than it takes", "one that takes twice", "OR", "NAND"],
)
def test_what_is_not_ours_gives_the_same(known: Network) -> None:
    """A neuron or a join of somebody's own, if its formula is one that NIR can express."""
    x = noise(known, T=5)
    apart, neurons = differences(settled(known, x), x)
    assert apart <= 1e-12
    assert neurons == []


class Square(Layer):
    kind: ClassVar[str] = "Square"

    def infer(self, *inputs: Signal) -> Signal:
        return Signal(inputs[0].shape)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:  # noqa: ARG002
        return runtime.Identity()


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (network("c4k3-ReLU-FC5"), r"^relu1 \(ReLU\) rectifies real values"),
        (network("c4k3-MPk2-FC5"), r"^max_pool1 \(MPk2s2p0\) takes the maximum of real values"),
        (network("c4k3-IF-BN-MPk2-FC5"), r"^max_pool1 \(MPk2s2p0\) takes the maximum of real values"),
        (network("c4k3-LIF(v_reset=none)-FC5"), r"^lif1 \(LIF\) has a soft reset"),
        (exchanged("c4k3-IF-FC5", 2, Growing), r"^if1 \(GIF\) does not charge like IF or LIF"),
        (exchanged("c4k3-IF-FC5", 2, Leaking), r"^if1 \(DIF\) does not charge like IF or LIF"),
        (exchanged("c4k3-IF-FC5", 2, Quadratic), r"^if1 \(QIF\) does not charge like IF or LIF"),
        (exchanged("c4k3-IF-AND[c4k3-IF|id]-FC5", 5, Xor), r"^and1 \(XOR\) is not a threshold of a sum of spikes"),
        (exchanged("c4k3-IF-AND[IF|IF|id]-FC5", 5, Xor), r"^and1 \(XOR\) is not a threshold of a sum of spikes"),
        (exchanged("c4k3-IF-ADD[c4k3|id]-FC5", 4, Or), r"^add1 \(OR\) is not a threshold of a sum of spikes"),
        (network("FC8-Reshape(2x4)-IF"), r"^reshape1 \(Reshape\) makes a feature map of other axes"),
        (network("c4k3-Swap-IF"), r"^swap1 \(Swap\) has no equivalent in NIR"),
        (network("c4k3-POS-IF"), r"^pos1 \(POS\) has no equivalent in NIR"),
        (network("c4k3-IF-Slice(stop=2)-FC2"), r"^slice1 \(Slice\) has no equivalent in NIR"),
        (network("c4k3-IF-PAD1-FC2"), r"^pad1 \(PAD1\) has no equivalent in NIR"),
        (network("c4k3-IF-TOK1-FC2"), r"^tok1 \(TOK1\) has no equivalent in NIR"),
        (network("c4k3-POS(per=step)-IF"), r"^pos1 \(POS\) has weights for each time-step"),
        (network("c4k3-RMS-IF"), r"^rms_norm1 \(RMS\) has no equivalent in NIR"),
        (network("c4k3-IF-MEAN(over=time)"), r"^mean1 \(MEAN\) needs all time-steps at once"),
        (exchanged("c4k3-IF-FC5", 2, Square), r"^if1 \(Square\) has no equivalent in NIR"),
    ],
)
def test_is_refused(known: Network, words: str) -> None:
    """By the name of the layer."""
    with pytest.raises(UnsupportedLayer, match=words) as caught:
        to_graph(sewdsl.compile(known))
    assert caught.value.node in known.nodes
