"""Networks built by hand: what no path tells, and what no text gives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sewdsl
from sewdsl.ir.graph import Graph
from sewdsl.ir.kind import CATALOGUE
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.op import Join, Op
from sewdsl.ir.settings import Settings
from sewdsl.ir.wiring import MAX_MERGE_DEPTH
from sewdsl.notation import UnwritableNetwork, compact_text, write_net
from sewdsl.notation.kind_text import neurons
from sewdsl.notation.network_diff import diff_networks
from sewdsl.ops.equation_neurons import defined_kind
from sewdsl.ops.input import Input
from sewdsl.ops.joins import Add
from sewdsl.ops.layers.conv import Conv
from sewdsl.ops.layers.norms import BatchNorm, TdBatchNorm
from sewdsl.ops.neurons.integrate_and_fire import IF
from tests.effort import examples
from tests.notation.handmade import network, shuffled
from tests.notation.same import compiled, essence, ways
from tests.words import raises

WRITTEN = {
    "id": (),
    "BN": (("BN", [0]),),
    "ADD[id | id]": (("ADD", [0, 0]),),
    "ADD[BN | id]": (("BN", [0]), ("ADD", [1, 0])),
    "ADD[id | BN]": (("BN", [0]), ("ADD", [0, 1])),
    "BN-ADD[id | id]-ReLU": (("BN", [0]), ("ADD", [1, 1]), ("ReLU", [2])),
    "IF-IAND[BN-IF | LIF]": (("IF", [0]), ("LIF", [1]), ("BN", [1]), ("IF", [3]), ("IAND", [4, 2])),
    "IF-IAND[LIF | BN-IF]": (("IF", [0]), ("LIF", [1]), ("BN", [1]), ("IF", [3]), ("IAND", [2, 4])),
    "ADD[ADD[BN | id] | ReLU]": (("BN", [0]), ("ADD", [1, 0]), ("ReLU", [0]), ("ADD", [2, 3])),
    "ADD[id | ADD[id | BN]]": (("BN", [0]), ("ADD", [0, 1]), ("ADD", [0, 2])),
    "ADD[id | ADD[id | id]]": (("ADD", [0, 0]), ("ADD", [0, 1])),
    "{ADD[id | id]}*2": (("ADD", [0, 0]), ("ADD", [1, 1])),
    "ADD[BN-ADD[ReLU | id] | id]": (("BN", [0]), ("ReLU", [1]), ("ADD", [2, 1]), ("ADD", [3, 0])),
}


@pytest.mark.parametrize("text", WRITTEN)
def test_is_written(text: str) -> None:
    """Both operands in their order, wherever they begin."""
    made = network(*WRITTEN[text])
    assert compact_text(made) == text
    assert compact_text(compiled(write_net(made))) == text


NAMED = {
    # a - b - join, and a reader of a on each side of b
    "let value1 = BN\nADD[value1 | ADD[value1-ReLU | ReLU]]": (
        *(("BN", [0]), ("ReLU", [1]), ("ReLU", [0]), ("ADD", [2, 3]), ("ADD", [1, 4])),
    ),
    # a ladder: the second join reads what the first one is still to join
    "let value1 = ReLU\nADD[ADD[BN | value1] | value1-ReLU]": (
        *(("BN", [0]), ("ReLU", [0]), ("ADD", [1, 2]), ("ReLU", [2]), ("ADD", [3, 4])),
    ),
    # two values, and nothing flows into the merge of them
    "let value1 = BN\nlet value2 = ReLU\nADD[ADD[value1 | value2] | MAX[value1-ReLU | value2-ReLU]]": (
        *(("BN", [0]), ("ReLU", [0]), ("ADD", [1, 2]), ("ReLU", [1]), ("ReLU", [2]), ("MAX", [4, 5]), ("ADD", [3, 6])),
    ),
    # the output is a value that something else reads as well
    "let value1 = BN\nlet value2 = value1-ReLU\nvalue1-ADD[value2 | ADD[id | value2-BN]]": (
        *(("BN", [0]), ("ReLU", [1]), ("BN", [2]), ("ADD", [1, 3]), ("ADD", [2, 4])),
    ),
}


@pytest.mark.parametrize("text", NAMED)
def test_what_several_sequences_read_is_named(text: str) -> None:
    made = network(*NAMED[text])
    assert compact_text(made) == text
    written = compiled(write_net(made))
    assert compact_text(written) == text
    assert sorted(map(str, (node.op for node in written))) == sorted(map(str, (node.op for node in made)))


@given(st.data())
@examples(60)
def test_any_edges_are_written(data: st.DataObject) -> None:
    """Layers and joins of any two or three values before them, as far as the last one needs them."""
    rows: list[tuple[str, list[int]]] = []
    for index in range(1, data.draw(st.integers(2, 10))):
        kind = data.draw(st.sampled_from(["ReLU", "BN", "ADD", "ADD"]))
        sources = st.integers(max(0, index - 3), index - 1)
        count = data.draw(st.integers(2, 3)) if kind == "ADD" else 1
        rows.append((kind, data.draw(st.lists(sources, min_size=count, max_size=count))))
    live = Graph([(), *(tuple(inputs) for _, inputs in rows)]).lead_to([len(rows)])
    place = {old: new for new, old in enumerate(sorted(live | {0}))}
    kept = [(kind, [place[source] for source in inputs]) for old, (kind, inputs) in enumerate(rows, 1) if old in live]
    made = network(*kept)
    again = compiled(write_net(made))
    assert ways(again) == ways(made)
    assert compact_text(again) == compact_text(made)
    assert not diff_networks(made, shuffled(made, data.draw(st.integers(0, 99))))


REFUSED = {
    "n2 (ReLU): its value does not reach the output": (("BN", [0]), ("ReLU", [1]), ("ReLU", [1])),
}


@pytest.mark.parametrize("message", REFUSED)
def test_is_refused(message: str) -> None:
    with pytest.raises(UnwritableNetwork, match=f"^{re.escape(message)}$"):
        compact_text(network(*REFUSED[message]))


def test_output_that_is_not_last() -> None:
    made = network(("BN", [0]), ("ReLU", [1]), output=1)
    with raises(UnwritableNetwork):
        write_net(made)


@pytest.mark.parametrize(
    ("op", "message"),
    [
        (Conv(channels=4, kernel=(3, 3)), r"n1 \(c\): no text has the value .*c4k3s1d1g1 here"),
        (TdBatchNorm(), r"n1 \(tdBN\): no text has the value tdBN\(.*\) here"),
        (Input(shape=(4, 8, 8)), r"n1 \(input\): only layers, activations and merges can follow the input"),
    ],
)
def test_ops_that_are_never_read(op: Op, message: str) -> None:
    with pytest.raises(UnwritableNetwork, match=message):
        compact_text(network((op, [0])))


def test_kinds_that_are_not_known() -> None:
    class Own(BatchNorm):
        """Not found under its name."""

    with raises(UnwritableNetwork):
        compact_text(network((Own(), [0])))


def test_neurons_that_are_not_known_are_counted_by_their_repr() -> None:
    class Own(IF):
        """Not found under its name."""

    assert neurons(network((Own(), [0]), (Own(), [1]))) == f"2 {Own()}"


def test_two_definitions_with_one_name() -> None:
    twice, thrice = (defined_kind(f"neuron N {{ give {factor}*x }}").model_validate({}) for factor in (2, 3))
    with raises(UnwritableNetwork):
        write_net(network((twice, [0]), (thrice, [1])))


def test_headers_that_are_not_known() -> None:
    class Own(IF):
        """Not found under its name."""

    with raises(UnwritableNetwork):
        write_net(network(("BN", [0]), neuron=Own()))


@pytest.fixture
def scaled() -> Iterator[type[Join]]:
    """A join with an argument."""

    class Scaled(Add, kind="Scaled"):
        factor: int = 1

    yield Scaled
    del CATALOGUE["Scaled"]


def test_joins_with_arguments(scaled: type[Join]) -> None:
    plain, twice = scaled(), scaled.model_validate({"factor": 2})
    made = network((plain, [0, 0]), (twice, [1, 1]))
    assert compact_text(made) == "Scaled[id | id]-Scaled(factor=2)[id | id]"
    assert essence(compiled(write_net(made))) == essence(made)
    said = replace(made, settings=made.settings.model_copy(update={"join": twice}))
    assert compact_text(said) == "Scaled[id | id]-g[id | id]"
    assert "join    Scaled(factor=2)\n" in write_net(said)
    assert essence(compiled(write_net(said))) == essence(said)


def test_input_that_the_settings_do_not_say() -> None:
    made = replace(network(("BN", [0])), settings=Settings(input=(2, 8, 8), join=Add()))
    with raises(UnwritableNetwork):
        write_net(made)


def test_network_without_an_input() -> None:
    made = network(("BN", [0]))
    with raises(UnwritableNetwork):
        compact_text(replace(made, nodes=(replace(made.nodes[1], inputs=()),), output=0))


def test_input_with_another_name_than_in_the_settings() -> None:
    made = sewdsl.load("sewdsl 1\ninput left 4\ninput right 4\nbody ADD[left | right]-FC3\n")
    with raises(UnwritableNetwork):
        write_net(made.with_nodes((made.nodes[0], replace(made.nodes[1], name="up"), *made.nodes[2:])))


def test_input_of_four_lengths() -> None:
    source = Input(shape=(4, 8, 8, 8))
    made = Network("", (Node("n0", source, (), source.infer()),), 0, Settings(input=(4, 8, 8, 8), join=Add()))
    with raises(UnwritableNetwork):
        write_net(made)


@pytest.mark.parametrize("order", [1, -1])
def test_deep_joins_have_names(order: int) -> None:
    rows = [("BN", [0]), *(("ADD", [depth + 1, 0][::order]) for depth in range(101))]
    assert "let" not in write_net(network(*rows[: MAX_MERGE_DEPTH + 1]))
    made = network(*rows)
    assert compact_text(made).count("let value") == 101 // MAX_MERGE_DEPTH
    assert ways(sewdsl.load(write_net(made))) == ways(made)


@pytest.mark.parametrize("threshold", [0.5, 2.0])
def test_what_follows_is_what_the_text_will_have(threshold: float) -> None:
    """The nearest neuron follows from the order of the text, not from the order of the nodes."""
    norm = TdBatchNorm(v_threshold=threshold)
    made = network((norm, [0]), (IF(v_threshold=2.0), [1]), (IF(v_threshold=0.5), [1]), ("AND", [3, 2]))
    stated = "" if threshold == 0.5 else "(v_threshold=2.0)"
    assert compact_text(made) == f"tdBN{stated}-AND[IF(v_threshold=0.5) | IF(v_threshold=2.0)]"
    assert [node.op for node in compiled(write_net(made))][1] == norm


def test_equal_networks_in_spite_of_odd_names() -> None:
    made = replace(network(("BN", [0])), name='a "quoted"\nname')
    assert compiled(write_net(made)).name == "a  quoted  name"
    assert compiled(write_net(made, name="Other")).name == "Other"
    assert essence(compiled(write_net(replace(made, name="")))) == essence(made)
