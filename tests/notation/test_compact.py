"""Choice among the layer strings of a network."""

from __future__ import annotations

import pytest

import sewdsl
from sewdsl.notation import compact_text
from tests.notation.same import anonymous

FOLDED = {
    "BN-BN": "BN-BN",  # no shorter as a repeat
    "MPk1-MPk1": "{MPk1s1}*2",
    "c4k3-BN-IF-c4k3-BN-IF-c4k3-BN-IF-FC3": "{c4k3s1-BN-IF}*3-FC3",
    # a repeat inside a repeat, however it was written
    "{c4k3-BN-LIF-c4k3-BN-LIF-c4k3-BN-LIF-MPk1}*2-FC3": "{{c4k3s1-BN-LIF}*3-MPk1s1}*2-FC3",
    # what saves most goes first: not {c4k1}*2-BN-{c4k1-BN}*2
    "c4k1-c4k1-BN-c4k1-BN-c4k1-BN": "c4k1s1-{c4k1s1-BN}*3",
    # a repeat begins with a layer that has weights, wherever that leaves something over
    "c4k3-BN-IF-MPk1-c4k3-BN-IF-MPk1-c4k3-BN-IF": "{c4k3s1-BN-IF-MPk1s1}*2-c4k3s1-BN-IF",
    "c2k3-BN-IF-c4k3-BN-IF-c4k3-BN-IF": "c2k3s1-BN-IF-{c4k3s1-BN-IF}*2",
    # and otherwise as early as can be
    "c4k3-c4k1-IF-c4k3-c4k1-IF-c4k3-FC3": "{c4k3s1-c4k1s1-IF}*2-c4k3s1-FC3",
    # two repeats that meet
    "{c4k3-IF}*3-{c4k3-LIF}*3": "{c4k3s1-IF}*3-{c4k3s1-LIF}*3",
    # what a bias follows from is not said, in the last copy neither
    "BN-c4k3-BN-c4k3-FC3": "{BN-c4k3s1}*2-FC3",
    "BN-c4k3b1-BN-c4k3b1-FC3": "BN-c4k3s1b1-BN-c4k3s1-FC3",
    # in a branch and around
    "ADD[c4k3-IF-c4k3-IF | id]-ADD[c4k3-IF-c4k3-IF | id]": "{ADD[{c4k3s1-IF}*2 | id]}*2",
}


@pytest.mark.parametrize("text", FOLDED)
def test_folded(text: str) -> None:
    assert compact_text(sewdsl.load(text, input="4x16x16")) == FOLDED[text]


WORDS = {
    "c4k3p0d2g2b0-BN": "c4k3s1p0d2g2-BN",
    "c4k3b1-BN": "c4k3s1b1-BN",
    "c4k3b0": "c4k3s1b0",
    "c4k3x5s2x1": "c4k3x5s2x1",
    "MPk3x2": "MPk3x2s3x2",
    "APk4s2p1": "APk4s2p1",
    "DP0.5-DP-DP0-DP0.25": "DP-DP-DP0.0-DP0.25",
    "DP(p=0.00001)": "DP(p=1e-05)",
    "FC4b0-FC12b1-IF-APk3": "FC4b0-FC12-IF-APk3s3",
    "BN(eps=0.001, momentum=0.1)": "BN(eps=0.001)",
    "tdBN(alpha=0.5)-IF(v_threshold=0.5)": "tdBN(alpha=0.5)-IF(v_threshold=0.5)",
    "tdBN(v_threshold=0.5)-IF(v_threshold=0.5)": "tdBN-IF(v_threshold=0.5)",
    "tdBN(v_threshold=0.5)-IF": "tdBN(v_threshold=0.5)-IF",
    "LIF(tau=3.0)-LIF(tau=2.0, v_reset=none)": "LIF(tau=3.0)-LIF(v_reset=none)",
    "PLIF(v_reset=-0.5, detach_reset=off)": "PLIF(v_reset=-0.5, detach_reset=off)",
    "IF(surrogate=ATan(alpha=3.0, scale=1.0))-IF(surrogate=Sigmoid)": (
        "IF(surrogate=ATan(alpha=3.0))-IF(surrogate=Sigmoid)"
    ),
}


@pytest.mark.parametrize("text", WORDS)
def test_arguments(text: str) -> None:
    assert compact_text(sewdsl.load(text, input="4x16x16")) == WORDS[text]


NEURONS = {
    ("PLIF(tau=3.0)", "SN-PLIF-PLIF(tau=3.0)-LIF"): "{PLIF}*3-LIF",
    ("PLIF(tau=3.0)", "PLIF(tau=2.0)-LIF(tau=3.0)"): "PLIF(tau=2.0)-LIF(tau=3.0)",
    (None, "PLIF(tau=3.0)-SN"): "{PLIF(tau=3.0)}*2",
    ("IF", "LIF-SEW Block-PLIF-SEW Block (SN=LIF)"): "LIF-SEW Block (c4)-PLIF-SEW Block (c4, SN=LIF)",
    (None, "LIF-SEW Block-PLIF-SEW Block (SN=LIF)"): "LIF-SEW Block (c4)-PLIF-SEW Block (c4, SN=LIF)",
    # the same join, where SN means something else before it
    (None, "LIF-SEW Block (SN=IF)-SEW Block (SN=IF)"): "LIF-SEW Block (c4, SN=IF)-SEW Block (c4)",
    (None, "IF-ADD[BN-LIF | SEW Block]-SEW Block"): "IF-ADD[BN-LIF | SEW Block (c4)]-SEW Block (c4)",
}


@pytest.mark.parametrize("case", NEURONS)
def test_neurons_of_the_header(case: tuple[str | None, str]) -> None:
    neuron, text = case
    assert compact_text(sewdsl.load(text, input="4x8x8", neuron=neuron)) == NEURONS[case]


BLOCKS = {
    # what is known by the names of the paper
    "IF-ADD[c4k3-BN-IF-c4k3-BN-IF | id]": "IF-SEW Block (c4)",
    "IF-ADD[c4k3s2-BN-IF-c4k3-BN-IF | c4k1s2-BN-IF]": "IF-SEW Block (c4s2)",
    "IF-ADD[c6k3-BN-IF-c6k3-BN-IF | c6k1-BN-IF]": "IF-SEW Block (c6)",
    "IF-IAND[c4k3-BN-IF-c4k3-BN-IF | id]": "IF-SEW Block (c4, g=IAND)",
    "IF-ADD[c4k3-BN-LIF-c4k3-BN-LIF | id]": "IF-SEW Block (c4, SN=LIF)",
    "IF-AND[c4k3-BN-LIF(tau=3.0)-c4k3-BN-LIF(tau=3.0) | id]": "IF-SEW Block (c4, g=AND, SN=LIF(tau=3.0))",
    "IF-ADD[c4k3-BN-IF-c4k3-BN | id]-IF": "IF-Spiking Block (c4)",
    "IF-ADD[c4k3s2-BN-IF-c4k3-BN | c4k1s2-BN]-IF": "IF-Spiking Block (c4s2)",
    "ReLU-ADD[c4k3-BN-ReLU-c4k3-BN | id]-ReLU": "ReLU-Basic Block (c4)",
    "ReLU-ADD[c4k3-BN-ReLU-c4k3-BN-ReLU | id]": "ReLU-RBA Block (c4)",
    "ReLU-ADD[c1k1-BN-ReLU-c1k3-BN-ReLU-c4k1-BN | id]-ReLU": "ReLU-Bottleneck(c1)",
    "IF-ADD[c2k1-BN-IF-c2k3-BN-IF-c8k1-BN-IF | c8k1-BN-IF]": "IF-SEW Bottleneck (c2)",
    "IF-c4k3-BN-IF-c4k3-BN-IF-DP": "IF-{c4k3s1-BN-IF}*2-DP",
    "LIF-c4k3s2-BN-LIF-c4k3-BN-LIF": "LIF-c4k3s2-BN-LIF-c4k3s1-BN-LIF",
    # and what only looks like it
    "IF-ADD[c4k3-BN-IF-c4k3-BN-LIF | id]": "IF-ADD[c4k3s1-BN-IF-c4k3s1-BN-LIF | id]",
    "IF-ADD[id | c4k3-BN-IF-c4k3-BN-IF]": "IF-ADD[id | {c4k3s1-BN-IF}*2]",
    "IF-ADD[c4k3-BN-IF-c4k3-BN-IF | c4k1-BN-IF]": "IF-ADD[{c4k3s1-BN-IF}*2 | c4k1s1-BN-IF]",
    "IF-ADD[c4k3-BN-IF-c4k3b1-BN-IF | id]": "IF-ADD[c4k3s1-BN-IF-c4k3s1b1-BN-IF | id]",
    "IF-ADD[c4k3-BN-IF-c4k3-BN(eps=0.1)-IF | id]": "IF-ADD[c4k3s1-BN-IF-c4k3s1-BN(eps=0.1)-IF | id]",
    "IF-ADD[c4k5-BN-IF-c4k3-BN-IF | id]": "IF-ADD[c4k5s1-BN-IF-c4k3s1-BN-IF | id]",
    # the same join, where a projection is needed and where it is not
    "c6k3-IF-ADD[c4k3-BN-IF-c4k3-BN-IF | c4k1-BN-IF]-ADD[c4k3-BN-IF-c4k3-BN-IF | c4k1-BN-IF]": (
        "c6k3s1-IF-SEW Block (c4)-ADD[{c4k3s1-BN-IF}*2 | c4k1s1-BN-IF]"
    ),
    # inside of others
    "IF-ADD[SEW Block-BN | SEW Block]": "IF-ADD[SEW Block (c4)-BN | SEW Block (c4)]",
}


@pytest.mark.parametrize("text", BLOCKS)
def test_blocks(text: str) -> None:
    assert compact_text(sewdsl.load(text, input="4x16x16")) == BLOCKS[text]


PLAIN = {
    # no call: stages of a plain network are written alike, however many layers they have
    "PLIF-{c8k3-BN-PLIF}*2-MPk2-{c16k3-BN-PLIF}*2-MPk2-{c32k3-BN-PLIF}*3": (
        "PLIF-{c8k3s1-BN-PLIF}*2-MPk2s2-{c16k3s1-BN-PLIF}*2-MPk2s2-{c32k3s1-BN-PLIF}*3"
    ),
    # calls
    "LIF-Plain Block (c4s2)": "LIF-Plain Block (c4s2)",
    "IF-Plain Block (c4)": "IF-Plain Block (c4)",
    "IF-{Plain Block (c4)}*3-DP": "IF-{Plain Block (c4)}*3-DP",
    "IF-Plain Block (c4, SN=LIF)": "IF-Plain Block (c4, SN=LIF)",
    "IF-ADD[Plain Block | id]-Plain Block": "IF-SEW Block (c4)-Plain Block (c4)",
    "IF-ADD[DP-Plain Block | Plain Block]": "IF-ADD[DP-Plain Block (c4) | Plain Block (c4)]",
    # a call, and the same layers in full
    "IF-Plain Block (c8)-MPk2-c8k3-BN-IF-c8k3-BN-IF": "IF-Plain Block (c8)-MPk2s2-Plain Block (c8)",
    "IF-c8k3-BN-IF-c8k3-BN-IF-DP-Plain Block (c8)": "IF-Plain Block (c8)-DP-Plain Block (c8)",
}


@pytest.mark.parametrize("text", PLAIN)
def test_a_block_without_a_join_is_one_that_the_text_calls(text: str) -> None:
    network = sewdsl.load(text, input="4x16x16")
    assert compact_text(network) == PLAIN[text]
    assert "Plain" not in compact_text(anonymous(network))


@pytest.mark.parametrize("join", ["ADD", "IAND"])
def test_the_join_of_the_header_is_not_said(join: str) -> None:
    network = sewdsl.load("IF-SEW Block-IF-SEW Block (g=AND)", input="4x8x8", set={"join": join})
    assert compact_text(network) == "IF-SEW Block (c4)-IF-SEW Block (c4, g=AND)"
