"""Statements of exported Python files that draw the initial weights."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

from sewdsl.exchange.errors import UnsupportedLayer
from sewdsl.ir.init_rules import InitRule
from sewdsl.ir.network import Network
from sewdsl.ir.op import WeightedLayer
from sewdsl.ops.init_rules import Default, Kaiming, Normal
from sewdsl.ops.layers.conv import Conv, TransposedConv
from sewdsl.ops.layers.linear import Linear

KAIMING = (
    "        for module in self.modules():",
    "            if isinstance(module, nn.Conv{axes}d):",
    "                nn.init.kaiming_normal_(",
    "                    module.weight,",
    '                    mode="fan_out",',
    '                    nonlinearity="relu",',
    "                )",
)
"""Initialisation of convolutions (He et al. 2015)."""

NORMAL = (
    "        for module in self.modules():",
    "            if isinstance(module, nn.Conv{axes}d | nn.ConvTranspose{axes}d | nn.Linear):",
    "                nn.init.normal_(module.weight, std={std})",
    "                if module.bias is not None:",
    "                    nn.init.zeros_(module.bias)",
)
"""Initialisation of all layers with weights."""


def init_lines(network: Network) -> Iterator[str]:
    """Yield the statements of the constructor that draw weights, or raise UnsupportedLayer for unwritable rules."""
    settings, rule = network.settings, network.settings.rule
    owners = [node for node in network if node.weights is None]
    layers = [(node, op) for node in owners if isinstance(op := network.op_with_init(node), WeightedLayer)]
    axes = 1 if len(settings.input) == len("CL") else 2
    # The statements for all modules name the classes of PyTorch.
    plain = all(isinstance(op, Conv | TransposedConv | Linear) or not op.takes(rule) for _, op in layers)
    common = not settings.part_init and all(op.init in {None, rule} for _, op in layers)
    if common and plain and isinstance(rule, Default | Kaiming | Normal):
        if isinstance(rule, Kaiming):
            yield from (line.format(axes=axes) for line in KAIMING)
        elif isinstance(rule, Normal):
            yield from (line.format(axes=axes, std=rule.std) for line in NORMAL)
        return
    drawn: list[tuple[InitRule, bool, str]] = []
    for node, op in layers:
        if op.init is not None and not isinstance(op.init, Default):
            # The methods of PyTorch take the first axis as outputs.
            if not op.init.statement or (op.init.by_output and isinstance(op, TransposedConv)):
                raise UnsupportedLayer(node, f"has initial weights by {op.init}, which Python files do not support")
            drawn.append((op.init, op.init.resets_bias and op.connects, node.name))
    # Only consecutive layers share a loop, so that the numbers are drawn in the order of the layers.
    for (each, resets_bias), run in groupby(drawn, key=itemgetter(0, 1)):
        yield "        for name in ("
        yield from (f'            "{name}",' for *_, name in run)
        yield "        ):"
        yield "            module = self.get_submodule(name)"
        yield from (f"            {line}" for line in each.statement.splitlines())
        if resets_bias:
            yield "            if module.bias is not None:"
            yield "                nn.init.zeros_(module.bias)"
