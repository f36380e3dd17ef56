"""Keys of SpikingJelly's classes after 2021: those of the class itself, both ways; what is said where none fit."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import sewdsl
from sewdsl.exchange.weights import SCHEMES, WeightsError, detect_schemes, to_node_paths, to_scheme_keys
from sewdsl.exchange.weights.convert import keys
from sewdsl.exchange.weights.spikingjelly_classes import CLASSES
from sewdsl.ir.network import Network
from tests.exchange.peers import PEERS
from tests.words import raises

THEIRS = SCHEMES["spikingjelly"]
TINY = {
    "MSResNet": "c4k3-BN-MS Block (c8)-MS Block-MS Block (c8s2)-MS Block (c4s2)-SN-GAP-FC3",
    "AttMSResNet": "c8k3-BN-ADD[SN-c8k3s2-BN-SN-c8k3-BN-CA(r=2)-SA-ReLU|APk2-c8k1-BN]-"
    "{ADD[SN-c4k3-BN-SN-c4k3-BN-CA(r=2)-SA-ReLU|c4k1-BN]}*2-SN-GAP-DP-FC3",
    "MASNN": "c8k3b1-BN-TA(r=2)-CA(r=2)-SA-ReLU-SN-FC5-BN-TA(r=2)-ReLU-SN-FC3-BN-TA(r=2)-ReLU-SN",
    "SpikingVGG": "c4k3b1-BN-SN-MPk2s2-c4k3b1-SN-FC5-SN-DP-FC5-SN-DP-FC3",
    "Spikformer": "{c8k3-BN-SN}*4-ADD[c8k3-BN-SN|id]-{Spikformer Block (heads=2)}*2-GAP-FC3",
    "QKFormer": "c4k3b1-BN-SN-{ADD[c8k3b1-BN-SN-c8k3b1-BN-SN|c8k1b1-BN-SN]-ADD[QK Token Attention (heads=2)|id]-"
    "ADD[c8k1b1-BN-SN-c8k1b1-BN-SN|id]}*2-ADD[c8k3b1-BN-SN-c8k3b1-BN-SN|c8k1b1-BN-SN]-"
    "ADD[Spiking Self Attention (heads=2)|id]-ADD[c8k1b1-BN-SN-c8k1b1-BN-SN|id]-GAP-FC3",
    "SpikeDrivenTransformer": "{c4k3b1-BN-SN}*3-c8k3b1-BN-ADD[SN-c8k3-BN|id]-Spike Driven Attention-"
    "ADD[SN-c16k1b1-BN-SN-c8k1b1-BN|id]-GAP-SN-FC3",
    "MaxFormer": "c4k3b1-BN-SN-ADD[c8k3b1-BN-SN-c8k3b1-BN|c8k1b1-BN]-{SN-ADD[c8k3b1-BN-SN-c8k3b1-BN|c8k1b1-BN]-"
    "ADD[Spiking Self Attention (heads=2)|id]-ADD[SN-c8k1b1-BN-SN-c8k1b1-BN|id]}*2-GAP-SN-FC3",
}
"""A small network of each class; the last two stages of the last one both attend, which its class has no place for."""
TINY["MaxFormer"] = TINY["MaxFormer"].replace(
    "{SN-ADD[c8k3b1-BN-SN-c8k3b1-BN|c8k1b1-BN]-ADD[Spiking Self Attention (heads=2)|id]-",
    "SN-ADD[c8k3b1-BN-SN-c8k3b1-BN|c8k1b1-BN]-ADD[SN-c8k3g8b1-BN|id]-ADD[SN-c8k1b1-BN-SN-c8k1b1-BN|id]-"
    "SN-ADD[c8k3b1-BN-SN-c8k3b1-BN|c8k1b1-BN]-{ADD[Spiking Self Attention (heads=2)|id]-",
)


def tiny(name: str, neuron: str = "LIF") -> Network:
    return sewdsl.load(TINY[name], input=(2, 8, 8), steps=4, neuron=neuron)


def weights(network: Network) -> dict[str, Tensor]:
    return sewdsl.compile(network, seed=0).state_dict()


@pytest.mark.parametrize("name", PEERS)
def test_keys_and_shapes_are_those_of_the_class(name: str) -> None:
    with torch.device("meta"):
        theirs = PEERS[name]().state_dict()
    found = {key: parts[0].full_shape for key, parts in keys(sewdsl.load(name), THEIRS).items()}
    assert found == {key: tuple(value.shape) for key, value in theirs.items()}


def test_every_shipped_network_of_a_class_has_a_peer() -> None:
    assert sorted(name for known in CLASSES for name in known.networks) == sorted(PEERS)


@pytest.mark.parametrize("name", TINY)
def test_round_trip(name: str) -> None:
    network = tiny(name)
    ours = weights(network)
    theirs = to_scheme_keys(ours, network, THEIRS)
    assert sum(value.numel() for value in theirs.values()) <= sum(value.numel() for value in ours.values())
    assert THEIRS in detect_schemes(theirs, network)
    back, notes = to_node_paths(theirs, network, THEIRS)
    assert notes == []
    assert back.keys() == ours.keys()
    assert all(back[key].shape == ours[key].shape and torch.equal(back[key], ours[key]) for key in ours)
    assert [known.name for known in CLASSES if known.builds(network)] == [name]


@pytest.mark.parametrize("name", ["MSResNet", "SpikingVGG", "MASNN", "MaxFormer"])
def test_neurons_that_learn_have_places(name: str) -> None:
    network = tiny(name, "PLIF") if name != "MaxFormer" else tiny(name)
    found = [key for key in keys(network, THEIRS) if key.endswith(".w")]
    assert len(found) == len([key for key in weights(network) if key.endswith(".w")])


def test_parallel_neurons_have_the_keys_of_theirs() -> None:
    network = tiny("MSResNet", "PSN")
    found = {key: parts[0].full_shape for key, parts in keys(network, THEIRS).items() if "head_lif" in key}
    assert found == {"head_lif.weight": (4, 4), "head_lif.bias": (4, 1)}


def test_one_neuron_for_several_projections_cannot_learn() -> None:
    with raises(WeightsError):
        keys(tiny("Spikformer", "PLIF"), THEIRS)


def test_counters_of_a_convolution_that_is_one_there() -> None:
    network = tiny("Spikformer")
    ours = weights(network)
    key = next(key for key in ours if key.endswith("k.bn1.num_batches_tracked"))
    with raises(WeightsError):
        to_scheme_keys(ours | {key: torch.tensor(7)}, network, THEIRS)


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        (
            "MSResNet",
            "-MS Block (c4s2)",
            "",
            "as MSResNet: the network has 2 stages of residual blocks, expected 3 or 4",
        ),
        ("MSResNet", "SN-GAP", "GAP", "as MSResNet: gap1 (GAP) is where a neuron is expected"),
        ("SpikingVGG", "c4k3b1-SN", "c4k3b0-SN", "as SpikingVGG: conv2 (c4k3s1p1d1g1b0) must have a bias"),
        ("SpikingVGG", "-DP-FC3", "", "as SpikingVGG: if4 (IF) has no linear layer after it"),
        (
            "Spikformer",
            "Block (heads=2)}*2-",
            "Block (heads=2)}*2-c8k1-BN-SN-",
            "as Spikformer: conv1 (c8k1s1p0d1g1b0) is where a linear layer is expected",
        ),
        (
            "Spikformer",
            "ADD[c8k3-BN-SN|id]",
            "ADD[c8k3-BN-SN|c8k1]",
            "as Spikformer: shortcut.conv1 (c8k1s1p0d1g1b1) is not expected after",
        ),
        ("SpikeDrivenTransformer", "c16k1b1", "c16k3b1", ""),
        ("MASNN", "SA-ReLU-SN-FC5", "SA-SN-FC5", "as MASNN: fc1 (FC5b1) is where a neuron is expected"),
        ("MaxFormer", "GAP-SN-FC3", "GAP-SN-FC3b0", "as MaxFormer: fc1 (FC3b0) must have a bias"),
    ],
)
def test_what_is_none_of_them(name: str, old: str, new: str, said: str) -> None:
    assert old in TINY[name]
    network = sewdsl.load(TINY[name].replace(old, new), input=(2, 8, 8), steps=4, neuron="IF")
    if said:
        with pytest.raises(WeightsError) as caught:
            keys(network, THEIRS)
        assert said in str(caught.value)
    else:  # a kernel is a shape: any will do where theirs is a convolution of maps
        assert keys(network, THEIRS)


def test_missing_and_foreign_keys_are_named() -> None:
    network = tiny("Spikformer")
    theirs = to_scheme_keys(weights(network), network, THEIRS)
    del theirs["blocks.1.attn.qkv_conv_bn.0.weight"]
    theirs["blocks.2.attn.attn_lif.w"] = torch.zeros(())
    theirs["head.bias"] = torch.zeros(4)
    with pytest.raises(WeightsError) as caught:
        to_node_paths(theirs, network, THEIRS)
    said = str(caught.value)
    for letter in "qkv":
        ours = f"repeat2.2.spikformer_block1.branch.spiking_self_attention1.{letter}.conv1.weight"
        assert f"missing: blocks.1.attn.qkv_conv_bn.0.weight ({ours} in sewdsl)" in said
    assert "unexpected: blocks.2.attn.attn_lif.w" in said
    assert "head.bias has shape [4], but fc1 (FC3b1) requires [3]" in said


def test_weights_of_another_network_of_the_class() -> None:
    with torch.device("meta"):
        theirs = PEERS["spikformer-s"]().state_dict()
    with pytest.raises(
        WeightsError,
        match=r"^.*:\n  the keys belong to SpikingJelly's Spikformer and fit another .*; pass --net spikformer-s\n",
    ):
        to_node_paths(theirs, sewdsl.load("spikformer-ti"), THEIRS)


def test_weights_of_another_class() -> None:
    network = tiny("QKFormer")
    theirs = to_scheme_keys(weights(network), network, THEIRS)
    with pytest.raises(
        WeightsError, match=r"SpikingJelly's QKFormer; its shipped networks are qkformer-10-384, qkformer-10-768\Z"
    ):
        detect_schemes(theirs, sewdsl.load("7b-net"))
