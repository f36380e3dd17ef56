"""Definitions of the names of a text, also in blocks that are never called."""

import pytest

from sewdsl.compiler import read, shipped_networks
from sewdsl.editing import EditorView, compile_for_editor
from sewdsl.editing.references import rename_edits
from sewdsl.elaborate.name_table import NameUse
from sewdsl.ops.layers.delay import Delay
from sewdsl.source import Source
from sewdsl.syntax.tree import Body, Call, MergeOf, Repeat, walk_syntax

ALL_KINDS = """\
sewdsl 1
input 2x32x32
neuron Half(keep=0.25)
neuron Half(keep=0.5, D=4) {
    learn w per channel = 1   state i = 0
    i = i + w*x
    h = keep*v + i
    s = fire(h - v_threshold)
    v = reset(h, s)   give s
}
block Up(c)[ low | high ] {
    let wide = high-c$(c)k1-BN
    give CAT[ low | wide-SN ]-c$(c)k3
}
block My Net(c=in, n=2) = {c$(2*c)k3-BN-SN}*$(n)
let low = ADD[ c8k3 | low-DELAY ]-BN-SN
let high = low-MPk2
body Up (c4)[ low-MPk2 | high ]-ADD[ BN | id or c4 ]-My Net(n3)-MyNet (c16, SN=Half(D=2))-GAP-FC5-Half-ILIF
"""
TEXTS = {
    "all kinds": ALL_KINDS,
    **{
        name: shipped_networks()[name].read_text(encoding="utf-8")
        for name in ("7b-net", "att-ms-resnet-18", "snasnet-forward", "spiking-unet", "srnn-shd")
    },
}


def used(text: str, *families: str) -> list[tuple[str, int, str]]:
    """Return the uses of names with their lines and definitions."""
    uses = compile_for_editor(text, "x.net").names.uses
    return [(use.span.text, use.span.line, use.name) for use in uses if use.meaning.family in families]


@pytest.mark.parametrize("name", TEXTS)
def test_the_table_says_what_the_elaborator_did(name: str) -> None:
    """A call makes the nodes of a block if its name means one, none if it means a value, else those of a kind."""
    view = compile_for_editor(TEXTS[name], "x.net")
    network, compared = view.compilation.result(), 0
    items = {
        (node.span.start, node.span.end): node
        for node in walk_syntax(view.document)
        if isinstance(node, Call | MergeOf | Repeat)
    }
    for visit in view.compilation.visits:
        item = items.get((visit.span.start, visit.span.end))
        if not isinstance(item, Call | MergeOf) or visit.span.source is not view.source:
            continue
        depth, nodes = len(visit.path), network.nodes[visit.begin : visit.end]
        called = {node.path[depth].label for node in nodes if node.path[depth:] and node.path[depth].kind == "block"}
        meaning = view.names.meaning(item.name)
        family = meaning.family if meaning is not None else ""
        assert called == ({meaning.name} if meaning is not None and family == "block" else set())
        assert family != "value" or all(node.op.kind == Delay.kind for node in nodes)  # read before it is computed
        compared += 1
    assert compared


@pytest.mark.parametrize("name", TEXTS)
def test_another_name_for_each_definition(name: str) -> None:
    """The network stays as it is: no name was left behind, and no other one was changed."""
    text = TEXTS[name]
    view = compile_for_editor(text, "x.net")
    nodes = [(node.inputs, node.output) for node in view.compilation.result().nodes]
    for use in view.names.uses:
        if use.defines and use.name != "v":  # the potential has its name in every neuron
            changed = renamed(view, use)
            assert changed != text
            network = read(Source("x.net", changed)).result()
            assert [(node.inputs, node.output) for node in network.nodes] == nodes


def renamed(view: EditorView, use: NameUse) -> str:
    text = view.source.text
    name = "q" if use.meaning.family in {"parameter", "variable"} else "Another"
    for edit in sorted(rename_edits([view], use, name), key=lambda edit: -edit.span.start):
        text = text[: edit.span.start] + edit.text + text[edit.span.end :]
    return text


def test_blocks_that_nothing_calls() -> None:
    text = "sewdsl 1\nblock Other(k) = BN\nblock Mine(c) = Other(k$(c))-FC$(c)\nneuron Odd { give relu(x) }\n"
    assert used(text, "block") == [("Other", 2, "Other"), ("Mine", 3, "Mine"), ("Other", 3, "Other")]
    assert used(text, "parameter") == [
        *(("k", 2, "k"), ("c", 3, "c")),
        *(("k", 3, "k"), ("c", 3, "c"), ("c", 3, "c")),
    ]
    assert used(text, "neuron") == [("Odd", 4, "Odd")]


def test_texts_with_errors() -> None:
    text = "sewdsl 1\nlet low = nothing-{\nlet high = c8k3-Unknown\nbody high-Mine(c)-FC\nblock Mine(c) = c$(d)k3\n"
    view = compile_for_editor(text, "x.net")
    assert not view.compilation.valid
    assert not any(isinstance(statement, Body) for statement in view.unread)
    assert used(text, "value") == [("high", 3, "high"), ("high", 4, "high")]
    assert used(text, "block") == [("Mine", 4, "Mine"), ("Mine", 5, "Mine")]


def test_a_value_hides_a_neuron_where_it_can_be_read() -> None:
    text = "sewdsl 1\ninput 1x8x8\nneuron IF\nlet a = c4k3\nblock B[ a | b ] = ADD[ a | b ]\nbody a-B[ a | a-SN ]-FC2\n"
    lines = [(written, line) for written, line, _ in used(text, "value")]
    assert lines == [
        *(("a", 4), ("a", 5), ("b", 5), ("a", 5), ("b", 5)),
        *(("a", 6), ("a", 6), ("a", 6)),
    ]


def test_of_two_values_with_one_name_the_first_is_read() -> None:
    text = "sewdsl 1\ninput 2x8x8\nlet a = c2k3\nlet a = c4k3\nbody a-FC3\n"
    uses = [use for use in compile_for_editor(text, "x.net").names.uses if use.name == "a"]
    assert [(use.span.line, use.meaning.span.line, use.defines) for use in uses] == [
        (3, 3, True),
        (4, 4, True),
        (5, 3, False),
    ]
