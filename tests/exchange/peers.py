"""The classes that SpikingJelly 2.0.0 has for shipped networks, other than the ResNets of Fang et al. 2021."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from spikingjelly.activation_based import neuron
from spikingjelly.activation_based.model import (
    masnn,
    maxformer,
    ms_resnet,
    qkformer,
    spike_driven_transformer,
    spikformer,
    spiking_vgg,
)

if TYPE_CHECKING:
    from torch import nn

PEERS: dict[str, Callable[[], nn.Module]] = {
    "ms-resnet-18": ms_resnet.ms_resnet18,
    "ms-resnet-34": ms_resnet.ms_resnet34,
    "max-resnet-18": ms_resnet.max_resnet18,
    "att-ms-resnet-18": masnn.att_ms_resnet18,
    "masnn-dvs-gesture": masnn.masnn_dvs128_gesture,
    "spiking-vgg-11": lambda: spiking_vgg.spiking_vgg11_bn(spiking_neuron=neuron.LIFNode),
    "spiking-vgg-16": lambda: spiking_vgg.spiking_vgg16_bn(spiking_neuron=neuron.LIFNode),
    "spikformer-ti": spikformer.spikformer_ti,
    "spikformer-s": spikformer.spikformer_s,
    "spikformer-8-512": lambda: spikformer.Spikformer(embed_dims=512, num_heads=8, depths=8),
    "spikformer-8-768": lambda: spikformer.Spikformer(embed_dims=768, num_heads=8, depths=8),
    "spikformer-cifar10": spikformer.spikformer_cifar10,
    "qkformer-10-384": qkformer.qkformer_10_384,
    "qkformer-10-768": lambda: qkformer.QKFormer(embed_dims=768, num_heads=(12, 12, 12)),
    "sdt-8-384": spike_driven_transformer.sdt_8_384,
    "sdt-8-512": lambda: spike_driven_transformer.SpikeDrivenTransformer(embed_dims=512, num_heads=8, depths=8),
    "maxformer-10-384": maxformer.maxformer_10_384,
    "maxformer-cifar": maxformer.maxformer_cifar,
}
"""What builds the class of a shipped network, at its size."""
