"""The network: whole or refused, as JSON and back, as a graph."""

import json
from dataclasses import replace

import pytest

import sewdsl
from sewdsl.ir.json import to_json
from sewdsl.ir.network import Network
from sewdsl.ir.printed_values import parse_energy, parse_figure, parse_share
from sewdsl.ir.signal import BINARY, REAL, Signal, ValueRange
from tests.network_json import from_json
from tests.words import raises

NAMES = ("7b-net", "tiny", "sew-resnet-50", "spiking-resnet-34-large", "plif-net-dvs-gesture", "mnist5k", "resnet-18")


@pytest.fixture(params=NAMES)
def network(request: pytest.FixtureRequest) -> Network:
    return sewdsl.load(request.param)


def test_printed_in_one_line() -> None:
    network = sewdsl.load("7b-net")
    assert str(network) == "<Network '7B-Net': 2x128x128, T = 16, 130,938 parameters, 60 nodes>"
    assert repr(network) == str(network)


def test_json_without_loss(network: Network) -> None:
    """Everything comes back equal, spans and source texts included."""
    back = from_json(json.loads(json.dumps(to_json(network))))
    assert back == network
    assert [node.span for node in back] == [node.span for node in network]
    assert to_json(back) == to_json(network)


def test_json_of_a_recipe_without_loss() -> None:
    """Kinds in lists come back as kinds, and pairs as pairs."""
    recipe = (
        "epochs 2\noptimizer Adam(lr=0.1)\naugment RandomErasing Mixup\nlr fc1 10x\nfreeze conv1\nmean 0.5\nstd 0.25"
    )
    network = sewdsl.load(
        f"sewdsl 1\ninput 1x8x8\nsteps 2\nencode direct\nbody c4k3-LIF-FC2\ntrain on folder {{\n{recipe}\n}}"
    )
    assert network.recipe is not None
    assert [kind.kind for kind in network.recipe.augment] == ["RandomErasing", "Mixup"]
    assert from_json(json.loads(json.dumps(to_json(network)))) == network


def test_json_refuses_a_wrong_shape() -> None:
    data = to_json(sewdsl.load("tiny"))
    data["nodes"][1]["output"]["shape"] = [5, 8, 8]
    with pytest.raises(ValueError, match="conv1: expected output"):
        from_json(data)


def test_refuses_what_is_not_whole() -> None:
    network = sewdsl.load("tiny")
    first = network.nodes[1]
    for nodes, message in (
        ((network.nodes[0], replace(first, inputs=(1,)), *network.nodes[2:]), "an input is not an earlier node"),
        ((network.nodes[0], replace(first, name="input"), *network.nodes[2:]), "not unique"),
        ((network.nodes[0], replace(first, output=Signal((1,))), *network.nodes[2:]), "conv1: expected output"),
    ):
        with pytest.raises(ValueError, match=message):
            network.with_nodes(nodes).validate()


@pytest.mark.parametrize(("delayed", "message"), [(99, "is not a node"), (0, "must read its source directly")])
def test_refuses_delays_of_other_nodes(delayed: int, message: str) -> None:
    network = sewdsl.load("LOOP[ FC3 | FC3 ]-FC2", input="3")
    nodes = (replace(node, delayed=delayed) if node.feeds_back else node for node in network)
    with pytest.raises(ValueError, match=message):
        network.with_nodes(tuple(nodes)).validate()


def test_refuses_weights_for_another_input() -> None:
    network = sewdsl.load("sewdsl 1\ninput 4x8x8\npart P = c4k3\nlet wide = c8k1\nbody CAT[ P-P | wide-BN | wide ]\n")
    wide = next(index for index, node in enumerate(network) if node.output.channels == 8)
    nodes = (replace(node, inputs=(wide,)) if node.weights is not None else node for node in network)
    with raises(ValueError):
        network.with_nodes(tuple(nodes)).validate()


def test_totals_are_sums(network: Network) -> None:
    assert network.total_parameters == sum(network.parameters(node) for node in network)
    assert network.total_activations == sum(node.output.elements for node in network)
    assert all(reader > index for index, readers in enumerate(network.graph.consumers) for reader in readers)


def test_counts_are_real_where_floats_do_not_tell_them_apart() -> None:
    network = sewdsl.load("c4k3-BN-IF-{ADD[id | id]}*55", input="2x8x8")
    assert [str(node.output.values) for node in network.nodes[-3:]] == [f"count 0..{2**53}", "real", "real"]


def test_signal_texts() -> None:
    assert str(Signal((2, 4, 4), ValueRange(3))) == "[2, 4, 4] count 0..3"
    assert (str(BINARY), str(REAL)) == ("binary", "real")


@pytest.mark.parametrize(
    ("text", "number", "holds"),
    [
        ("0.13M", 125_000, True),
        ("0.13M", 134_999, True),
        ("0.13M", 124_999, False),
        ("0.13M", 135_000, False),
        ("1.70M", 1_698_933, True),
        ("1.70M", 1_694_999, False),
        ("130938", 130_938, True),
        ("130938", 130_939, False),
        ("12k", 12_499, True),
        ("12k", 12_500, False),
        ("2.5G", 2_549_999_999, True),
    ],
)
def test_figures(text: str, number: int, *, holds: bool) -> None:
    """A figure holds when it agrees to the digits printed."""
    figure = parse_figure(text)
    assert figure is not None
    assert figure.holds(number) == holds


@pytest.mark.parametrize("text", ["", "many", "1.M", "M", "1e6", "0.13m", "-3", "1.2.3"])
def test_no_figure(text: str) -> None:
    assert parse_figure(text) is None


@pytest.mark.parametrize(
    ("text", "joules", "holds"),
    [
        ("11.577mJ", 11.5766e-3, True),
        ("11.577mJ", 11.5764e-3, False),
        ("175nJ", 175.4e-9, True),
        ("175nJ", 175.5e-9, False),
        ("4J", 4.49, True),
        ("0.594uJ", 0.5941e-6, True),
        ("46pJ", 46e-12, True),
        ("46pJ", 46e-9, False),
    ],
)
def test_energies(text: str, joules: float, *, holds: bool) -> None:
    figure = parse_energy(text)
    assert figure is not None
    assert figure.holds(joules) == holds


@pytest.mark.parametrize(
    ("text", "share", "holds"), [("97.5%", 0.9749, True), ("97.5%", 0.9744, False), ("98%", 0.984, True)]
)
def test_shares(text: str, share: float, *, holds: bool) -> None:
    figure = parse_share(text)
    assert figure is not None
    assert figure.holds(share) == holds


@pytest.mark.parametrize("text", ["4", "4M", "4mj", "mJ", "4.mJ", "4MJ", "4%", "4kJ"])
def test_no_energy(text: str) -> None:
    assert parse_energy(text) is None


@pytest.mark.parametrize("text", ["97", "0.97", "100.1%", "101%", "%", "4mJ"])
def test_no_share(text: str) -> None:
    assert parse_share(text) is None
