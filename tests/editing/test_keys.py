"""Names in keys of layers, in ``init``, ``freeze`` and ``lr`` lines, and outputs in ``loss`` and ``expect`` lines."""

import re

import pytest

from sewdsl.compiler import read
from sewdsl.editing import EditorView, compile_for_editor
from sewdsl.editing.hover import hover
from sewdsl.editing.references import find_definition, rename_edits
from sewdsl.source import Source

TEXT = """\
sewdsl 1
input 2x8x8
steps 4
neuron LIF
neuron Two[basal | apical] {
    learn gain = 1
    h = v + gain*basal - apical
    s = fire(h - v_threshold)
    v = reset(h, s)
    give s
}
block Wide Net2(c=in) {
    let inner = c$(c)k3-BN-SN
    give inner-c$(c)k1
}
part Eye {
    let iris = c4k3-BN-SN
    give ADD[ iris-c4k1 | id ]
}
block Join(c)[ low | high ] = CAT[ low | high ]-c$(c)k1
init stem.* orthogonal
init stem.wide_net21.inner.* normal(std=0.1)
init "Eye.iris.*" constant(0)
init Eye orthogonal
init both.join1_high.conv1 normal(std=0.2)
let stem = c4k3-Wide Net2-{Eye}*2
let both = Join (c8)[ stem | stem-c4k1 ]
let early = both-GAP-FC3
let last = both-Two[ c8k3 | c8k1 ]-Eye3-GAP-FC3
outputs early last
expect early 3
block Eye3 = BN-SN

train on digits {
    epochs 1
    batch 10
    optimizer Adam(lr=0.01)
    loss last CrossEntropy
    loss early KL(to=last) 0.5x
    freeze Eye.iris stem.wide_net21.inner last.basal.*
    lr last.apical.* 10x last.eye31 2x last.two1.gain 3x
}
"""
NAMES = {
    "stem": "trunk",
    "inner": "core",
    "iris": "pupil",
    "early": "first",
    "last": "final",
    "both": "all",
    "high": "upper",
    "basal": "below",
    "apical": "above",
    "Eye": "Lens",
    "Eye3": "Other Net7",
    "Wide Net2": "Narrow",
    "Join": "Two Ways",
}


def changed(view: EditorView, offset: int, name: str) -> str:
    text, use = view.source.text, view.names.at(offset)
    assert use is not None
    for edit in sorted(rename_edits([view], use, name), key=lambda edit: -edit.span.start):
        text = text[: edit.span.start] + edit.text + text[edit.span.end :]
    return text


def test_the_text_is_valid() -> None:
    assert read(Source("x.net", TEXT)).result().outputs


@pytest.mark.parametrize("name", NAMES)
def test_keys_follow_the_name(name: str) -> None:
    """The network is equal, and the text has no old key: each would be an error, as a name of nothing."""
    view, network = compile_for_editor(TEXT, "x.net"), read(Source("x.net", TEXT)).result()
    texts = {changed(view, match.start(), NAMES[name]) for match in re.finditer(rf"(?<!\w){name}\b", TEXT)}
    (text,) = texts
    other = read(Source("x.net", text)).result()
    assert not re.search(rf"(?<![\w]){name}(?![0-9]+\b)\b", text.replace("Wide Net2", "").replace(NAMES[name], ""))
    assert [(node.op.key, node.inputs, node.output) for node in other] == [
        (node.op.key, node.inputs, node.output) for node in network
    ]
    assert len(other.settings.part_init) == len(network.settings.part_init)
    for index, (before, after) in enumerate(zip(network.nodes, other.nodes, strict=True)):
        same_neuron = before.op.kind == "Two"  # its equations have other names
        assert same_neuron or network.op_with_init(before) == other.op_with_init(after), index
    matches = [
        [sorted(i for i, node in enumerate(each.nodes) if node.is_in(pattern)) for pattern in each.recipe.freeze]
        for each in (network, other)
        if each.recipe is not None
    ]
    assert matches[0] == matches[1]


@pytest.mark.parametrize(
    ("before", "word", "line"),
    [
        ("freeze", "Eye", 16),
        ("freeze", "iris", 17),
        ("init stem.wide", "inner", 13),
        ("init ", "wide_net2", 12),
        ("init both", "join", 20),
        ("init both", "high", 20),
        ("freeze", "stem", 26),
        ("freeze", "last", 29),
        ("freeze", "basal", 5),
        ("loss", "early", 28),
        ("KL", "last", 29),
        ("expect", "early", 28),
    ],
)
def test_definitions_and_hover(before: str, word: str, line: int) -> None:
    view = compile_for_editor(TEXT, "x.net")
    offset = TEXT.index(word, TEXT.index(before)) + 1
    place = find_definition(view, offset)
    assert place is not None
    assert place[0].line == line
    shown = hover(view, offset)
    assert shown is not None
    assert shown.text


@pytest.mark.parametrize(
    "pattern", ["*.inner", "conv1", "branch.stem", "a.wide_net2", "a.two1.gain", '"Eye?.conv1"', "1.2.3"]
)
def test_other_words_are_no_names(pattern: str) -> None:
    text = TEXT.replace("last.basal.*", pattern)
    view = compile_for_editor(text, "x.net")
    start = text.index(pattern, text.index("freeze"))
    assert not [use for use in view.names.uses if start <= use.span.start < start + len(pattern)]
