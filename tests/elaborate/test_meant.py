"""Names of other libraries and papers, and misspelt ones: what is offered in their place."""

from __future__ import annotations

import pytest

import sewdsl

WRITTEN = {
    "C32k3": "c32k3",
    "conv32k3": "c32k3",
    "Mpk2": "MPk2",
    "AvgPool2": "APk2",
    "MaxPool2d2": "MPk2",
    "Linear10": "FC10",
    "Dense10": "FC10",
    "BatchNorm2d": "BN",
    "Dropout": "DP",
    "AdaptiveAvgPool2d(1)": "GAP",
    "LIFNode": "LIF",
    "ParametricLIFNode": "PLIF",
    "LayerNorm": "LN",
    "GroupNorm8": "GN8",
    "Upsample2": "UP2",
    "StochasticDepth0.2": "DropPath0.2",
    "Swish": "SiLU",
    "SEWBlok": "SEW Block",
}
SAID = {
    "Conv64": "it is written like c32k3s1",
    "Conv2d(3, 64, 3)": "it is written like c32k3s1",
    "MaxPool2d(2)": "it is written like MPk2s2",
    "VotingLayer": "the voting layer is APk10 after a layer of 10 neurons for each class",
    "ConvTranspose2d": "it is written like tc64k2s2",
    "Deconv64": "it is written like tc64k2s2",
    "Quux": "'sewdsl nets --kinds' lists all names",
}


def help_of(name: str) -> tuple[str, list[str]]:
    """What is said of an unknown name, and what would be written in its place."""
    found = sewdsl.read(f"c4k3-{name}", input="1x8x8").diagnostics
    (said,) = (d for d in found if d.code == "unknown-name")
    return said.help, [edit.text for fix in said.fixes for edit in fix.edits]


@pytest.mark.parametrize(("name", "ours"), WRITTEN.items())
def test_what_can_be_written_in_its_place(name: str, ours: str) -> None:
    assert help_of(name) == (f"did you mean '{ours}'?", [ours])


@pytest.mark.parametrize(("name", "said"), SAID.items())
def test_where_numbers_are_wanting(name: str, said: str) -> None:
    assert help_of(name) == (said, [])


@pytest.mark.parametrize(
    ("call", "meant"),
    [
        ("My Block c32", "My Block (c32)"),
        ("My Block c$(4*c)s2", "My Block (c$(4*c)s2)"),
        ("SEW Block c4", "SEW Block (c4)"),
        ("ADD[BN | id c4k1]", "id or c4k1"),
        ("ADD[BN | id c$(c)k1]", "id or c$(c)k1"),
    ],
)
def test_a_call_in_another_form(call: str, meant: str) -> None:
    text = f"sewdsl 1\ninput 4x8x8\nblock My Block(c) = c$(c)k3\nblock Net(c=4) = {call}\nbody IF-Net\n"
    (said,) = sewdsl.read(text).diagnostics
    assert (said.code, said.help) == ("unknown-name", f"write '{meant}'")
    assert [edit.text for edit in said.fixes[0].edits] == [meant]


@pytest.mark.parametrize("name", ["ResBlock(128)", "ResidualBlock", "res_block"])
def test_a_block_with_a_shortcut_is_one_of_several(name: str) -> None:
    said, written = help_of(name)
    assert said.startswith("the blocks here are SEW Block, Spiking Block, ")
    assert said.endswith(": write e.g. SEW Block (c64)")
    assert written == []
