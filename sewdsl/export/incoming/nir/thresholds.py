"""What a ``Threshold`` of spikes or counts stands for: a join, a max pooling, or nothing at all."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

from sewdsl.export.incoming.draft import Draft
from sewdsl.export.incoming.nir.graph import Primitive
from sewdsl.export.incoming.nir.layers import window
from sewdsl.export.incoming.nir.sums import OperandSums
from sewdsl.ir.op import Join
from sewdsl.ops import catalogue, plugins
from sewdsl.ops.layers.max_pool import MaxPool

BITS = (0, 1)


def threshold(draft: Draft, node: Primitive, nodes: Mapping[str, Primitive], sums: OperandSums) -> int:
    """The item that gives what a threshold gives.

    Raises:
        PartRefused: it is none of these.
    """
    above = node.number("threshold")
    if len(node.reads) == 1:
        before = nodes[node.reads[0]]
        if before.kind == "SumPool2d" and 0 <= above < 1 and _binary(draft, pooled := sums.of(before.reads)):
            return draft.add(window(MaxPool, before), (pooled,), node.origin)
        if before.kind not in {"SumPool2d", "Scale"} and 0 <= above < 1 and _binary(draft, same := sums.of(node.reads)):
            return same
    if len(node.reads) == 2:  # noqa: PLR2004 -- branch and shortcut
        (a, sign_a), (b, sign_b) = (_signed(nodes[name], sums) for name in node.reads)
        table = {(x, y): int(sign_a * x + sign_b * y > above) for x, y in product(BITS, BITS)}
        if _binary(draft, a) and _binary(draft, b):
            for join in _joins():
                for branch, identity, flipped in ((a, b, False), (b, a, True)):
                    if all(_of(join, *(pair[::-1] if flipped else pair)) == given for pair, given in table.items()):
                        return draft.add(join, (branch, identity), node.origin)
    raise node.origin.refusal(
        f"is above {above:g} for real values, or for no join and no pooling of spikes, and the language has no neuron "
        "without memory"
    )


def _binary(draft: Draft, index: int) -> bool:
    return draft.items[index].output.values.binary


def _signed(node: Primitive, sums: OperandSums) -> tuple[int, int]:
    """What one operand gives, and the sign in front of it."""
    if node.kind == "Scale" and node.number("scale") == -1:
        return sums.of(node.reads), -1
    return sums.of((node.name,)), 1


def _of(join: Join, branch: int, identity: int) -> int:
    """What a join gives for one spike or none of each; joins are plain arithmetic, for numbers as for tensors."""
    return join.combine(branch=branch, identity=identity)  # type: ignore[arg-type, return-value]


def _joins() -> list[Join]:
    """All joins without arguments, those of other packages too."""
    plugins()
    kinds = [kind for kind in catalogue().values() if issubclass(kind, Join) and not kind.model_fields]
    return [kind() for kind in kinds]
