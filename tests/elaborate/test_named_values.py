"""``let``, blocks with braces, and blocks of several operands."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

import sewdsl
from sewdsl.diagnostics import Severity
from sewdsl.ir.network import Network
from sewdsl.ir.node import MODULE_ATTRIBUTES
from sewdsl.notation.net_file import write_net
from sewdsl.source import Source
from tests.words import check_words

HEAD = "sewdsl 1\ninput 4x8x8\nsteps 2\nneuron IF\n"
CELL = """\
block Conv = SN-c4k3-BN
block Cell {
    let a = Conv
    let b = ADD[ id | a-Conv ]
    give ADD[ a | b-Conv | id ]
}
"""
UP = "block Up(c)[ low | high ] = CAT[ low | high-c$(c)k1-BN-SN ]-c$(c)k3-BN-SN\n"


def load(text: str) -> Network:
    return sewdsl.load(f"{HEAD}{text}\n")


def said(text: str) -> list[tuple[str, int, str]]:
    found = sewdsl.read(Source("t", f"{HEAD}{text}\n")).diagnostics
    return [(one.code, one.span.line - HEAD.count("\n"), one.message) for one in found]


def edges(network: Network) -> Iterator[str]:
    for node in network.nodes[1:]:
        yield f"{node.name} <- {', '.join(network.nodes[source].name for source in node.inputs)}"


@pytest.mark.parametrize("name", ["c", "FC", "g", "tc"])
def test_a_name_without_a_meaning_alone_is_free(name: str) -> None:
    """Layers with arguments, and joins with operands, keep their meaning."""
    text = "let {0} = c4k3-SN\nlet high = {0}-MPk2\nbody g[ high | {0}-APk2 ]-CAT[ id | high-SN ]-FC3"
    network = load(text.format(name))
    expected = load(text.format("low"))
    assert [node.op for node in network.nodes] == [node.op for node in expected.nodes]
    assert [node.inputs for node in network.nodes] == [node.inputs for node in expected.nodes]
    written = write_net(network)
    assert f"let     {name} = c4k3" in written
    assert [node.op for node in sewdsl.load(written).nodes] == [node.op for node in network.nodes]
    assert write_net(sewdsl.load(written)) == written


def test_a_value_is_computed_once_and_read_anywhere() -> None:
    network = load("let low = c8k3-SN\nlet high = low-MPk2\nbody CAT[ high | low-APk2 ]-CAT[ id | high-SN ]-FC3")
    assert list(edges(network)) == [
        "low.conv1 <- input",
        "low.if1 <- low.conv1",
        "high.max_pool1 <- low.if1",
        "operand2.avg_pool1 <- low.if1",
        "cat1 <- high.max_pool1, operand2.avg_pool1",
        "operand2_2.if1 <- high.max_pool1",
        "cat2 <- cat1, operand2_2.if1",
        "fc1 <- cat2",
    ]


def test_a_sequence_without_a_name_begins_at_the_input() -> None:
    network = load("let a = c8k3\nlet b = c8k3\nbody ADD[ a | b ]-FC3")
    assert list(edges(network)) == [
        "a.conv1 <- input",
        "b.conv1 <- input",
        "add1 <- a.conv1, b.conv1",
        "fc1 <- add1",
    ]


def test_values_of_a_block_are_its_own_in_each_copy() -> None:
    network = load(f"{CELL}let a = c4k3\nbody a-{{Cell}}*2-FC3")
    names = [node.name for node in network]
    assert "a.conv1" in names
    for copy in (1, 2):
        assert f"repeat1.{copy}.cell1.a.conv1.conv1" in names
        assert f"repeat1.{copy}.cell1.b.branch.conv1.conv1" not in names
        assert f"repeat1.{copy}.cell1.b.shortcut.conv1.conv1" in names
    found = dict(edge.split(" <- ") for edge in edges(network))
    begin = "repeat1.1.cell1.add1"
    assert found["repeat1.2.cell1.a.conv1.if1"] == begin
    assert found["repeat1.2.cell1.b.add1"] == f"{begin}, repeat1.2.cell1.b.shortcut.conv1.bn1"
    assert found["repeat1.2.cell1.add1"].startswith("repeat1.2.cell1.a.conv1.bn1, ")
    assert found["repeat1.2.cell1.add1"].endswith(f", {begin}")


def test_a_block_reads_its_operands_by_name() -> None:
    network = load(f"{UP}let p = c8k3-SN\nbody Up (c6)[ p | p-c16k3-SN ]-FC3")
    assert list(edges(network))[2:] == [
        "up1_high.conv1 <- p.if1",
        "up1_high.if1 <- up1_high.conv1",
        "up1.operand2.conv1 <- up1_high.if1",
        "up1.operand2.bn1 <- up1.operand2.conv1",
        "up1.operand2.if1 <- up1.operand2.bn1",
        "up1.cat1 <- p.if1, up1.operand2.if1",
        "up1.conv1 <- up1.cat1",
        "up1.bn1 <- up1.conv1",
        "up1.if1 <- up1.bn1",
        "fc1 <- up1.if1",
    ]


def test_the_channels_that_flow_into_a_block_of_operands_are_those_of_the_first() -> None:
    network = load("block Both(c=in)[ a | b ] = ADD[ a | b-c$(c)k1 ]\nlet p = c8k3\nbody Both[ p | id ]-FC3")
    assert network.nodes[2].op.channels == 8  # type: ignore[attr-defined]


def test_an_operand_of_a_block_may_be_an_alternative() -> None:
    block = "block Sum[ a | b ] = ADD[ a | b ]\n"
    assert len(load(f"{block}body Sum[ c4k3 | id or c4k1 ]-FC3")) == 4
    assert len(load(f"{block}body Sum[ c8k3 | id or c8k1 ]-FC3")) == 5


def test_blocks_of_operands_with_values_of_their_own() -> None:
    text = "block Mix[ a | b ] {\n let s = ADD[ a | b ]\n give CAT[ s | a | s-SN ]\n}\nbody Mix[ c4k3 | id ]-FC3"
    assert [node.output.shape[0] for node in load(text)] == [4, 4, 4, 4, 12, 3]


def test_neurons_in_a_value_are_what_they_are_in_the_body() -> None:
    """Without a header's neuron SN is the nearest before, in the order of the text; what nothing reads is not there."""
    text = "sewdsl 1\ninput 4x8x8\nsteps 2\nlet a = c4k3-LIF\nlet unused = IF\nbody a-c4k3-SN-FC3\n"
    compilation = sewdsl.read(Source("t", text))
    assert [str(node.op).partition("(")[0] for node in compilation.result()] == [
        *("input 4x8x8", "c4k3s1p1d1g1b1", "LIF", "c4k3s1p1d1g1b1", "LIF", "FC3b1"),
    ]
    assert [one.code for one in compilation.diagnostics] == ["unused-name"]


def test_a_name_may_be_one_that_modules_of_torch_have() -> None:
    text = "let forward = c4k3\nlet half = forward-BN\nbody ADD[ forward | half ]-FC3"
    model = sewdsl.compile(load(text), seed=0)
    assert model(torch.rand(2, 1, 4, 8, 8)).shape == (1, 3)
    assert "forward1.conv1.weight" in model.state_dict()
    assert "half1.bn1.weight" in model.state_dict()


def test_names_that_modules_have_stay_apart_from_their_neighbours() -> None:
    network = load("let half = c4k3\nlet half1 = c4k3-BN\nbody ADD[ half | half1 ]-FC3")
    assert [node.name for node in network][1:4] == ["half2.conv1", "half1.conv1", "half1.bn1"]


def test_what_an_alternative_leaves_out_is_not_in_the_network() -> None:
    """``id`` fits, so that nothing reads the projection, which is no mistake."""
    block = "block Sum(c) {\n let proj = c$(c)k1-BN\n give ADD[ c$(c)k3 | id or proj ]\n}\n"
    assert said(f"{block}body Sum (c4)-FC3") == []
    assert [node.name for node in load(f"{block}body Sum (c4)-FC3")] == [
        "input",
        "sum1.branch.conv1",
        "sum1.add1",
        "fc1",
    ]
    assert [node.name for node in load(f"{block}body Sum (c8)-FC3")][1] == "sum1.proj.conv1"


def test_an_operand_that_nothing_reads_is_a_warning_and_no_node() -> None:
    text = "block First[ a | b ] = a-SN\nbody First[ c4k3 | c4k5-BN ]-FC3"
    assert said(text) == [("unused-name", 1, "unused value 'b'")]
    assert [node.op.kind for node in load(text)] == ["input", "c", "IF", "FC"]


def test_what_flows_into_a_block_of_operands_is_the_first() -> None:
    text = "block Mix[ a | b ] = ADD[ SN | b ]\nbody Mix[ c4k3 | id ]-FC3"
    assert said(text) == []
    assert list(edges(load(text)))[1] == "mix1.branch.if1 <- mix1_a.conv1"


def test_no_name_in_a_network_is_one_that_modules_have() -> None:
    model = sewdsl.compile("c4k3-{BN-SEW Block}*2-FC3", input=(4, 8, 8), neuron="IF")
    has = {name for name in dir(model) if not name.startswith("_") and name.isidentifier()}
    assert has - {"conv1", "repeat1", "fc1"} <= MODULE_ATTRIBUTES


def test_names_of_values_and_of_operands_do_not_meet() -> None:
    text = f"{UP}let up1_low = c4k3\nlet conv1 = c4k3\nbody Up (c4)[ c4k3-BN | CAT[ up1_low | conv1 ] ]-c8k3-GAP-FC3"
    names = [node.name for node in load(text)]
    assert len(set(names)) == len(names)
    assert "up2_low.conv1" in names
    assert "conv2" in names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("let a = BN\nlet a = SN\nbody a-FC3", [("duplicate-name", 2, "duplicate value 'a'")]),
        ("let c3k3 = BN\nbody c3k3-FC3", [("reserved-name", 1, "'c3k3' is the name of a kind with arguments")]),
        ("let SN = BN\nbody SN-FC3", [("reserved-name", 1, "'SN' is reserved for the neuron of the file")]),
        ("let CAT = BN\nbody CAT-FC3", [("reserved-name", 1, "'CAT' is the name of a kind")]),
        ("let a.b = BN\nbody a.b-FC3", [("reserved-name", 1, "invalid name 'a.b' of a value")]),
        ("block A = BN\nlet A = SN\nbody A-FC3", [("reserved-name", 2, "'A' is the name of a block")]),
        ("let FC10 = BN\nbody FC10-FC3", [("reserved-name", 1, "'FC10' is the name of a kind with arguments")]),
        ("let BN = c3k3\nbody BN-FC3", [("reserved-name", 1, "'BN' is the name of a kind")]),
        ("let id = BN\nbody id-FC3", [("reserved-name", 1, "'id' is reserved for the input itself")]),
        ("let c = BN\nbody c(k=3)-FC3", [("unknown-argument", 2, "'c' is a value and takes no arguments")]),
        ("let or = BN\nbody or-FC3", [("reserved-name", 1, "'or' is reserved for alternatives, as in 'id or c64k1'")]),
        ("let a = BN\nbody FC3", [("unused-name", 1, "unused value 'a'")]),
        (
            "let a = BN\nlet b = a-SN\nbody FC3",
            [("unused-name", 1, "unused value 'a'"), ("unused-name", 2, "unused value 'b'")],
        ),
        ("let a = BN\nbody a[ BN | id ]-FC3", [("unknown-argument", 2, "'a' is a value and takes no operands")]),
        ("give BN\nbody FC3", [("unknown-setting", 1, "'give' outside a block")]),
        (  # which of the two is misspelt is not known
            "let low = BN\nbody lwo-FC3",
            [("unknown-name", 2, "unknown name 'lwo'")],
        ),
        (
            "block A[ x | y ] = x-BN\nbody A[ id | id ]-FC3",
            [("unused-name", 1, "unused value 'y'")],
        ),
        (
            "let a = b-BN\nlet b = SN\nbody ADD[ a | b ]-FC3",
            [("misplaced-name", 1, "'b' is read before it is defined")],
        ),
        ("let a = a-BN\nbody a-FC3", [("misplaced-name", 1, "'a' is read before it is defined")]),
        (
            "let a = BN\nbody c4k3-a-FC3",
            [("misplaced-name", 2, "'a' is a value and must start a sequence")],
        ),
        ("let a = BN\nbody c4k3-CAT[ a | a-SN ]-FC3", [("unread-value", 2, "the output of conv1 is unused")]),
        ("let a = BN\nbody {a-c4k3}*2-FC3", [("unread-value", 2, "the output of repeat1.1.conv1 is unused")]),
        (f"{UP}body Up (c4)-FC3", [("operand-count", 2, "'Up' requires 2 operands, got 0")]),
        (f"{UP}body Up (c4)[ id | id | id ]-FC3", [("operand-count", 2, "'Up' requires 2 operands, got 3")]),
        ("block A = BN\nbody A[ id | SN ]-FC3", [("operand-count", 2, "'A' takes no operands")]),
        ("body (a)-FC3", [("unexpected-token", 1, "expected a layer, a block or '{', got '('")]),
        ("let a = BN\nbody a(2)-FC3", [("unknown-argument", 2, "'a' is a value and takes no arguments")]),
        (  # of a value whose line is broken nothing is said
            "let a = c4k3-)\nbody a-BN-FC3",
            [("unmatched-bracket", 1, "unmatched ')'")],
        ),
        (
            "block A {\n let a = c4k3-)\n give a\n}\nbody A-FC3",
            [("unmatched-bracket", 2, "unmatched ')'")],
        ),
        ("let a = WRONG\nbody a-BN-FC3", [("unknown-name", 1, "unknown name 'WRONG'")]),
        (  # of a block that nothing calls too
            "block A(c)[ x | y ] {\n let b = x-WRONG\n give ADD[ b | y-c$(c)k3 ]\n}\nbody FC3",
            [("unknown-name", 2, "unknown name 'WRONG'")],
        ),
        (
            "block A {\n let a = b-BN\n let b = SN\n give ADD[ a | b ]\n}\nbody FC3",
            [("misplaced-name", 2, "'b' is read before it is defined")],
        ),
    ],
)
def test_what_is_said(text: str, expected: list[tuple[str, int, str]]) -> None:
    assert said(text) == expected


@pytest.mark.parametrize(
    "line", ["let a = BN\n", "let a = BN  # with its comment\n", "  let a = ADD[ BN\n    | id ] \n"]
)
def test_an_unused_value_is_removed_by_its_fix_and_leaves_no_nodes(line: str) -> None:
    text = f"{HEAD}{line}let b = c4k3  # kept\nbody b-FC3\n"
    compilation = sewdsl.read(Source("t", text))
    (found,) = compilation.diagnostics
    assert found.severity is Severity.WARNING
    assert [node.name for node in compilation.result()] == ["input", "b.conv1", "fc1"]
    (edit,) = found.fixes[0].edits
    fixed = text[: edit.span.start] + edit.text + text[edit.span.end :]
    assert fixed == f"{HEAD}let b = c4k3  # kept\nbody b-FC3\n"


@pytest.mark.parametrize(
    "definition", [" = ADD[ x | x-c$(c)k3-BN ]", " {\n let y = x-c$(c)k3-BN\n give ADD[ x | y ]\n}"]
)
def test_a_block_may_name_the_value_that_flows_in(definition: str) -> None:
    """The block can be called with and without brackets. In brackets, `c=in` is the channels of the sequence."""
    named = f"block A(c=in)[x]{definition}\n"
    without = "block A(c=in) = ADD[ id | c$(c)k3-BN ]\n"
    for body in ("c4k3-A-FC3", "c4k3-A[ c6k1 ]-FC3", "{A}*2-FC3"):
        expected = body.replace("A[ c6k1 ]", "c6k1-A")
        text, plain = f"{HEAD}{named}body {body}\n", f"{HEAD}{without}body {expected}\n"
        assert structure(text) == structure(plain)
    assert said(f"{named}body A[ id | BN ]-FC3") == [
        ("operand-count", 2 + named.count("\n") - 1, "'A' requires 1 operand, got 2")
    ]


def structure(text: str) -> list[tuple[str, tuple[int, ...]]]:
    """The ops of a network with their inputs, without names."""
    return [(str(node.op), node.inputs) for node in sewdsl.read(Source("t", text)).result()]


def test_names_of_a_file_are_not_seen_in_its_blocks() -> None:
    (found,) = said("let a = BN\nblock A = a-SN\nbody ADD[ A | a ]-FC3")
    assert found == ("unknown-name", 2, "unknown name 'a'")


def test_values_of_a_used_file_are_its_own(tmp_path: object) -> None:
    from pathlib import Path  # noqa: PLC0415

    folder = Path(str(tmp_path))
    (folder / "other.net").write_text(f"{HEAD}{UP}let a = BN\nbody a-FC3\n")
    (folder / "own.net").write_text('sewdsl 1\nuse "other.net"\nlet b = c4k3\nbody Up (c4)[ b | id ]-FC3\n')
    assert [node.name for node in sewdsl.load(folder / "own.net")][1] == "b.conv1"


def test_the_count_of_nodes_knows_what_nothing_reads() -> None:
    """The count that precedes the walk is a lower bound: what is not read does not count, nor do names."""
    text = f"{HEAD}let a = {{BN}}*8\nlet b = BN\nbody ADD[ b | b | b ]-FC3\n"
    compilation = sewdsl.read(Source("t", text), limit={"nodes": 10})
    assert [one.code for one in compilation.diagnostics] == ["unused-name"]


@pytest.mark.parametrize(
    ("body", "meant"),
    [
        ("midle-GAP-FC10", "middle"),
        ("CAT[coarsse-GAP | middle-GAP]-FC10", "coarse"),
        ("Middle-GAP-FC10", "middle"),
    ],
)
def test_a_name_that_is_nearly_that_of_a_value(body: str, meant: str) -> None:
    text = f"""\
sewdsl 1
input 2x32x32
steps 4
neuron PLIF
let middle = c16k3-BN-SN
let coarse = middle-SEW Block (c32)
body {body}
"""
    (found,) = (each for each in sewdsl.read(Source("x.net", text)).diagnostics if each.code == "unknown-name")
    check_words(found.help)
    (fix,) = found.fixes
    assert [edit.text for edit in fix.edits] == [meant]


def test_the_value_that_is_being_computed_is_not_meant() -> None:
    text = "sewdsl 1\ninput 2x32x32\nsteps 4\nneuron PLIF\nlet coarse = coarce-SEW Block (c32)\nbody coarse-FC10\n"
    (found,) = (each for each in sewdsl.read(Source("x.net", text)).diagnostics if each.code == "unknown-name")
    assert "coarse" not in found.help
