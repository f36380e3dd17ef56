"""Parts in texts: one definition, and a call for each use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

import sewdsl
from sewdsl.exchange.write import python, spikingjelly
from sewdsl.ir.network import Network
from sewdsl.ir.wiring import MAX_MERGE_DEPTH
from sewdsl.notation import UnwritableNetwork, compact_text, write_net
from sewdsl.notation.latex import latex
from sewdsl.notation.network_diff import diff_networks
from sewdsl.notation.tikz import fragment
from tests.counted import growth, lines_run
from tests.notation.same import anonymous, compiled, essence, ways
from tests.words import raises

HEAD = "sewdsl 1\ninput 4x8x8\nsteps 2\nneuron IF\n"
TEXTS = {
    "twice": "part Eye = c4k3-BN-SN\nlet two = c4k1-Eye\nbody ADD[Eye | two]-GAP-FC3",
    "repeat": "part Eye = c4k3-BN-SN\nbody {Eye}*3-GAP-FC3",
    "operands": "part Up[a | b] = ADD[a-c4k3-BN-SN | b]\nbody Up[id | SN]-Up[SN-c4k1 | id]-GAP-FC3",
    "same operands": "part Up[a | b] = ADD[a-c4k3-BN-SN | b]\nbody Up[id | id]-Up[id | id]-GAP-FC3",
    "one operand": "part P[x] = ADD[x-c4k1 | x]\nbody P-P[SN]-GAP-FC3",
    "named inside": "part P {\n    let h = c4k1-SN\n    let k = h-c4k3\n    give CAT[h | k | ADD[k-SN | id]]-c4k1\n}\n"
    "body P-P-GAP-FC3",
    "nested": "part W = c4k1b0\npart Deep[a | b] = ADD[a-W-SN | b-W]-W\nbody Deep[W | id]-Deep[SN | W]-GAP-FC3",
    "loops": "part W = c4k1b0\npart L = LOOP[SN | W]\npart H {\n    let h = ADD[id | h-DELAY-W]-SN\n"
    "    give CAT[h | id]-c4k1\n}\n"
    "body L-W-LOOP[L | W]-H-H-GAP-FC3",
    "in a block": "part Eye = c4k3-BN-SN\nblock B = ADD[Eye-c4k1-BN-SN | id]\nbody B-B-B-GAP-FC3",
    "shipped block inside": "part P = SEW Block-MPk2\nbody P-P-GAP-FC3",
    "outputs": "part Eye = c4k3-BN-SN\nlet one = Eye\nlet two = one-Eye\noutputs one two",
    "own neuron": "part Eye = c4k3-LIF(tau=3.0)-tdBN\nbody Eye-Eye-SN-GAP-FC3",
    "named like a stride": "part P2s1 = c4k3-SN\npart P2s2 = c4k3-SN\n"
    "body ADD[P2s1 | id]-ADD[P2s2 | id]-P2s1-P2s2-GAP-FC3",
    "operands read twice": "part P[a | b] {\n    let h = MUL[b | a-SN]\n    give ADD[MUL[b | h-SN] | h]\n}\n"
    "let h = c4k1\nbody ADD[P[id | h] | P[h | id]]-GAP-FC3",
    "named like a value": "part value1 = c4k3-SN\nlet x = value1-c4k1\nbody ADD[x-value1 | x]-GAP-FC3",
}


def load(name: str) -> Network:
    return sewdsl.load(f"{HEAD}{TEXTS[name]}\n")


@pytest.mark.parametrize("name", TEXTS)
def test_the_text_has_parts_and_is_read_as_the_same_network(name: str) -> None:
    network = load(name)
    for each in (network, anonymous(network)):
        text = write_net(each)
        again = compiled(text)
        assert ways(again) == ways(network)
        assert again.total_parameters == network.total_parameters
        assert text.count("\npart ") == TEXTS[name].count("part ")
        assert not diff_networks(each, network)
        assert not diff_networks(network, again)
    assert len(latex(network)) > 0
    assert "same weights" in fragment(network) or "operands" in name


def test_a_text_is_written_back_as_it_is() -> None:
    network = load("repeat")
    assert compact_text(network) == "part Eye = c4k3s1-BN-IF\n{Eye}*3-GAP-FC3"
    assert essence(compiled(write_net(network))) == essence(network)
    assert "part P {\n    let h = c4k1s1-IF\n    let k = h-c4k3s1\n    give " in write_net(load("named inside"))


def test_operands_need_no_line() -> None:
    assert "part P[operand1 | operand2] {\n    let h = MUL[operand2 | IF]\n    give ADD[" in write_net(
        load("operands read twice")
    )


def test_values_of_a_part_are_not_renamed_like_values_of_the_body() -> None:
    part = "part P {\n    let h = c4k3\n    give CAT[h | SN | h-SN]\n}\n"
    one, other = (
        sewdsl.load(f"{HEAD}{part}let {name} = c4k1\nbody CAT[P | P | {name}-SN | {name}]-GAP-FC3\n")
        for name in ("a", "h")
    )
    assert not diff_networks(one, other)


def test_values_of_equal_layers_of_two_inputs_are_matched_by_their_input() -> None:
    head = HEAD.replace("input 4x8x8", "input left 4x8x8\ninput right 4x8x8")
    one, other = (
        sewdsl.load(f"{head}{values}body CAT[a | b | a-SN | b-SN]-GAP-FC3\n".replace("CAT[a | b", f"CAT[{first}"))
        for values, first in (
            ("let a = left-c4k1\nlet b = right-c4k1\n", "a | b"),
            ("let b = right-c4k1\nlet a = left-c4k1\n", "a | b"),
        )
    )
    assert not diff_networks(one, other)


@pytest.mark.parametrize("name", TEXTS)
def test_the_text_of_a_text_is_the_same(name: str) -> None:
    text = write_net(load(name))
    assert write_net(compiled(text)) == text


def chain(calls: int, kind: str = "part P[a | b] = ADD[a-FC5 | b]") -> Network:
    """Return calls that each read the call before, as nested operands do."""
    values = (f"let v{n} = P[{f'v{n - 1}' if n else 'l'} | l]\n" for n in range(calls))
    return sewdsl.load(
        f"sewdsl 1\ninput 5\nsteps 4\nneuron LIF\n{kind}\nlet l = SN\n{''.join(values)}body v{calls - 1}\n"
    )


@pytest.mark.parametrize("kind", ["part", "block"])
def test_deep_operands_have_names(kind: str) -> None:
    network = chain(130, f"{kind} P[a | b] = ADD[a-FC5 | b]")
    text = write_net(network)
    again = sewdsl.load(text)
    assert ways(again) == ways(network)
    assert write_net(again) == text
    assert text.count("let") == 130 // MAX_MERGE_DEPTH + 1


def test_calls_keep_their_order_after_a_shared_layer() -> None:
    network = sewdsl.load(f"{HEAD}part P = c4k3-BN-SN\nlet h = c4k3\nlet a = h-P\nbody ADD[h-c4k1-P | a]-GAP-FC3\n")
    text = write_net(network)
    assert text.count("c4k3s1") == 2
    assert ways(compiled(text)) == ways(network)


@pytest.mark.parametrize("writer", [write_net, python.source, spikingjelly.source])
def test_texts_take_time_in_proportion_to_the_number_of_calls(writer: Callable[[Network], str]) -> None:
    assert growth(lambda calls: lines_run(partial(writer, chain(calls))), 40) < 2.2


def test_difference_to_a_block() -> None:
    network = load("repeat")
    block = sewdsl.load(f"{HEAD}{TEXTS['repeat'].replace('part', 'block')}\n")
    changes = diff_networks(network, block).changes
    assert [(change.before, change.after) for change in changes] == [
        ("part Eye = c4k3s1-BN-IF; {Eye}*3", "{c4k3s1-BN-IF}*3")
    ]
    other = sewdsl.load(f"{HEAD}{TEXTS['repeat'].replace('k3', 'k5')}\n")
    assert [(change.before, change.after, change.node) for change in diff_networks(network, other).changes] == [
        ("c4k3s1", "c4k5s1", "Eye.conv1")
    ]


def test_what_has_no_text() -> None:
    network = load("twice")
    without = network.with_nodes(tuple(replace(node, path=()) for node in network))
    with raises(UnwritableNetwork, part="no path"):
        write_net(without)
    # A third call whose nodes have modules of their own.
    own = network.with_nodes(tuple(replace(node, weights=None) for node in network))
    with raises(UnwritableNetwork, part="other weights"):
        write_net(own)
    with raises(UnwritableNetwork, part="two outputs"):
        write_net(replace(network, outputs=(("inside", 2), ("end", network.output))))
    *before, merge, pool, linear = network.nodes
    # The sum reads the batch norm of the second call instead of its neuron.
    merge = replace(merge, inputs=(merge.inputs[0], merge.inputs[1] - 1))
    with raises(UnwritableNetwork, part="other outputs"):
        write_net(network.with_nodes((*before, merge, pool, linear)))
