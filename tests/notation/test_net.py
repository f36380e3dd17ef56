"""The text of a file: what of the header is said, blocks of its own, long lines."""

from __future__ import annotations

from dataclasses import replace

import pytest

import sewdsl
from sewdsl.ir.node import PathStep
from sewdsl.ir.recipe import Recipe
from sewdsl.ir.settings import Expectation
from sewdsl.notation import UnwritableNetwork, write_net
from sewdsl.notation.kind_text import value_text
from sewdsl.ops.losses import TET
from sewdsl.ops.optimizers import Adam
from sewdsl.ops.transforms import NDA, CutMix
from tests.notation.handmade import network
from tests.notation.same import anonymous, compiled, essence
from tests.words import raises


def blocks(text: str) -> list[str]:
    """The definitions of a file and its body, each in one line."""
    return [
        "".join(part.strip() for part in statement.split("\n"))
        for statement in text.replace("\nbody ", "\n\nbody ").split("\n\n")
        if statement.startswith(("block ", "body "))
    ]


def test_header() -> None:
    options = {"join": "IAND", "encode": "direct", "readout": "last", "init": "kaiming zero"}
    made = sewdsl.load("FC3-SN", input="7", steps=3, neuron="LIF(tau=3.0)", set=options)
    assert write_net(made, name="Header").splitlines() == [
        "sewdsl 1",
        "",
        'network "Header"',
        "input   7",
        "steps   3",
        "encode  direct",
        "neuron  LIF(tau=3.0)",
        "join    IAND",
        "init    kaiming zero",
        "readout last",
        "body    FC3-LIF",
    ]


def test_defaults_of_the_header() -> None:
    assert write_net(network(("BN", [0]))).splitlines() == [
        *("sewdsl 1", "", 'network "handmade"', "input   4x8x8", "steps   1", "body    BN")
    ]


def test_recipe() -> None:
    recipe = Recipe(
        on="cifar10-dvs",
        epochs=3,
        T_train=4,
        optimizer=Adam(lr=1e-5),
        loss=TET(weight=0.05),
        label_smoothing=0.1,
        precision="bf16-mixed",
        memory="1.5GB",
        flip=True,
        augment=(NDA(level=1), CutMix()),
        mean=(0.5, 0.25),
    )
    made = network(("BN", [0])).with_recipe(recipe)
    assert write_net(made).split("\n\n")[2].splitlines() == [
        "train on cifar10-dvs {",
        "    epochs 3",
        "    T_train 4",
        "    optimizer Adam(lr=1e-05)",
        "    loss TET(weight=0.05)",
        "    label_smoothing 0.1",
        '    precision "bf16-mixed"',
        '    memory "1.5GB"',
        "    flip on",
        "    augment NDA(level=1) CutMix",
        "    mean 0.5 0.25",
        "}",
    ]
    assert compiled(write_net(made)).recipe == recipe


OWN = {
    # in two widths and strides, once with a projection
    "c4k3-IF-{ADD[c4k3-IF-c4k3 | id]-IF}*2-ADD[c8k3s2-IF-c8k3 | c8k1s2]-IF-ADD[c8k3-IF-c8k3 | id]-IF": [
        "block Block A(c, s=1) = ADD[c$(c)k3s$(s)-IF-c$(c)k3s1 | id or c$(c)k1s$(s)]-IF",
        "body    c4k3s1-IF-{Block A (c4)}*2-Block A (c8s2)-Block A (c8)",
    ],
    # always the same
    "ADD[c4k5-IF | BN]-MPk2-ADD[c4k5-IF | BN]": [
        "block Block A = ADD[c4k5s1-IF | BN]",
        "body    Block A-MPk2s2-Block A",
    ],
    # widths that follow from the first
    "c8k1-ADD[c4k1-IF-c8k3-IF | id]-DP-c16k1-ADD[c8k1-IF-c16k3-IF | id]": [
        "block Block A(c) = ADD[c$(c)k1s1-IF-c$(2*c)k3s1-IF | id]",
        "body    c8k1s1-Block A (c4)-DP-c16k1s1-Block A (c8)",
    ],
    # called once, in place of two that are written
    "c8k3-IF-ADD[c4k3-IF-c4k3-DP-IF | c4k1-DP-IF]-{ADD[c4k3-IF-c4k3-DP-IF | id]-DP}*2": [
        "block Block A = ADD[c4k3s1-IF-c4k3s1-DP-IF | id or c4k1s1-DP-IF]",
        "body    c8k3s1-IF-Block A-{Block A-DP}*2",
    ],
    # not where that would make it longer
    "ADD[id | ADD[id | ADD[id | BN]]]": ["body    ADD[id | ADD[id | ADD[id | BN]]]"],
    # once only, though in several copies
    "{ADD[c4k5-IF | BN]-MPk2}*2": ["body    {ADD[c4k5s1-IF | BN]-MPk2s2}*2"],
    # of the same kinds, but not the same
    "ADD[c4k5-IF | BN]-DP-ADD[c4k5-LIF | BN]": ["body    ADD[c4k5s1-IF | BN]-DP-ADD[c4k5s1-LIF | BN]"],
    # an activation that is of the block, or not: the branch has one
    "ADD[c4k5 | id]-IF-BN-ADD[c4k5 | id]-IF": ["block Block A = ADD[c4k5s1 | id]-IF", "body    Block A-BN-Block A"],
    "ADD[c4k5-IF | id]-LIF-BN-ADD[c4k5-IF | id]": [
        "block Block A = ADD[c4k5s1-IF | id]",
        "body    Block A-LIF-BN-Block A",
    ],
    # two of them, one inside the other: the larger is enough
    "ADD[ADD[BN | IF] | DP]-FC3-ADD[ADD[BN | IF] | DP]": [
        "block Block A = ADD[ADD[BN | IF] | DP]",
        "body    Block A-FC3-Block A",
    ],
}


@pytest.mark.parametrize("text", OWN)
def test_own_blocks(text: str) -> None:
    made = sewdsl.load(text, input="4x16x16")
    assert blocks(write_net(made)) == OWN[text]
    assert essence(compiled(write_net(made))) == essence(made)


def test_names_of_own_blocks() -> None:
    """Blocks keep their names, unless a name is already in use."""
    made = sewdsl.load("tdbn-resnet-19")
    assert write_net(made).split("\n\n")[1].startswith("block tdBN Block(c, s=1) = ADD[\n    c$(c)k3s$(s)-tdBN-LIF-")
    assert "".join(write_net(anonymous(made)).split()) == "".join(
        write_net(made).replace("tdBN Block", "Block A").split()
    )


@pytest.mark.parametrize("name", ["SEW Block", "c4k3", "body", "id", "SN"])
def test_names_that_are_taken(name: str) -> None:
    made = network(("BN", [0]), ("ADD", [1, 0]), ("DP", [2]), ("BN", [3]), ("ADD", [4, 3]))
    path = (PathStep("block", name, "key"),)
    named = made.with_nodes(tuple(replace(node, path=path) for node in made))
    assert blocks(write_net(named)) == ["block Block A = ADD[BN | id]", "body    Block A-DP-Block A"]


def test_names_that_are_made_up() -> None:
    """Generated names differ from all names of the network."""
    made = sewdsl.load("ADD[BN | id]-DP-ADD[BN | id]-BN-ADD[ReLU | id]-DP-ADD[ReLU | id]", input="4x8x8")
    labelled = tuple(
        replace(node, path=(PathStep("block", "Block A", "key"),)) if node.name in {"add3", "add4"} else node
        for node in made
    )
    named = made.with_nodes(labelled)
    same = made.with_nodes(tuple(replace(node, path=(PathStep("block", "Unit", "key"),)) for node in made))
    assert blocks(write_net(same))[:2] == ["block Unit = ADD[BN | id]", "block Block A = ADD[ReLU | id]"]
    assert blocks(write_net(named)) == [
        "block Block B = ADD[BN | id]",
        "block Block A = ADD[ReLU | id]",
        "body    Block B-DP-Block B-BN-Block A-DP-Block A",
    ]
    assert essence(compiled(write_net(named))) == essence(made)


def test_long_lines() -> None:
    """Lines end after a hyphen or within brackets, and have at most 120 characters."""
    branch = "-".join(f"c4k{2 * size + 1}-BN-LIF(tau={size + 2}.5)" for size in range(12))
    text = f"{branch}-ADD[{branch} | {branch}]-{{{branch}-DP}}*2-FC3"
    made = sewdsl.load(text, input="4x32x32")
    written = write_net(made)
    assert max(map(len, written.splitlines())) <= 120
    assert len(written.splitlines()) > 12
    assert "ADD[\n" in written
    assert "\n        {\n            c4k1s1" in written
    assert essence(compiled(written)) == essence(made)


VALUES = {
    "none": None,
    "on": True,
    "3": 3,
    "1e-05": 1e-5,
    "2x3": (2, 3),
    "word": "word",
    '"on"': "on",
    '"IF"': "IF",
    '"two words"': "two words",
    "Adam(lr=0.1)": Adam(lr=0.1),
}


@pytest.mark.parametrize("text", VALUES)
def test_values(text: str) -> None:
    assert value_text(VALUES[text]) == text


@pytest.mark.parametrize("value", ['a "quote"', "two\nlines", {}, (1, -1)])
def test_values_that_cannot_be_written(value: object) -> None:
    with pytest.raises(ValueError, match="cannot"):
        value_text(value)


def test_claims_that_cannot_be_written() -> None:
    made = replace(network(("BN", [0])), expectations=(Expectation("parameters", "8", 'a "quote"', binding=False),))
    with raises(UnwritableNetwork):
        write_net(made)


def test_long_items_without_brackets_stay_in_one_line() -> None:
    terms = " + ".join(f"x*{number}.125" for number in range(1, 21))
    text = write_net(sewdsl.load(f"BN-MAP{{{terms}}}-FC3", input="2x4x4"))
    assert text.endswith(f"body    BN-\n        MAP{{{terms}}}-\n        FC3\n")
    assert write_net(compiled(text)) == text


def test_long_bodies_of_a_swap_are_split() -> None:
    body = "-".join(f"c{width}k1-BN-IF" for width in range(4, 12))
    text = write_net(sewdsl.load(f"Swap[ {body}-c16k1-tdBN ]-GAP-FC3", input="2x4x4"))
    assert "Swap[\n" in text
    assert write_net(compiled(text)) == text
