"""How the branch of a join ends, which decides whether a zero-initialisation can make it neutral (Sec. 3.3)."""

from __future__ import annotations

from dataclasses import dataclass

from sewdsl.ir.network import Network, Node
from sewdsl.ir.op import Activation
from sewdsl.ops.layers.batch_norm import BatchNorm


@dataclass(frozen=True)
class BranchEnd:
    """The last ops of a branch.

    Attributes:
        activation: What ends it, if an activation does.
        norm: The batch norm before the activation, or at the end; None: something else stands there.
        why: Where there is no norm to set: what the branch ends in instead.
    """

    activation: Activation | None
    norm: Node | None
    why: str = ""


def branch_end(network: Network, join: Node) -> BranchEnd:
    """The end of a join's branch; a batch norm that something besides the branch reads does not count."""
    end = join.inputs[0]
    op = network.nodes[end].op
    activation = op if isinstance(op, Activation) else None
    last = network.nodes[end].inputs[0] if activation else end
    norm = network.nodes[last]
    tail = f" and {activation.kind}" if activation else ""
    if not isinstance(norm.op, BatchNorm):
        return BranchEnd(activation, None, f"{norm.op.kind}{tail}")
    if any(len(network.readers[index]) > 1 for index in (end, last)):
        return BranchEnd(activation, None, f"a {norm.op.kind}{tail} that the shortcut reads too")
    return BranchEnd(activation, norm)
