"""The outline of a file, its folds and the shapes in it."""

from pathlib import Path

import pytest

from sewdsl.compiler import read, shipped_networks
from sewdsl.editing import compile_for_editor
from sewdsl.editing.item_summary import shape_hints
from sewdsl.editing.outline import FoldingRange, folding_ranges, outline
from tests.editing.marked import HEAD

NET = f"""\
{HEAD}# a comment
# of two lines
body c8k3-BN-SN-
     {{SEW Block-MPk2}}*3-FC5  # not alone
expect output 5
train on mnist5k {{
    epochs 3
    optimizer SGD(lr=0.1)
}}
"""


def test_outline() -> None:
    found = outline(compile_for_editor(NET, "x.net"))
    assert [(symbol.name, symbol.detail, symbol.kind) for symbol in found] == [
        ("network", '"A"', "setting"),
        ("input", "2x32x32", "setting"),
        ("steps", "4", "setting"),
        ("neuron", "LIF(tau=3.0)", "setting"),
        ("My Net", "c, s", "block"),
        ("body", "c8k3-BN-SN- {SEW Block-MPk2}*3-FC5", "body"),
        ("output", "5", "figure"),
        ("train", "on mnist5k", "section"),
    ]
    assert [(child.name, child.detail) for child in found[-1].children] == [
        ("epochs", "3"),
        ("optimizer", "SGD(lr=0.1)"),
    ]
    for symbol in found:
        assert symbol.span.start <= symbol.head.start <= symbol.head.end <= symbol.span.end


def test_outline_of_named_values() -> None:
    text = f"{HEAD}block X {{\n    let a = BN\n    give a\n}}\nlet low = c8k3-BN-SN\nbody low-X-FC5\n"
    view = compile_for_editor(text, "x.net")
    block, low, _ = outline(view)[-3:]
    assert [(child.name, child.detail, child.kind) for child in block.children] == [("a", "BN", "value")]
    assert (low.name, low.detail, low.kind) == ("low", "c8k3-BN-SN", "value")
    assert [hint.label for hint in shape_hints(view)] == ["8×32×32", "5"]
    assert FoldingRange(8, 10, comment=False) not in folding_ranges(view)
    begin = HEAD.count("\n") + 1
    assert FoldingRange(begin, begin + 2, comment=False) in folding_ranges(view)


def test_outline_of_a_used_file() -> None:
    (entry,) = (each for each in outline(compile_for_editor(f'{HEAD}use "lib.net"\n', "x.net")) if each.kind == "file")
    assert (entry.name, entry.detail) == ("use", "lib.net")


def test_folds() -> None:
    first = HEAD.count("\n") + 1
    assert folding_ranges(compile_for_editor(NET, "x.net")) == [
        FoldingRange(first + 2, first + 3, comment=False),
        FoldingRange(first + 5, first + 7, comment=False),
        FoldingRange(first, first + 1, comment=True),
    ]


def test_hints() -> None:
    found = shape_hints(compile_for_editor(NET, "x.net"))
    assert [(NET[: hint.offset].rsplit("-", maxsplit=1)[-1], hint.label, hint.tooltip) for hint in found] == [
        ("SN\n# a comment\n# of two lines\nbody c8k3", "8×32×32", "real"),
        ("MPk2", "8×16×16 … 8×4×4", "count 0..4"),
        ("FC5", "5", "real"),
    ]


@pytest.mark.parametrize("name", shipped_networks())
def test_the_last_shape_is_the_output(name: str) -> None:
    path = shipped_networks()[name]
    compilation = read(path)
    found = shape_hints(compile_for_editor(path.read_text(encoding="utf-8"), str(path), path))
    if compilation.network is None:
        assert not found
    else:
        output = compilation.network.nodes[compilation.network.output].output
        assert found[-1].label.split(" … ")[-1] == "×".join(map(str, output.shape))


def test_a_text_without_a_network(tmp_path: Path) -> None:
    assert shape_hints(compile_for_editor("sewdsl 1\n", "x.net", tmp_path / "x.net")) == []
    assert outline(compile_for_editor("", "x.net")) == []
    assert folding_ranges(compile_for_editor("", "x.net")) == []
    assert folding_ranges(compile_for_editor("# too long to be read\n" * 20_000, "x.net")) == []
