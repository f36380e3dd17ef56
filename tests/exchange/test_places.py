"""Layers for which a scheme has keys. Errors name the layer."""

from __future__ import annotations

import pytest

import sewdsl
from sewdsl.exchange.weights import SCHEMES, WeightsError
from sewdsl.exchange.weights.convert import keys
from sewdsl.ir.network import Network
from sewdsl.ops.neurons.integrate_and_fire import LIF

STEM = "c4k3-BN-IF"
BLOCK = "SEW Block (c4)"
HEAD = "GAP-FC3"
PAIR = "c4k3-BN-IF-c4k3-BN-IF"

RESNETS = {
    f"{STEM}-MPk2s2-{HEAD}": "the network has no residual block of convolutions",
    f"{BLOCK}-{HEAD}": "the network has no convolution before the first block",
    f"{STEM}-{BLOCK}-MPk2s2-{BLOCK}-{HEAD}": "max_pool1 (MPk2s2p0) is between two blocks",
    f"{STEM}-{STEM}-{BLOCK}-{HEAD}": "conv2 (c4k3s1p1d1g1b0) is between the stem and the first block",
    f"MPk2s2-{STEM}-{BLOCK}-{HEAD}": "max_pool1 (MPk2s2p0) is where a convolution is expected",
    f"c4k3b1-BN-IF-{BLOCK}-{HEAD}": "conv1 (c4k3s1p1d1g1b1) must not have a bias",
    f"c4k3b0-IF-{BLOCK}-{HEAD}": "conv1 (c4k3s1p1d1g1b0) has no batch norm after it",
    f"c4k3b0-tdBN(alpha=0.5)-IF-{BLOCK}-{HEAD}": "tdbn1 (tdBN) has an additional factor of 0.5",
    f"{STEM}-ADD[{PAIR}|{PAIR}]-{HEAD}": "shortcut.conv2 (c4k3s1p1d1g1b0) is the second convolution of a projection",
    f"{STEM}-ADD[ADD[{PAIR}|id]|id]-{HEAD}": "branch.add1 (ADD) is not part of a plain sequence of layers",
    f"{STEM}-ADD[MPk3s1p1-{PAIR}|id]-{HEAD}": "branch.max_pool1 (MPk3s1p1) is where a convolution is expected",
    f"{STEM}-ADD[id|{PAIR}]-{HEAD}": "add1 (ADD) has no convolutions in its branch",
    f"{STEM}-{{ADD[{PAIR}|id]-IF}}*1-{HEAD}": "if1 (IF) follows a block whose branch ends with an activation",
    f"{STEM}-{BLOCK}-IF-{HEAD}": "if2 (IF) has no key",
    f"{STEM}-{BLOCK}-GAP": "the network has no linear layer after the last block",
    f"{STEM}-{BLOCK}-{HEAD}-FC2": "fc2 (FC2b1) follows the linear layer",
    f"{STEM}-{BLOCK}-GAP-FC3b0": "fc1 (FC3b0) must have a bias",
    f"{STEM}-{BLOCK}-{STEM}-{HEAD}": "conv2 (c4k3s1p1d1g1b0) has no key",
}
DVS = {
    f"{STEM}-SEW Block (c8)-FC3": "sew_block1.shortcut.conv1 (c8k1s1p0d1g1b0) is a projection",
    f"{STEM}-{BLOCK}": "the network has no linear layer at the end",
    f"{STEM}-{BLOCK}-MPk2s2": "max_pool1 (MPk2s2p0) has no key",
    f"{STEM}-{{ADD[{PAIR}|id]-IF}}*1-FC3": "if1 (IF) follows a block whose branch ends with an activation",
    f"{STEM}-{BLOCK}-IF-FC3": "if2 (IF) is where a convolution is expected",
    f"c4k3-BN-{BLOCK}-FC3": "bn1 (BN) has no activation after it",
    f"{STEM}-{BLOCK}-{HEAD}": "gap1 (GAP) is where a convolution is expected",
    f"{STEM}-{BLOCK}-FC3b0": "fc1 (FC3b0) must have a bias",
}


def load(body: str, neuron: str = "IF") -> Network:
    return sewdsl.load(body, input=(4, 8, 8), neuron=neuron)


def refusal(body: str, scheme: str) -> str:
    with pytest.raises(WeightsError) as caught:
        keys(load(body), SCHEMES[scheme])
    return str(caught.value)


@pytest.mark.parametrize("body", RESNETS)
@pytest.mark.parametrize("scheme", ["authors", "spikingjelly", "torchvision"])
def test_no_resnet(body: str, scheme: str) -> None:
    assert RESNETS[body] in refusal(body, scheme)


@pytest.mark.parametrize("body", DVS)
def test_not_of_the_code_for_dvs(body: str) -> None:
    assert DVS[body] in refusal(body, "authors-dvs")


def test_a_neuron_that_learns_has_no_place_beside_anns() -> None:
    assert "plif1 (PLIF) is learnable, but torchvision has no key" in refusal(
        f"c4k3-BN-PLIF-{BLOCK}-{HEAD}", "torchvision"
    )
    block = "ADD[c4k3-BN|c4k1-BN-PLIF]"
    assert "shortcut.plif1 (PLIF) is learnable" in refusal(f"{STEM}-{block}-{HEAD}", "torchvision")


def test_a_neuron_that_learns_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sewdsl.exchange.weights.schemes.PLIF", LIF)
    assert "plif1 (PLIF) has learnable parameters that no neuron of authors has" in refusal(
        f"c4k3-BN-PLIF-{BLOCK}-{HEAD}", "authors"
    )


@pytest.mark.parametrize("block", [BLOCK, "Spiking Block (c4)", "ADD[c4k3-BN|id]", f"ADD[{PAIR}-c4k1-BN|c4k1-BN]-PLIF"])
@pytest.mark.parametrize("scheme", ["authors", "spikingjelly"])
def test_each_layer_has_keys_of_its_own(scheme: str, block: str) -> None:
    network = load(f"c4k3-BN-SN-APk2s2-{block}-{block}-DP-{HEAD}", neuron="PLIF")
    found = [key for parts in keys(network, SCHEMES[scheme]).values() for key in parts]
    assert len({key.node_key for key in found}) == len({key.scheme_key for key in found}) == len(found)
    assert all(key.like.is_meta for key in found)  # no weights are made to learn their shapes
    assert {key.node_key for key in found} == sewdsl.compile(network).state_dict().keys()


def test_stages_begin_with_projections() -> None:
    network = load(f"{STEM}-{BLOCK}-{BLOCK}-SEW Block (c8)-SEW Block (c8)-SEW Block (c8s2)-{HEAD}")
    places = {
        theirs.split(".conv", maxsplit=1)[0] for theirs in keys(network, SCHEMES["spikingjelly"]) if ".conv" in theirs
    }
    assert places == {"layer1.0", "layer1.1", "layer2.0", "layer2.1", "layer3.0"}


def test_pools_count_in_the_code_for_dvs() -> None:
    found = keys(load(f"{STEM}-MPk2s2-{BLOCK}-Plain Block (c4)-c8k1-BN-IF-Flatten-FC3"), SCHEMES["authors-dvs"])
    assert [name for name, (key,) in found.items() if ".conv" in f".{key.node_key}" and name.endswith("weight")] == [
        "conv.0.0.module.0.weight",
        "conv.2.conv.0.0.module.0.weight",
        "conv.2.conv.1.0.module.0.weight",
        "conv.3.conv.0.0.module.0.weight",
        "conv.3.conv.1.0.module.0.weight",
        "conv.4.0.module.0.weight",
    ]


def test_residual_blocks_in_a_block_count_in_the_code_for_dvs() -> None:
    stage = f"block Stage = {STEM}-ADD[{PAIR}|id]-c4k3-BN"
    found = keys(load(f"sewdsl 1\nsteps 2\n{stage}\nbody Stage-Flatten-FC3\n"), SCHEMES["authors-dvs"])
    assert [name for name in found if name.endswith("module.0.weight")] == [
        "conv.0.conv.0.0.module.0.weight",
        "conv.1.conv.0.0.module.0.weight",
        "conv.1.conv.1.0.module.0.weight",
        "conv.2.conv.0.module.0.weight",
    ]
