"""The mode in which a network is looked at that has not been trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sewdsl.lower import SpikingNetwork


def set_untrained_mode(model: SpikingNetwork) -> SpikingNetwork:
    """Puts a network into training mode, since batch norm has no statistics yet but each batch's; nothing is dropped.

    Returns:
        The network itself.
    """
    model.train()
    for name in active_dropouts(model):
        model.get_submodule(name).eval()
    return model


def active_dropouts(model: SpikingNetwork) -> Iterator[str]:
    """Names of the nodes that do something else than in evaluation, since their modules are in training mode."""
    for node in model.network.nodes[1:]:
        if node.op.in_evaluation() != node.op and model.get_submodule(node.name).training:
            yield node.name
