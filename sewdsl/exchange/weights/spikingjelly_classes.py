"""Keys of the SpikingJelly 2.0.0 classes after 2021: residual networks, VGGs, attention networks, transformers.

Each reader follows the network from input to output and skips layers without weights that are not part of the class.
It accepts every depth and width that the class allows.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sewdsl.exchange.errors import MissingKeyError, WeightsError
from sewdsl.exchange.weights.sequence_reader import LayerKeys, SequenceReader, standard_keys
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.light_dataclass import dataclass
from sewdsl.ops.attention import Attention
from sewdsl.ops.joins import Add
from sewdsl.ops.layers.attention import TemporalAttention
from sewdsl.ops.layers.conv import Conv
from sewdsl.ops.layers.norms import BatchNorm
from sewdsl.ops.layers.pool import AvgPool, GlobalAvgPool, MaxPool
from sewdsl.ops.layers.reduction import Sum
from sewdsl.ops.layers.scaling import Dropout
from sewdsl.ops.layers.shapes import Flatten
from sewdsl.ops.merges import Product

TWO, THREE = 2, 3


def _read_ms_resnet(reader: SequenceReader, *, attends: bool = False) -> None:
    """Read ``layer2.0.downsample.1.weight``: a stage starts with a projection.

    In branches, neurons come first.

    In an ``AttMSResNet``, branches end with attention, and projections with a stride start with pooling.
    """
    reader.conv_norm("stem.0", "stem.1", bias=False)
    reader.skip(MaxPool)
    stage, block = 1, 0
    while reader.starts(Add):
        # A projection starts a new stage, except in the first block.
        if block and not reader.starts_identity():
            stage, block = stage + 1, 0
        _ms_resnet_block(reader, f"layer{stage}.{block}.", attends=attends)
        block += 1
    if stage not in (THREE, 4):
        node = reader.next
        message = f"the network has {stage} stages of residual blocks, expected 3 or 4"
        raise WeightsError(message) if node is None or block else MissingKeyError(node, "is where an ADD is expected")
    reader.neuron("head_lif")
    reader.head()


def _ms_resnet_block(reader: SequenceReader, within: str, *, attends: bool) -> None:
    branch, shortcut = reader.merge(Add, TWO)
    for half in (1, 2):
        branch.neuron(f"{within}spike{half}")
        branch.conv_norm(f"{within}conv{half}", f"{within}bn{half}", bias=False)
        if half == 1:
            branch.skip(MaxPool)
    if attends:
        branch.attention(f"{within}attention")
    branch.end()
    if shortcut.next is not None:
        first = 0
        # The pool is entry 0 of the downsample container.
        if attends and shortcut.starts(AvgPool):
            shortcut.skip(AvgPool)
            first = 1
        shortcut.conv_norm(f"{within}downsample.{first}", f"{within}downsample.{first + 1}", bias=False)
    shortcut.end()


def _read_masnn(reader: SequenceReader) -> None:
    """Read ``conv_blocks.0.attn.ta.sharedMLP.0.weight``: attention before each neuron."""
    index = 0
    while index == 0 or reader.starts(Conv):
        within = f"conv_blocks.{index}."
        reader.conv_norm(f"{within}conv", f"{within}bn", bias=True)
        reader.skip(AvgPool)
        reader.attention(f"{within}attn")
        reader.neuron(f"{within}cell")
        index += 1
    reader.skip(Flatten)
    for index in range(TWO):
        within = f"fc_blocks.{index}."
        reader.linear(f"{within}linear")
        reader.norm(f"{within}bn")
        node = reader.take("temporal attention", TemporalAttention)
        reader.layer_keys.append(standard_keys(reader.network, node, f"{within}attn"))
        reader.neuron(None)
        reader.neuron(f"{within}cell")
    reader.end()


def _read_vgg(reader: SequenceReader) -> None:
    """Read ``features.4.weight``, ``classifier.3.bias``: numbers count neurons, pools and dropout too."""
    # Like torchvision's VGG, nn.Sequential numbers layers without weights too.
    index = 0
    while index == 0 or reader.starts(Conv, MaxPool):
        if index and reader.starts(MaxPool):
            reader.take("max pooling", MaxPool)
            index += 1
            continue
        reader.conv(f"features.{index}", bias=True)
        if reader.starts(BatchNorm):
            index += 1
            reader.norm(f"features.{index}")
        reader.neuron(f"features.{index + 1}")
        index += 2
    reader.skip(AvgPool, Flatten)
    # Linear layer, activation and dropout take three numbers.
    for index in (0, 3, 6):
        reader.linear(f"classifier.{index}")
        if index != 6:  # noqa: PLR2004 -- the last layer
            reader.neuron(f"classifier.{index + 1}")
            reader.skip(Dropout)
    reader.end()


def _read_spikformer(reader: SequenceReader) -> None:
    """Read ``blocks.0.attn.qkv_conv_bn.0.weight``: one convolution for queries, keys and values."""
    for stage in range(4):
        _spikformer_embed(reader, f"patch_embed.stages.{stage}.")
    # The positional encoding is a residual branch.
    branch = reader.residual()
    _spikformer_embed(branch, "patch_embed.positional_encoding.")
    branch.end()
    block = 0
    while block == 0 or reader.starts(Add):
        within = f"blocks.{block}."
        branch = reader.residual()
        _self_attention(branch, f"{within}attn.")
        branch.end()
        branch = reader.residual()
        for half in (1, 2):
            prefix = f"{within}mlp.fc{half}"
            branch.unit(f"{prefix}.0", f"{prefix}.1", f"{within}mlp.neuron{half}", bias=False, flat=True)
        branch.end()
        block += 1
    reader.head()


def _spikformer_embed(reader: SequenceReader, within: str) -> None:
    reader.unit(f"{within}conv_bn.block.0", f"{within}conv_bn.block.1", f"{within}neuron", bias=False, pool=True)


def _self_attention(reader: SequenceReader, within: str) -> None:
    """Read ``SpikingSelfAttention``, with one convolution for queries, keys and values."""
    for part, operand in enumerate(reader.merge(Attention, THREE)):
        _fused(operand, f"{within}qkv_conv_bn", part, THREE)
        operand.end()
    reader.neuron(f"{within}attn_lif")
    reader.unit(f"{within}proj_conv_bn.0", f"{within}proj_conv_bn.1", f"{within}proj_lif", bias=False, flat=True)


def _fused(reader: SequenceReader, prefix: str, part: int, parts: int) -> None:
    """Read one part of a convolution and batch norm for several projections, and the neuron after it."""
    reader.conv(f"{prefix}.0", bias=False, part=part, parts=parts, flat=True)
    reader.norm(f"{prefix}.1", part, parts)
    reader.neuron(None)


def _read_qkformer(reader: SequenceReader) -> None:
    """Read ``stage1.0.attn.qk_conv_bn.0.weight``: three stages, the first two with query-key attention."""
    reader.unit("patch_embed1.conv1", "patch_embed1.bn1", "patch_embed1.lif1", bias=True, pool=True)
    for stage in (1, 2, 3):
        _qkformer_embed(reader, f"patch_embed{stage}.", 1 + (stage == 1))
        block = 0
        while reader.starts_identity():
            _qkformer_block(reader, f"stage{stage}.{block}.", attends=stage == THREE)
            block += 1
    reader.head()


def _qkformer_embed(reader: SequenceReader, within: str, first: int) -> None:
    branch, shortcut = reader.merge(Add, TWO)
    for index in (first, first + 1):
        names = (f"{within}{layer}{index}" for layer in ("conv", "bn", "lif"))
        branch.unit(*names, bias=True, pool=index == first)
    branch.end()
    shortcut.unit(f"{within}shortcut.0", f"{within}shortcut.1", f"{within}shortcut.2", bias=True)
    shortcut.end()


def _qkformer_block(reader: SequenceReader, within: str, *, attends: bool) -> None:
    branch = reader.residual()
    if attends:
        _self_attention(branch, f"{within}attn.")
    else:
        # Queries and keys are two parts of one convolution. Only the queries are summed.
        for part, operand in enumerate(branch.merge(Product, TWO)):
            _fused(operand, f"{within}attn.qk_conv_bn", part, TWO)
            if part == 0:
                operand.take("sum", Sum)
                operand.neuron(f"{within}attn.attn_lif")
            operand.end()
        names = (f"{within}attn.proj_{layer}" for layer in ("conv_bn.0", "conv_bn.1", "lif"))
        branch.unit(*names, bias=False, flat=True)
    branch.end()
    branch = reader.residual()
    for half in (1, 2):
        names = (f"{within}mlp.{layer}{half}" for layer in ("fc", "bn", "lif"))
        branch.unit(*names, bias=True, flat=True)
    branch.end()


def _membrane_mlp(reader: SequenceReader, within: str) -> None:
    """Read ``_MLP`` or ``_SpatialMLP``: two convolutions, each after a neuron, with an identity shortcut."""
    branch = reader.residual()
    for half in (1, 2):
        branch.neuron(f"{within}lif{half}")
        branch.conv_norm(f"{within}fc{half}", f"{within}bn{half}", bias=True)
    branch.end()


def _read_sdt(reader: SequenceReader) -> None:
    """Read ``blocks.0.attn.q_conv.weight``, ``patch_embed.rpe_bn.bias``: separate queries, keys and values."""
    for stage in range(3):
        within = f"patch_embed.stages.{stage}."
        reader.unit(f"{within}0", f"{within}1", f"{within}2", bias=True)
        reader.skip(MaxPool)
    reader.conv_norm("patch_embed.final_stage.0", "patch_embed.final_stage.1", bias=True)
    reader.skip(MaxPool)
    branch = reader.residual()
    branch.neuron("patch_embed.final_lif")
    branch.conv_norm("patch_embed.rpe_conv", "patch_embed.rpe_bn", bias=False)
    branch.end()
    block = 0
    while block == 0 or reader.starts(Add):
        _sdt_attention(reader, f"blocks.{block}.attn.")
        _membrane_mlp(reader, f"blocks.{block}.mlp.")
        block += 1
    reader.skip(GlobalAvgPool)
    reader.neuron("head_lif")
    reader.head()


def _sdt_attention(reader: SequenceReader, within: str) -> None:
    branch = reader.residual()
    branch.neuron(f"{within}shortcut_lif")
    # q * (sum of k * v): the inner product is the second operand of the outer one.
    query, rest = branch.merge(Product, TWO)
    for operand, letter in zip((query, *rest.merge(Product, TWO)), "qkv", strict=True):
        operand.unit(*(f"{within}{letter}_{layer}" for layer in ("conv", "bn", "lif")), bias=False)
        operand.end()
    rest.take("sum", Sum)
    rest.neuron(f"{within}attn_lif")
    rest.end()
    branch.conv_norm(f"{within}proj_conv", f"{within}proj_bn", bias=True)
    branch.end()


def _read_maxformer(reader: SequenceReader) -> None:
    """Read ``stage1.0.dwconv.weight``: three stages, two of depthwise convolutions and one of attention.

    The CIFAR variant has another stem, no depthwise convolutions in the first stage, and a neuron before its attention.
    """
    cifar = _maxformer_stem(reader)
    for stage in (1, 2, 3):
        if stage > 1:
            _maxformer_embed(reader, f"patch_embed{stage}.", bias=not cifar)
        block = 0
        while reader.starts_identity():
            within = f"stage{stage}.{block}."
            if stage == 1 and cifar:
                _membrane_mlp(reader, within)
            else:
                _maxformer_block(reader, within, attends=stage == THREE, cifar=cifar)
            block += 1
    reader.skip(GlobalAvgPool)
    reader.neuron("head_lif")
    reader.head()


def _maxformer_stem(reader: SequenceReader) -> bool:
    """Read the first embedding, and return whether it is the CIFAR variant."""
    first = reader.next
    # Only the CIFAR variant starts with a convolution without bias.
    if first is not None and isinstance(first.op, Conv) and not first.op.bias:
        reader.conv_norm("patch_embed1.conv", "patch_embed1.bn", bias=False)
        for operand, name in zip(reader.merge(Add, TWO), ("branch", "shortcut"), strict=True):
            operand.neuron(f"patch_embed1.{name}.0")
            operand.conv_norm(f"patch_embed1.{name}.1", f"patch_embed1.{name}.2", bias=False)
            operand.end()
        return True
    reader.unit("patch_embed1.conv1", "patch_embed1.bn1", "patch_embed1.lif1", bias=True)
    branch, shortcut = reader.merge(Add, TWO)
    branch.unit("patch_embed1.conv2", "patch_embed1.bn2", "patch_embed1.lif2", bias=True)
    branch.conv_norm("patch_embed1.conv3", "patch_embed1.bn3", bias=True)
    branch.end()
    shortcut.conv_norm("patch_embed1.shortcut.0", "patch_embed1.shortcut.1", bias=True)
    shortcut.end()
    return False


def _maxformer_embed(reader: SequenceReader, within: str, *, bias: bool) -> None:
    reader.neuron(f"{within}lif1")
    branch, shortcut = reader.merge(Add, TWO)
    branch.unit(f"{within}conv1", f"{within}bn1", f"{within}lif2", bias=bias, pool=True)
    branch.conv_norm(f"{within}conv2", f"{within}bn2", bias=bias)
    branch.end()
    shortcut.conv_norm(f"{within}shortcut.0", f"{within}shortcut.1", bias=bias)
    shortcut.skip(MaxPool)
    shortcut.end()


def _maxformer_block(reader: SequenceReader, within: str, *, attends: bool, cifar: bool) -> None:
    branch = reader.residual()
    if not attends:
        branch.neuron(f"{within}lif")
        branch.conv_norm(f"{within}dwconv", f"{within}bn", bias=True)
    elif cifar:
        branch.neuron(f"{within}attn.input_lif")
        for part, operand in enumerate(branch.merge(Attention, THREE)):
            _fused(operand, f"{within}attn.qkv", part, THREE)
            operand.end()
        branch.neuron(f"{within}attn.attn_lif")
        branch.conv_norm(f"{within}attn.proj.0", f"{within}attn.proj.1", bias=True, flat=True)
    else:
        _self_attention(branch, f"{within}attn.")
    branch.end()
    _membrane_mlp(reader, f"{within}mlp.")


@dataclass(frozen=True)
class SpikingJellyClass:
    """Class of SpikingJelly."""

    name: str
    networks: tuple[str, ...]
    marks: tuple[str, ...]
    """Keys that only this class and its subclasses have."""
    read: Callable[[SequenceReader], None]
    """Reads all layers of a network. Raises WeightsError if the network is not of this class."""

    def layer_keys(
        self, network: Network, activation: Callable[[Node, str | None], list[LayerKeys]]
    ) -> list[LayerKeys]:
        """Return the keys of all layers of a network."""
        reader = SequenceReader.of(network, activation)
        self.read(reader)
        return reader.layer_keys

    def builds(self, network: Network) -> bool:
        """Return whether a network is of this class, apart from the learnable parameters of its neurons."""
        try:
            self.layer_keys(network, lambda _node, _prefix: [])
        except WeightsError:
            return False
        return True


CLASSES = (
    SpikingJellyClass(
        "MSResNet",
        ("ms-resnet-18", "ms-resnet-34", "max-resnet-18"),
        ("stem.0.weight", "layer1.0.conv1.weight"),
        _read_ms_resnet,
    ),
    SpikingJellyClass(
        "AttMSResNet",
        ("att-ms-resnet-18",),
        ("stem.0.weight", "layer1.0.attention.sa.conv.weight"),
        partial(_read_ms_resnet, attends=True),
    ),
    SpikingJellyClass(
        "MASNN", ("masnn-dvs-gesture",), ("conv_blocks.0.conv.weight", "fc_blocks.0.linear.weight"), _read_masnn
    ),
    SpikingJellyClass(
        "SpikingVGG", ("spiking-vgg-11", "spiking-vgg-16"), ("features.0.bias", "classifier.6.weight"), _read_vgg
    ),
    SpikingJellyClass(
        "Spikformer",
        ("spikformer-ti", "spikformer-s", "spikformer-8-512", "spikformer-8-768", "spikformer-cifar10"),
        ("patch_embed.positional_encoding.conv_bn.block.0.weight",),
        _read_spikformer,
    ),
    SpikingJellyClass(
        "QKFormer",
        ("qkformer-10-384", "qkformer-10-768"),
        ("patch_embed1.conv3.weight", "stage1.0.attn.qk_conv_bn.0.weight"),
        _read_qkformer,
    ),
    SpikingJellyClass(
        "SpikeDrivenTransformer", ("sdt-8-384", "sdt-8-512"), ("patch_embed.rpe_conv.weight",), _read_sdt
    ),
    SpikingJellyClass(
        "MaxFormer",
        ("maxformer-10-384", "maxformer-cifar"),
        ("patch_embed1.shortcut.1.weight", "stage2.0.dwconv.weight"),
        _read_maxformer,
    ),
)
