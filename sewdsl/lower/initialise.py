"""Initial values: torch's own or Kaiming's, and residual blocks that start as an identity."""

from __future__ import annotations

from torch import nn

from sewdsl.ir.network import Network, Node
from sewdsl.ir.op import Join
from sewdsl.lower.neutral import neutral_current
from sewdsl.ops.branches import branch_end
from sewdsl.snn.layers import Conv2d
from sewdsl.snn.norm import BatchNorm


def initialise(network: Network, model: nn.Module) -> None:
    """Sets the initial values of a freshly built model as the network's settings say.

    Raises:
        ValueError: ``zero_init`` is on, and a join has a branch that no batch norm can make neutral.
    """
    if network.settings.init == "kaiming":
        for module in model.modules():
            if isinstance(module, Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    if network.settings.zero_init:
        for node in network.nodes:
            if isinstance(node.op, Join):
                _make_identity(network, model, node, node.op)


def _make_identity(network: Network, model: nn.Module, node: Node, join: Join) -> None:
    """Sets the batch norm that ends the branch so that g(A, S) = S (Sec. 3.3).

    Weight 0 takes the input out of it; the bias is what makes A neutral: 0 for ADD and IAND, and for AND a current
    that makes the neuron fire at every time-step.
    """
    end = branch_end(network, node)
    norm = model.get_submodule(end.norm.name) if end.norm else None
    if not isinstance(norm, BatchNorm):
        message = (
            f"{node.name}: zero-initialisation needs a branch that ends in BN, or in BN and a neuron, but it ends in "
            f"{end.why}"
        )
        raise ValueError(message)  # noqa: TRY004 -- the network is wrong, not the caller's types
    try:
        bias = neutral_current(end.activation, join.neutral_branch)
    except ValueError as error:
        message = f"{node.name}: {error}"
        raise ValueError(message) from None
    nn.init.zeros_(norm.weight)
    nn.init.constant_(norm.bias, bias)
