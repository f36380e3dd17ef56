"""The shipped networks that NIR can express, for fewer places where that will do."""

from __future__ import annotations

import sewdsl
from sewdsl.ir.network import Network
from tests.effort import representatives
from tests.shipped import LOOPED, SHIPPED, shipped

REFUSED = {f"resnet-{depth}": "relu1 (ReLU) rectifies real values" for depth in (18, 34, 50, 101, 152)} | {
    "lif-net-dvs-gesture": "max_pool1 (MPk4s4p0) takes the maximum of real values",
    **dict.fromkeys(
        ("spikformer-ti", "spikformer-s", "spikformer-8-512", "spikformer-8-768", "spikformer-cifar10"),
        "embed1.max_pool1 (MPk3s2p1) takes the maximum of real values",
    ),
    **dict.fromkeys(
        ("qkformer-10-384", "qkformer-10-768", "sdt-8-384", "sdt-8-512", "spikingresformer-ti"),
        "max_pool1 (MPk3s2p1) takes the maximum of real values",
    ),
    **dict.fromkeys(
        ("maxformer-10-384", "maxformer-cifar"), "stage1.branch.max_pool1 (MPk3s2p1) takes the maximum of real values"
    ),
    "sdt-v2": "repeat2.1.meta_block1.branch.attention1.attn1 (ATTN) has no equivalent in NIR",
    "max-resnet-18": "max_block1.branch.max_pool1 (MPk3s2p1) takes the maximum of real values",
    "masnn-dvs-gesture": "tcsa1.ta1 (TA) needs all time-steps at once",
    "att-ms-resnet-18": "att_ms_block1.branch.csa1.ca1 (CA) needs all time-steps at once",
    "tcja-net": "repeat2.1.tcja1 (TCJA) needs all time-steps at once",
    "tebn-resnet-19": "tebn1 (TEBN) has weights for each time-step",
    "psn-resnet-19": "psn1 (PSN) needs all time-steps at once",
    "psn-sequential-cifar10": "repeat1.1.repeat1.1.psn1 (PSN) needs all time-steps at once",
    "klif-resnet-19": "klif1 (KLIF) has equations that no NIR neuron can express",
    "glif-resnet-19": "glif1 (GLIF) has parameters for each time-step",
    "ilif-resnet-18": "ms_block1.branch.ilif1 (ILIF) has equations that no NIR neuron can express",
    "spiking-unet": "operand2.operand2.operand2.upsample1 (UP2) has no equivalent in NIR",
    "dcgan-generator": "reshape1 (Reshape) makes a feature map of other axes",
    "spiking-mlp-mixer": "repeat1.1.token_mixing1.branch.swap1 (Swap) has no equivalent in NIR",
    "fsvae": "image.reshape1 (Reshape) makes a feature map of other axes",
    "evflow-gru": "e1.down1.relu1 (ReLU) rectifies real values, which no NIR node does",
    "dcls-shd": "reshape1 (Reshape) makes a feature map of other axes",
    "s4d": "repeat1.1.ssm1.branch.s4d1 (S4D) has equations that no NIR neuron can express",
    "spiking-maskformer": "by2.conv_block1.branch.sep_conv1.normcount1 (NormCount) has equations",
    "spikedhs-cell": "first.cell1.cat1 (CAT) has no equivalent in NIR",
    "spiking-densenet-121": "repeat1.1.dense_layer1.cat1 (CAT) has no equivalent in NIR",
}
NAMED_INPUTS = {name for name in SHIPPED if shipped(name).settings.inputs}
"""Networks that are refused without the name of a layer."""
NETWORKS = representatives(set(SHIPPED) - set(REFUSED) - NAMED_INPUTS - LOOPED)
SMALL = {224: "3x32x32", 64: "3x32x32"}
"""The input in place of one of so many rows."""


def small(name: str) -> Network:
    """Return one of ``NETWORKS``."""
    network = sewdsl.load(name)
    size = SMALL.get(network.settings.input[-1])
    return sewdsl.load(name, input=size) if size else network
