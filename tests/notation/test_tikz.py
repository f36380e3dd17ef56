"""TikZ pictures: that they show what the network is, that LaTeX takes them, and how some look."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given

import sewdsl
from sewdsl.ir.network import Network
from sewdsl.ir.node import PathStep
from sewdsl.ir.op import Join as JoinOp
from sewdsl.notation.compact_text import body_unfolded
from sewdsl.notation.item_text import (
    LayerText,
    MergeText,
    ReadText,
    TextItems,
    child_sequences,
    split_lets,
    walk_items,
)
from sewdsl.notation.latex import latex, tex
from sewdsl.notation.tikz import fragment, tikz
from sewdsl.notation.tikz.boxes import BoxTexts
from sewdsl.notation.tikz.picture import Picture, style_preamble
from sewdsl.source import Source
from tests.effort import examples, representatives
from tests.laws.drawn import Drawn, nets
from tests.named import NAMED
from tests.notation.figures import figures
from tests.notation.same import anonymous
from tests.shipped import SHIPPED

GOLDEN = Path(__file__).parents[1] / "golden" / "tikz"
NAMES = representatives(SHIPPED)
OWN = """sewdsl 1
block Stage(c) = {SEW Block (c$(c))}*2-MPk2
block Odd One(c=in) = ADD[c$(c)k3-BN-SN-ADD[c$(c)k3-BN-SN | id]-c$(c)k1-BN | APk1-c$(c)k1]-SN
network "50% of a_b #1 ~x^2 {y} & é"
input 3x32x32
steps 4
neuron LIF(tau=2.0)
body c16k3-BN-SN-Stage (c16)-Stage (c32)-{Odd One}*2-{{Odd One (c64)-APk3s1p1}*2-MPk2}*2-FC10
"""
SMALL = """sewdsl 1
block Stage(c) = ADD[c$(c)k1-BN-SN | id]-{SEW Block (c$(c))}*2
input 2x2x2
steps 2
body c2k1-BN-LIF-Stage (c2)-Stage (c2)-FC2
"""
HOSTILE = [
    *("\\", "{", "}}", "a%b", "#1", "a_b^c", "$x$", "~", "&", '"', "a\nb\r\x00c\u2028d", "--", "?`", "[x]", "*", ""),
    *("x \\end{tikzpicture}", "%", "中" * 90, "é ß \U0001f600", "w" * 300, " ".join(["name"] * 40), "a;b", "(in)"),
]


def own(text: str = OWN) -> Network:
    return sewdsl.read(Source("own.net", text)).result()


def as_drawn(items: TextItems) -> Iterator[int]:
    """The nodes in the order in which they are written: of a loop, the way back comes last, against its flow."""
    for item in items:
        if isinstance(item, MergeText) and item.delay is not None:
            body, feedback = item.operands
            yield from (item.node, *as_drawn(body), *reversed([item.delay, *as_drawn(feedback)]))
            continue
        for inner in child_sequences(item):
            yield from as_drawn(inner)
        if isinstance(item, LayerText | MergeText):
            yield item.node


def feeds_merges_back(network: Network) -> bool:
    """Return whether the feedback of a loop contains a merge or a loop."""
    _, items = body_unfolded(network)
    loops = [item for item in walk_items(items) if isinstance(item, MergeText) and item.delay is not None]
    return any(isinstance(inner, MergeText) for loop in loops for inner in walk_items(loop.operands[1]))


def shows(network: Network) -> None:
    """Check that a picture without repeats and blocks has a box for every node and a line for every edge."""
    (_, items), words = body_unfolded(network), BoxTexts(network)
    texts = {box.node: words.box(box) for box in walk_items(items) if isinstance(box, LayerText)}
    (figure,) = figures(f"{style_preamble()}% net\n{Picture(network, items, texts).net('')}")
    order = list(as_drawn(items))
    assert len(figure.boxes) == len(order) == len(network) - 1
    numbers = {"in": 0, **dict(zip(figure.boxes, order, strict=True))}
    drawn = Counter((numbers[source], numbers[target]) for source, target in figure.joined() if target != "out")
    assert drawn == Counter((source, index) for index, node in enumerate(network) for source in node.sources)
    assert [numbers[source] for source, target in figure.joined() if target == "out"] == [network.output]
    for name, index in list(numbers.items())[1:]:
        assert (figure.boxes[name] == "sew join") == isinstance(network.nodes[index].op, JoinOp)
    assert {numbers[name] for name in figure.negated} == {i for i, n in enumerate(network) if n.op.kind == "IAND"}


@pytest.mark.parametrize("name", NAMED)
def test_values_have_pictures_of_their_own(name: str) -> None:
    """Each picture begins with the value that it reads: a name, or the input."""
    network = sewdsl.load(NAMED[name])
    lets, _ = split_lets(body_unfolded(network)[1])
    found = {figure.comment: figure for figure in figures(tikz(network))}
    boxes = sum(len(figure.boxes) for figure in found.values())
    assert {let.name for let in lets} <= found.keys()
    assert boxes >= len({node.op for node in network}) - 1
    for let in lets:
        first = let.items[0]
        if isinstance(first, ReadText):
            assert f"(in) {{{tex(first.name)}}};" in "".join(found[let.name].lines)


@examples(25)
@given(nets())
def test_random_networks(drawn: Drawn) -> None:
    # A merge in a feedback is one box there, and values of named inputs have pictures of their own.
    if not feeds_merges_back(drawn.network) and not drawn.network.settings.inputs:
        shows(drawn.network)
    figures(tikz(drawn.network))


@pytest.mark.parametrize(
    "text",
    [
        "BN-ADD[id | BN]-ADD[id | id]-FC2",
        "ADD[ADD[c2k3 | id] | ADD[id | c2k3-BN-ADD[BN | BN-BN]]]-GAP",
        "IF-{{AND[BN-IF | id]-IAND[id | BN-IF]}*2-BN-IF-BN-IF}*2",
    ],
)
def test_joins_of_every_form(text: str) -> None:
    network = sewdsl.load(text, input="2x8x8")
    shows(network)
    figures(tikz(network))


@pytest.mark.parametrize("name", NAMES)
def test_shipped_networks(name: str) -> None:
    network = sewdsl.load(name)
    values = {let.name for let in split_lets(body_unfolded(network)[1])[0]}
    folds = values or network.users or network.settings.inputs
    if len(network) < 100 and not folds:  # deeper ones are only more of the same
        shows(network)
    drawn = figures(tikz(network))
    assert drawn[-1].comment in ({name for name, _ in network.outputs} or {network.name})  # several outputs are values
    assert {figure.comment for figure in drawn} >= values
    others = {*values, network.name, *(step.label for node in network for step in node.path if step.kind == "part")}
    blocks = {figure.comment.split(" (")[0] for figure in drawn if figure.comment not in others}
    named = (item for figure in drawn for item in figure.texts.items())
    assert {re.split(r" \(|\\\\\{\}\(", text)[0] for name, text in named if name.startswith("block")} == blocks


def test_a_fragment_has_the_same_pictures() -> None:
    network = sewdsl.load("sew-resnet-18")
    text = fragment(network)
    assert figures(text) == figures(tikz(network))
    assert text.startswith("% In the preamble: \\usepackage{tikz}")
    assert "document" not in text


def test_a_block_is_drawn_once_for_all_widths_and_again_where_it_projects() -> None:
    plain, projecting, whole = figures(tikz(sewdsl.load("sew-resnet-18")))
    assert plain.comment == "SEW Block (c64), (c128), (c256), (c512)"
    assert list(plain.texts.values()) == [*[r"Conv 3$\times$3, $c$", "BN", "IF"] * 2, "$+$"]
    assert ("in", "add1") in plain.joined()
    assert projecting.comment == "SEW Block (c128s2), (c256s2), (c512s2)"
    assert projecting.texts["conv1"] == r"Conv 3$\times$3, $c$, /2"
    assert projecting.texts["conv3"] == r"Conv 1$\times$1, $c$, /2"
    assert ("in", "add1") not in projecting.joined()
    assert ("if3", "add1") in projecting.joined()
    assert whole.texts["block1"] == "SEW Block (c64)"
    assert whole.copies == [2]


def test_a_copy_that_projects_has_a_picture_though_all_copies_read_the_same() -> None:
    first, others, whole = figures(tikz(sewdsl.load("c4k3-BN-IF-{SEW Bottleneck (c4)}*3-FC2", input="2x8x8")))
    assert first.comment == others.comment == "SEW Bottleneck (c4)"
    assert (first.texts["conv4"], others.texts["conv3"]) == (r"Conv 1$\times$1, 16",) * 2
    assert "conv4" not in others.texts
    assert whole.copies == [3]


@pytest.mark.parametrize(
    ("body", "notes"),
    [
        (
            "c4k3-BN-IF-{SEW Bottleneck (c4)}*3",
            [r"first: shortcut Conv 1$\times$1,\\{}16--BN--IF, reads 4$\times$8$\times$8"],
        ),
        ("c4k3-BN-IF-{SEW Block (c4)}*3", []),
        ("{c4k3-BN-IF}*3", [r"first: reads 2$\times$8$\times$8"]),
        ("{c2k3-BN-IF}*3", []),
        ("{c4k3s2-BN-IF}*2", []),  # each copy gives another shape, which goes without saying
    ],
)
def test_what_differs_in_the_first_copy_is_said_at_the_brace(body: str, notes: list[str]) -> None:
    *_, whole = figures(tikz(sewdsl.load(f"{body}-FC2", input="2x8x8")))
    said = [line for line in whole.lines if "anchor=north east" in line]
    assert [line[line.index("{") + 1 : -2] for line in said] == notes


def test_widths_are_multiples_of_c() -> None:
    _, block, *_ = figures(tikz(sewdsl.load("sew-resnet-50")))
    assert [block.texts[f"conv{i}"].rpartition(", ")[2] for i in (1, 2, 3)] == ["$c$", "$c$", "4$c$"]


def test_own_blocks_are_drawn_with_what_they_call() -> None:
    stage, plain, projecting, odd, whole = figures(tikz(own()))
    assert stage.comment == "Stage (c16), (c32)"
    assert stage.texts == {
        "block1": "SEW Block ($c$)",
        "block2": "SEW Block ($c$)",
        "maxpool1": r"MP 2$\times$2",
    }
    assert [figure.comment for figure in (plain, projecting)] == ["SEW Block (c16), (c32)", "SEW Block (c32)"]
    assert odd.comment == "Odd One (c32), (c64)"
    assert odd.copies == []
    assert [text for name, text in whole.texts.items() if name.startswith("block")] == [
        *("Stage (c16)", "Stage (c32)", "Odd One (c32)", "Odd One (c64)")
    ]
    assert whole.copies == [2, 2, 2]


def test_a_network_that_is_one_call_is_drawn_as_what_it_calls() -> None:
    block, whole = figures(tikz(sewdsl.load("degradation")))
    assert block.comment == "SEW Block (c16)"
    assert whole.texts["conv1"] == r"Conv 5$\times$5, 16, /2"
    assert whole.copies == [4]


def test_blocks_are_distinct_by_their_joins_too() -> None:
    network = sewdsl.load("c4k3-BN-IF-SEW Block (c4, g=IAND)-IF-SEW Block (c4, g=AND)-FC2", input="2x8x8")
    one, other, _ = figures(tikz(network))
    assert (one.comment, other.comment) == ("SEW Block (c4, g=IAND)", "SEW Block (c4, g=AND)")


def test_widths_that_are_no_multiples_are_left_out() -> None:
    text = "sewdsl 1\nblock Odd(c) = c$(c)k1-c$(c+1)k1-c5k1\ninput 2x2x2\nbody Odd (c4)-Odd (c8)"
    block, _ = figures(tikz(own(text)))
    assert [block.texts[f"conv{i}"] for i in (1, 2, 3)] == [rf"Conv 1$\times$1{end}" for end in (", $c$", "", ", 5")]


def test_a_stride_of_one_goes_without_saying() -> None:
    plain, projecting, _ = figures(tikz(sewdsl.load("tdbn-resnet-19")))
    assert plain.comment == "tdBN Block (c128), (c256), (c512)"
    assert projecting.comment == "tdBN Block (c256s2), (c512s2)"


def test_a_block_of_two_joins_has_no_frame() -> None:
    one, two, _ = figures(
        tikz(
            own(
                "sewdsl 1\nblock One = ADD[BN | id]\nblock Two = One-ADD[BN | id]-ADD[BN | id]\n"
                "input 2x2x2\nbody BN-One-BN-Two-BN"
            )
        )
    )
    assert [sum("sew branch" in line for line in figure.lines) for figure in (one, two)] == [1, 0]


def test_a_join_stands_below_the_longer_side() -> None:
    (figure,) = figures(tikz(sewdsl.load("ADD[BN | id]-ADD[IF | BN-BN]", input="2x8x8")))
    first, second = (line.strip() for line in figure.lines if "[sew join" in line)
    assert first == r"\node[sew join, below=8mm of bn1] (add1) {$+$};"
    assert second == r"\node[sew join, anchor=north] (add2) at ([yshift=-8mm]bn3.south -| fork2) {$+$};"


@pytest.mark.parametrize(("steps", "caption"), [(1, "network"), (3, "network, $T=3$")])
def test_time_steps_are_said_where_there_are_several(steps: int, caption: str) -> None:
    (figure,) = figures(tikz(sewdsl.load("FC2", input="3", steps=steps)))
    assert figure.lines[-1].endswith(f"{{{caption}}};")


def test_without_paths_own_blocks_have_names_of_the_text() -> None:
    *blocks, whole = figures(tikz(anonymous(own())))
    comments = ["SEW Block (c16), (c32)", "SEW Block (c32)", "Block A (c32), (c64)"]
    assert [block.comment for block in blocks] == comments
    assert "Block A (c64)" in whole.texts.values()


def test_a_copy_that_projects_has_a_picture_without_paths_too() -> None:
    block = "block P(c) = ADD[c$(c)k3-tdBN-SN-c$(c)k5-tdBN-SN-c$(c)k3-tdBN-SN | id or c$(c)k1-tdBN]"
    text = f"sewdsl 1\n{block}\ninput 2x2x2\nneuron IF\nbody {{P (c4)}}*3"
    first, others, whole = figures(tikz(anonymous(own(text))))
    assert first.comment == others.comment
    assert ("conv4" in first.texts, "conv4" in others.texts, whole.copies) == (True, False, [3])


def test_shapes_are_said_where_they_change_and_not_inside_of_repeats() -> None:
    (_, seven) = figures(tikz(sewdsl.load("7b-net")))
    notes = [re.findall(r"note, right\] \{(.*?)\}.*\((\w+)\);", line) for line in seven.lines]
    assert [note for found in notes for note in found] == [
        (r"32$\times$128$\times$128", "bn1"),
        (r"32$\times$1$\times$1", "fc1"),
    ]
    assert seven.lines[0].strip() == r"\node[sew signal] (in) {Input 2$\times$128$\times$128};"


@pytest.mark.parametrize(
    ("name", "symbol", "negated"),
    [("7b-net", "$+$", set()), ("7b-net-and", r"$\wedge$", set()), ("7b-net-iand", r"$\wedge$", {"iand1"})],
)
def test_joins(name: str, symbol: str, negated: set[str]) -> None:
    block, _ = figures(tikz(sewdsl.load(name)))
    (circle,) = (name for name, style in block.boxes.items() if style == "sew join")
    assert (block.texts[circle], block.negated) == (symbol, negated)


@pytest.mark.parametrize(
    ("name", "signals"),
    [
        ("sew-resnet-18", ["S^l[t]", r"\mathcal{F}^l(S^l[t])", "A^l[t]", "O^l[t]"]),
        ("spiking-resnet-18", ["S^l[t]", r"\mathcal{F}^l(S^l[t])", "O^l[t]"]),
        ("resnet-18", ["X^l", r"\mathcal{F}^l(X^l)", "Y^l"]),
        ("7b-net-plain", ["S^l[t]", "O^l[t]"]),
    ],
)
def test_signals_have_the_papers_names(name: str, signals: list[str]) -> None:
    block, *_ = figures(tikz(sewdsl.load(name)))
    said = re.findall(r"\{\$([^$]*\^l.*?)\$\}", "\n".join(block.lines))
    assert sorted(said) == sorted(signals)


@pytest.mark.parametrize(
    ("text", "shape", "words"),
    [
        ("c4k3x5s2p1d2b1", "2x20x20", [r"Conv 3$\times$5, 4, /2, p1, d2"]),
        ("BN-APk3s2p1-GAP", "2x8x8", ["BN", r"AP 3$\times$3, /2, p1", "GAP"]),
        ("FC20-IF-APk10", "8", ["FC 20", "IF", "AP 10"]),
        ("DP-FC4b0-DP0.25", "8", ["DP", "FC 4, b0", "DP 0.25"]),
    ],
)
def test_words(text: str, shape: str, words: list[str]) -> None:
    (figure,) = figures(tikz(sewdsl.load(text, input=shape)))
    assert list(figure.texts.values()) == words


def test_an_operand_of_a_part_is_the_name_of_a_value() -> None:
    text = (
        "sewdsl 1\ninput 4x4x4\npart Mix[a | b] = CAT[b-c4k1 | a]\nlet u = c4k1\nbody ADD[Mix[u | id] | Mix[id | u]]\n"
    )
    drawn = tikz(sewdsl.read(Source("t", text)).result())
    assert re.search(r"\\node\[sew signal, below=5mm of side1\] \(value1\) \{operand2\};", drawn)
    assert not re.search(r"\\draw\[sew line\] [^;]* \(value1\);", drawn)


def test_an_arc_passes_the_box_of_a_merge() -> None:
    drawn = tikz(sewdsl.load("APPLY(causal=places)[SCORES(heads=4, scale=0.25)[id | id] | id]-GAP", input="8x4x4"))
    (width,) = re.findall(r"minimum width=(\d+)mm", drawn)
    (shift,) = re.findall(r"\(arc1\) at \(\[shift=\{\(([\d.]+)mm", drawn)
    assert float(shift) > int(width) / 2
    assert int(width) > 35


def test_the_number_of_copies_stands_beside_the_shortcut() -> None:
    shifts = []
    for operand in ("{c4k1-BN}*3", "c4k1-BN"):
        drawn = tikz(sewdsl.load(f"ADD[id | {operand}]-GAP", input="4x4x4", neuron="LIF"))
        shifts += re.findall(r"\(side1\) at \(\[xshift=([\d.]+)mm", drawn)
    assert float(shifts[0]) == float(shifts[1]) + 8


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_only_text(name: str) -> None:
    network = own(SMALL)

    def renamed(step: PathStep) -> PathStep:
        return replace(step, label=name, arguments=f"{step.arguments}, {name}") if step.label == "Stage" else step

    other = tuple(replace(node, path=tuple(map(renamed, node.path))) for node in network)
    expected, found = (figures(tikz(one)) for one in (network, replace(network, name=name, nodes=other)))
    assert [figure.edges for figure in found] == [figure.edges for figure in expected]
    assert all("\n" not in figure.comment for figure in found)


@pytest.mark.parametrize("name", ["7b-net", "sew-resnet-50", "own"])
def test_golden(name: str) -> None:
    """The whole text; with UPDATE_GOLDEN=1 in the environment, the file is written again."""
    file, text = GOLDEN / f"{name}.tex", tikz(own() if name == "own" else sewdsl.load(name))
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text, encoding="utf-8", newline="")
    assert text == file.read_text(encoding="utf-8")


def typesets() -> bool:
    """Return whether LaTeX is installed, with the packages for the pictures."""
    finder = shutil.which("kpsewhich")
    if not (shutil.which("pdflatex") and finder):
        return False
    return subprocess.run([finder, "standalone.cls", "tikz.sty"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not typesets(), reason="no LaTeX here")
class TestLatex:
    def pages(self, folder: Path, text: str) -> int:
        """The pages that LaTeX makes of a document, without any warning of what is missing."""
        (folder / "x.tex").write_text(text, encoding="utf-8")
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "x.tex"]
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=300)
        said = done.stdout.decode(errors="replace")
        assert done.returncode == 0, said
        assert "Missing character" not in said
        return int(re.findall(r"Output written on x.pdf \((\d+) page", said)[0])

    @pytest.mark.parametrize(
        "name", ["7b-net-iand", "sew-resnet-50", "resnet-18", "tdbn-resnet-19", "spikformer-ti", "spikedhs-cell"]
    )
    def test_documents(self, tmp_path: Path, name: str) -> None:
        text = tikz(sewdsl.load(name))
        assert self.pages(tmp_path, text) == len(figures(text))

    def test_every_name_in_one_paper(self, tmp_path: Path) -> None:
        small = sewdsl.load("FC2", input="3")
        bodies = [fragment(own()), *(fragment(replace(small, name=name)) for name in HOSTILE)]
        preamble = bodies[0].split("\n")[0].removeprefix("% In the preamble: ")
        source = [r"\documentclass[twocolumn]{article}", preamble, r"\begin{document}", *bodies, latex(own())]
        assert self.pages(tmp_path, "\n\n".join([*source, r"\end{document}"])) > 1
