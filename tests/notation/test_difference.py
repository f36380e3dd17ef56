"""Differences between two networks."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from random import Random
from time import process_time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

import sewdsl
from sewdsl.cli.app import app
from sewdsl.cli.diff import in_copies
from sewdsl.compiler import read
from sewdsl.ir.network import Network
from sewdsl.notation import align, compact_text, write_net
from sewdsl.notation.align import Alignment, Parts, unroll_parts
from sewdsl.notation.compact_text import body_items
from sewdsl.notation.network_diff import diff_networks, part_nodes
from sewdsl.source import Source
from tests.effort import examples
from tests.laws.drawn import Drawn, nets
from tests.laws.strategies import CALLS, MAPS, NETWORKS, NEURONS, sequences
from tests.notation.handmade import shuffled
from tests.notation.same import anonymous
from tests.shipped import SHIPPED, shipped

ITEMS = st.lists(st.one_of(MAPS, NEURONS, CALLS, sequences()), min_size=1, max_size=7)


def load(text: str, shape: str = "2x32x32") -> Network:
    return sewdsl.load(text, input=shape)


def body(one: Network, other: Network) -> list[tuple[str, str, str, str, tuple[tuple[int, ...], ...]]]:
    """The changes of the body."""
    found = diff_networks(one, other).changes
    return [(change.before, change.after, change.where, change.node, change.copies) for change in found]


@examples(12)
@given(nets(), nets())
def test_equal_networks(drawn: Drawn, another: Drawn) -> None:
    """Nothing is said exactly where header, body and recipe are the same, whatever nodes are called."""
    one, other = drawn.network, another.network
    assert not diff_networks(one, shuffled(one, drawn.seed))
    assert not diff_networks(anonymous(other), other)
    assert not diff_networks(other, other)
    same = one.settings == other.settings and compact_text(one) == compact_text(other)
    assert bool(diff_networks(one, other)) == bool(diff_networks(other, one)) == (not same)


@pytest.mark.deep
@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_network_does_not_differ_from_itself(name: str) -> None:
    assert not diff_networks(shipped(name), shipped(name))


@examples(25)
@given(NETWORKS, NETWORKS)
def test_alignment_keeps_both(one: str, other: str) -> None:
    """Side by side, both sequences are all there, in order; apart from calls that were opened."""
    compilations = [sewdsl.read(text, input="2x16x16") for text in (one, other)]
    assume(all(compilation.valid for compilation in compilations))
    made = [compilation.result() for compilation in compilations]
    before, after = (unroll_parts(body_items(network), lambda _: "same") for network in made)
    pairs = list(Alignment().pairs(before, after))
    for network, parts in zip(made, zip(*pairs, strict=True), strict=True):
        nodes = [node for part in parts if part is not None for node in part_nodes(part)]
        if network.graph.loops:  # a loop's sum is before its body, and its delay no part of its own
            nodes = sorted(node for node in nodes if not network.nodes[node].feeds_back)
        assert nodes == [index for index in range(1, len(network)) if not network.nodes[index].feeds_back]


@examples(25)
@given(ITEMS, st.data())
def test_one_layer_more_is_one_change(items: list[str], data: st.DataObject) -> None:
    """Wherever it comes in, also within what had a name, and whatever moves after it."""
    at = data.draw(st.integers(0, len(items)))
    head = ["c4k3", "BN", "IF"]
    texts = "-".join([*head, *items]), "-".join([*head, *items[:at], "DP0.125", *items[at:]])
    compilations = [sewdsl.read(text, input="2x16x16") for text in texts]
    assume(all(compilation.valid for compilation in compilations))
    one, other = (compilation.result() for compilation in compilations)
    assert [change[:2] for change in body(one, other)] == [("", "DP0.125")]
    assert [change[:2] for change in body(other, one)] == [("DP0.125", "")]


SEVEN = ((1, 2, 3, 4, 5, 6, 7),)
PAIRS = {
    ("7b-net", "7b-net-released"): [("c32k3s1", "c32k1s1", "at", "conv1", ())],
    ("7b-net", "7b-net-iand"): [],
    ("7b-net", "7b-net-plain"): [("SEW Block (c32)", "Plain Block (c32)", "at", "repeat1.1.sew_block1", SEVEN)],
    ("7b-net", "7b-net-identity"): [("SEW Block (c32)", "", "at", "repeat1.1.sew_block1", SEVEN)],
    ("cifar10-net", "cifar10-net-spiking"): [
        ("SEW Block (c32)", "Spiking Block (c32)", "at", "repeat1.1.repeat1.1.sew_block1", ((1, 2, 3, 4, 5), (1, 2)))
    ],
    ("sew-resnet-18", "spiking-resnet-18"): [
        ("SEW Block (c64)", "Spiking Block (c64)", "at", "repeat1.1.sew_block1", ((1, 2),)),
        ("SEW Block (c128s2)", "Spiking Block (c128s2)", "at", "sew_block1", ()),
        ("SEW Block (c128)", "Spiking Block (c128)", "at", "repeat2.1.sew_block1", ()),
        ("SEW Block (c256s2)", "Spiking Block (c256s2)", "at", "sew_block2", ()),
        ("SEW Block (c256)", "Spiking Block (c256)", "at", "repeat3.1.sew_block1", ()),
        ("SEW Block (c512s2)", "Spiking Block (c512s2)", "at", "sew_block3", ()),
        ("SEW Block (c512)", "Spiking Block (c512)", "at", "repeat4.1.sew_block1", ()),
    ],
    ("sew-resnet-50", "sew-resnet-152"): [
        ("", "{SEW Bottleneck (c128)}*4", "after", "repeat2.3.sew_bottleneck1", ()),
        ("", "{SEW Bottleneck (c256)}*30", "after", "repeat3.5.sew_bottleneck1", ()),
    ],
    ("tdbn-resnet-19", "spiking-resnet-34-large"): [  # blocks of their own, of one name
        ("c128k3s1", "c128k7s2", "at", "conv1", ()),
        ("", "MPk3s2p1", "after", "lif1", ()),
        ("", "tdBN Block (c256)", "after", "repeat2.2.tdbn_block1", ()),
        ("", "{tdBN Block (c512)}*5", "after", "tdbn_block2", ()),
        ("tdBN Block (c512)", "tdBN Block (c1024s2)", "at", "tdbn_block3", ()),
        ("", "{tdBN Block (c1024)}*2", "after", "tdbn_block3", ()),
        ("FC256", "FC1000", "at", "fc1", ()),
        ("LIF-FC10", "", "at", "lif2", ()),
    ],
    ("resnet-18", "resnet-34"): [
        ("", "Basic Block (c64)", "after", "repeat1.2.basic_block1", ()),
        ("", "{Basic Block (c128)}*2", "after", "repeat2.1.basic_block1", ()),
        ("", "{Basic Block (c256)}*4", "after", "repeat3.1.basic_block1", ()),
        ("", "Basic Block (c512)", "after", "repeat4.1.basic_block1", ()),
    ],
    ("resnet-18", "resnet-50"): [  # of the widths of each stage, not of the next
        ("Basic Block (c64)", "Bottleneck(c64)", "at", "repeat1.1.basic_block1", ((1, 2),)),
        ("", "Bottleneck(c64)", "after", "repeat1.2.basic_block1", ()),
        ("Basic Block (c128s2)", "Bottleneck(c128s2)", "at", "basic_block1", ()),
        ("Basic Block (c128)", "Bottleneck(c128)", "at", "repeat2.1.basic_block1", ()),
        ("", "{Bottleneck(c128)}*2", "after", "repeat2.1.basic_block1", ()),
        ("Basic Block (c256s2)", "Bottleneck(c256s2)", "at", "basic_block2", ()),
        ("Basic Block (c256)", "Bottleneck(c256)", "at", "repeat3.1.basic_block1", ()),
        ("", "{Bottleneck(c256)}*4", "after", "repeat3.1.basic_block1", ()),
        ("Basic Block (c512s2)", "Bottleneck(c512s2)", "at", "basic_block3", ()),
        ("Basic Block (c512)", "Bottleneck(c512)", "at", "repeat4.1.basic_block1", ()),
        ("", "Bottleneck(c512)", "after", "repeat4.1.basic_block1", ()),
    ],
    ("7b-net", "wide-7b-net"): [
        ("c32k3s1", "c64k3s1", "at", "conv1", ()),
        ("SEW Block (c32)", "SEW Block (c64)", "at", "repeat1.1.sew_block1", ((1, 2, 3, 4),)),
        ("", "c128k3s1-BN-PLIF", "after", "repeat1.4.max_pool1", ()),
        ("SEW Block (c32)", "SEW Block (c128)", "at", "repeat1.5.sew_block1", ((5, 6, 7),)),
        ("FC11", "FC10", "at", "fc1", ()),
    ],
}


@pytest.mark.parametrize("names", PAIRS, ids=" ".join)
def test_shipped_networks(names: tuple[str, str]) -> None:
    assert body(*map(sewdsl.load, names)) == PAIRS[names]


TEXTS = {
    # an argument, a shortcut that was the identity, a layer more
    ("c4k3-PLIF-{ADD[c4k3-BN-IF | id]-MPk2}*3-FC4", "c4k3-PLIF-{ADD[c4k5-BN-IF | BN]-MPk2}*3-DP-FC4"): [
        ("c4k3s1", "c4k5s1", "at", "repeat1.1.branch.conv1", ((1, 2, 3),)),
        ("", "BN", "in the shortcut of", "repeat1.1.add1", ((1, 2, 3),)),
        ("", "DP", "after", "repeat1.3.max_pool1", ()),
    ],
    # some copies only
    ("c4k3-{BN-IF-c4k3-MPk2}*4", "c4k3-BN-IF-c4k3-MPk2-BN-LIF-c4k3-MPk2-BN-IF-c4k3-MPk2-BN-LIF-c4k3-MPk2"): [
        ("IF", "LIF", "at", "repeat1.2.if1", ((2, 4),)),
    ],
    # the neuron before is what SN means: blocks change with it, and it is said of the layers in them
    ("c4k3-PLIF-{SEW Block}*2", "c4k3-LIF-{SEW Block}*2"): [
        ("PLIF", "LIF", "at", "plif1", ()),
        ("PLIF", "LIF", "at", "repeat1.1.sew_block1.branch.plif1", ((1, 2),)),
        ("PLIF", "LIF", "at", "repeat1.1.sew_block1.branch.plif2", ((1, 2),)),
    ],
    # only another join
    ("IF-ADD[BN-IF | IF]-IF", "IF-AND[BN-IF | IF]-IF"): [("ADD[…]", "AND[…]", "at", "add1", ())],
    # another join, operands that change sides, items in front
    ("IF-ADD[BN-IF | id]", "IF-IAND[id | BN-IF]"): [
        ("ADD[…]", "IAND[…]", "at", "add1", ()),
        ("BN-IF", "", "at", "branch.bn1", ()),
        ("", "BN-IF", "in the shortcut of", "add1", ()),
    ],
    # copies of nested repeats, of which not every combination changed
    (
        "{{c4k3-IF-DP}*2-MPk1}*2-FC3",
        "c4k3-LIF-DP-c4k3-IF-DP-MPk1-c4k3-IF-DP-c4k3-LIF-DP-MPk1-FC3",
    ): [
        ("IF", "LIF", "at", "repeat1.1.repeat1.1.if1", ()),
        ("IF", "LIF", "at", "repeat1.2.repeat1.2.if1", ()),
    ],
    # fewer copies inside of each copy
    ("{{c4k3-IF}*5-MPk1}*2-FC3", "{{c4k3-IF}*3-MPk1}*2-FC3"): [
        ("{c4k3s1-IF}*2", "", "at", "repeat1.1.repeat1.4.conv1", ((1, 2), (4,))),
    ],
    # what is no call any more because of a layer within
    ("c4k3-IF-Spiking Block (c4)", "c4k3-IF-ADD[c4k3-BN-IF-c4k3-BN | id]-DP-IF"): [
        ("", "DP", "after", "spiking_block1.add1", ()),
    ],
    # of two that could have become it, the one that is more alike
    ("c4k3-c4k5-FC3", "c4k5b1s2-FC3"): [
        ("c4k3s1", "", "at", "conv1", ()),
        ("c4k5s1", "c4k5s2", "at", "conv2", ()),
    ],
    ("PLIF-Plain Block (c4)-SEW Block (c6)", "PLIF-Basic Block (c6)"): [
        ("Plain Block (c4)", "", "at", "plain_block1", ()),
        ("SEW Block (c6)", "Basic Block (c6)", "at", "sew_block1", ()),
    ],
    ("c4k5-PLIF-SEW Block (g=IAND)-Spiking Block (c4)-FC3", "c4k3-PLIF-SEW Block-FC4"): [
        ("c4k5s1", "c4k3s1", "at", "conv1", ()),
        ("SEW Block (c4, g=IAND)", "SEW Block (c4)", "at", "sew_block1", ()),
        ("Spiking Block (c4)", "", "at", "spiking_block1", ()),
        ("FC3", "FC4", "at", "fc1", ()),
    ],
    ("c5k3-IF-ADD[BN-IF | id]-IF-IAND[BN-IF | id]-FC3", "c7k3-IF-IAND[BN-IF | id]-FC4"): [
        ("c5k3s1", "c7k3s1", "at", "conv1", ()),
        ("ADD[BN-IF | id]-IF", "", "at", "add1", ()),
        ("FC3", "FC4", "at", "fc1", ()),
    ],
    ("c4k3-IF", "BN-c4k3-IF"): [("", "BN", "before", "conv1", ())],
    ("id", "BN"): [("", "BN", "after", "input", ())],
}


@pytest.mark.parametrize("texts", TEXTS, ids=" to ".join)
def test_texts(texts: tuple[str, str]) -> None:
    assert body(*map(load, texts)) == TEXTS[texts]


def test_headers() -> None:
    """A neuron that changed in the header is said once; one written at a layer is said of that layer."""
    one, other = (
        sewdsl.load("c4k3-SN-c4k3-IF-c4k3-SN", input="2x8x8", neuron=neuron) for neuron in ("LIF", "LIF(tau=3.0)")
    )
    found = diff_networks(one, other)
    assert [(value.key, value.before, value.after) for value in found.settings] == [("neuron", "LIF", "LIF(tau=3.0)")]
    assert found.changes == ()
    inline = sewdsl.load("c4k3-LIF(tau=3.0)-c4k3-IF-c4k3-SN", input="2x8x8", neuron="LIF")
    assert [change[:4] for change in body(one, inline)] == [("LIF", "LIF(tau=3.0)", "at", "lif1")]
    assert [change[:4] for change in body(inline, other)] == [("LIF(tau=3.0)", "SN", "at", "lif1")]
    none = sewdsl.load("c4k3-LIF-c4k3-IF-c4k3-LIF", input="2x8x8")
    assert [change[:2] for change in body(none, other)] == [("LIF", "LIF(tau=3.0)")] * 2


def test_recipes_and_figures() -> None:
    one, other = sewdsl.load("7b-net"), sewdsl.load("wide-7b-net")
    found = diff_networks(one, other)
    recipe = {value.key: (value.before, value.after) for value in found.recipe}
    assert recipe["schedule"] == ("Step(size=64)", "Cosine(T_max=64)")
    assert recipe["T_train"] == ("12", "none")
    assert ("parameters", "130,938", "1,258,778") in [(v.key, v.before, v.after) for v in found.figures]
    without = replace(one, recipe=None)
    assert diff_networks(one, without)
    assert [(v.key, v.before, v.after) for v in diff_networks(one, without).recipe] == [
        ("data", "dvs128-gesture", "none")
    ]


def test_names_and_expectations_do_not_count() -> None:
    one = sewdsl.load("7b-net")
    assert not diff_networks(one, replace(one, name="Other", expectations=()))


def test_long_sequences() -> None:
    """More than a thousand layers, with a change at both ends and one layer more in the middle."""
    limit = {"source": 10**7}
    texts = ("IF-{c4k3-BN-IF}*400-IF", "LIF-{c4k3-BN-IF}*200-DP-{c4k3-BN-IF}*200-LIF")
    one, other = (sewdsl.load(text, input="2x4x4", limit=limit) for text in texts)
    start = time.process_time()
    assert [change[:2] for change in body(one, other)] == [("IF", "LIF"), ("", "DP"), ("IF", "LIF")]
    assert time.process_time() - start < 8


# --- the command -------------------------------------------------------------------------------------------


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["diff", *arguments])


def test_command() -> None:
    result = run("mnist5k", "mnist5k-dvs")
    assert result.exit_code == 1
    assert (
        result.stdout
        == """\
mnist5k -> mnist5k-dvs

settings
  input   1x28x28 -> 2x34x34
  steps   4 -> 6
  encode  direct -> none

layers
  c32k5s2 -> c16k5s2                    at conv1
  SEW Block (c32) -> SEW Block (c32s2)  at repeat1.1.sew_block1
- MPk3s2p1                              at repeat1.1.max_pool1
+ DP0.2                                 after repeat1.2.max_pool1

recipe
  data       mnist5k -> mnist5k-dvs
  optimizer  AdamW(lr=0.003) -> AdamW(lr=0.004)
  shift      0 -> 1

figures
  parameters  43,119 -> 41,936
  macs        4,677,760 -> 2,893,408
"""
    )


def test_no_difference() -> None:
    result = run("c4k3-BN-IF", "c4k3s1-BN-SN", "--input", "2x8x8", "--neuron", "IF")
    assert (result.exit_code, result.stdout) == (0, "network, network: no difference\n")


def test_trouble() -> None:
    assert run("7b-net", "c4k3-BNPLIF").exit_code == 2
    assert run("nonsense-net", "7b-net").exit_code == 2
    assert run("7b-net").exit_code == 2


def test_json() -> None:
    result = run("cifar10-net", "cifar10-net-spiking", "--json")
    assert result.exit_code == 1
    said = json.loads(result.stdout)
    assert said["equal"] is False
    assert said["layers"] == [
        {
            "before": "SEW Block (c32)",
            "after": "Spiking Block (c32)",
            "where": "at",
            "node": "repeat1.1.repeat1.1.sew_block1",
            "copies": [[1, 2, 3, 4, 5], [1, 2]],
        }
    ]
    assert json.loads(run("tiny", "tiny", "--json").stdout)["equal"] is True


@pytest.mark.parametrize(
    ("copies", "text"),
    [
        (((1, 2, 3, 4, 5, 6, 7),), "copies 1 to 7"),
        (((2, 4),), "copies 2 and 4"),
        (((1, 3, 4, 5, 7),), "copies 1, 3 to 5 and 7"),
        (((3,), (1, 2)), "copy 3 > copies 1 and 2"),
    ],
)
def test_copies(copies: tuple[tuple[int, ...], ...], text: str) -> None:
    assert in_copies(copies) == text


def test_blocks_are_called_as_their_file_calls_them() -> None:
    """Also where the parameter is not the width of the first layer."""
    block = "block Pinch(c=in, s=1) = g[c$(c/2)k1-BN-SN-c$(c)k3s$(s)-BN-SN | id or c$(c)k1s$(s)-BN-SN]"
    text = f"sewdsl 1\n{block}\ninput 2x16x16\nneuron IF\nbody c16k3-BN-SN-{{Pinch}}*2-Pinch (c32s2)-Pinch (c32)-FC10\n"
    one, other = (read(Source("x.net", each)).result() for each in (text, text.replace("(c32)", "(c48s2)")))
    assert [change[:2] for change in body(one, other)] == [("Pinch(c32)", "Pinch(c48s2)")]
    assert "{Pinch(c16)}*2-Pinch(c32s2)-Pinch(c32)" in write_net(one)
    assert "c$(c/2)k1" in write_net(one)


def test_blocks_whose_calls_mean_different_things_go_by_their_width() -> None:
    """c is 4 in both calls, and says nothing of the widths 8 and 16."""
    block = "block P(c, d=8) = ADD[c$(d)k3-BN-SN-c$(d)k5-BN-SN-c$(d)k3-BN-SN | c$(d)k1-BN-SN]"
    text = f"sewdsl 1\n{block}\ninput 2x16x16\nneuron IF\nbody P (c4)-P (c4d16)-FC10\n"
    assert "P(c8)-P(c16)-FC10" in write_net(read(Source("x.net", text)).result())


def joins(seed: int, count: int) -> str:
    """Joins in a row whose branches have nothing in common but their kinds."""
    random = Random(seed)  # noqa: S311 -- the same for a seed is what is wanted
    return "-".join(f"ADD[{'-'.join(random.choices(['BN', 'IF', 'DP', 'ReLU'], k=50))} | id]" for _ in range(count))


def test_joins_in_a_row_are_compared_so_long_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """All pairs of layers of all pairs of joins would be two million."""
    limit, tried, table = 100_000, list[int](), Alignment._table

    def counted(self: Alignment, one: Parts, other: Parts) -> list[list[float]]:
        tried.append(len(one) * len(other))
        return table(self, one, other)

    monkeypatch.setattr(align, "MAX_WORK", limit)
    monkeypatch.setattr(Alignment, "_table", counted)
    assert diff_networks(load(joins(1, 30)), load(joins(2, 30))).changes
    assert 0.9 * limit < sum(tried) < 2 * limit


def test_merges_with_other_numbers_of_operands_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(align, "MAX_WORK", 0)
    one, other = load("ADD[ BN | id ]-FC3"), load("ADD[ BN | IF | id ]-FC3")
    assert body(one, other) == [("ADD[BN | id]", "ADD[BN | IF | id]", "at", "add1", ())]


def test_a_long_body_beside_a_short_one() -> None:
    """A second; a sum over all the rest for each of the layers takes half a minute."""
    (layer,) = unroll_parts(body_items(load("BN")), "long {}".format)
    long, short = (layer,) * 200_000, unroll_parts(body_items(load("ReLU-DP")), "short {}".format)
    began = process_time()
    assert len(Alignment().pairs(short, long)) == 200_002
    assert process_time() - began < 15


VALUES = """\
sewdsl 1
input 2x16x16
neuron IF
let low = c4k3-SN
let high = low-c4k1-SN
let both = ADD[ low-BN | high-BN ]
body CAT[ both-c4k3 | low | high | both-SN-ADD[ id | low ] ]-FC3
"""


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("c4k1", "c4k5"), [("c4k1s1", "c4k5s1", "at", "high.conv1", ())]),
        (("low = c4k3", "low = c4k5"), [("c4k3s1", "c4k5s1", "at", "low.conv1", ())]),
        (("| low |", "| high |"), [("", "high", "in the operand2 of", "cat1", ())]),
        (("| high-BN", "| high-IF-BN"), [("", "IF", "after", "high", ())]),
        (("high", "top"), []),
    ],
)
def test_named_values(change: tuple[str, str], expected: list[object]) -> None:
    """Names of values do not count. Their contents count once, for any number of readers."""
    assert body(load(VALUES), load(VALUES.replace(*change))) == expected


def test_names_of_equal_values_are_no_difference() -> None:
    values = "let a = ReLU\nlet b = a-ReLU\nlet c = a-ReLU\n"
    text = f"sewdsl 1\ninput 4x8x8\n{values}body ADD[ {{}}-ReLU | ADD[ {{}} | {{}} | {{}} ] ]\n"
    one, other = (sewdsl.read(text.format(*names)).result() for names in ("bbcc", "ccbb"))
    assert not diff_networks(one, other)
    assert diff_networks(one, sewdsl.read(text.format(*"bccc")).result())


PAIR = "input left 4x6x6\ninput right 4x6x6\nsteps 2\nbody "
OUTPUTS = "input 4x6x6\nlet {} = c4k3\nlet {} = c4k1\noutputs a b\n"
DIFFERENT = {
    "weights": ("input 4x6x6\npart P = c4k3\nbody P-P\n", "input 4x6x6\nblock P = c4k3\nbody P-P\n"),
    "inputs": (f"{PAIR}ADD[left-c4k3 | right]\n", f"{PAIR}ADD[right-c4k3 | left]\n"),
    "outputs": (OUTPUTS.format("a", "b"), OUTPUTS.format("b", "a")),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_equal_layers_differ_in(name: str) -> None:
    one, other = (sewdsl.read(f"sewdsl 1\n{text}").result() for text in DIFFERENT[name])
    assert diff_networks(one, other).changes
