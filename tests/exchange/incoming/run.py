"""Outputs of imported networks with their weights."""

from __future__ import annotations

import torch
from torch import Tensor

import sewdsl
from sewdsl.exchange.read.build_network import ImportedNetwork


def given(found: ImportedNetwork, x: Tensor) -> Tensor:
    """The output of each time-step, in the dtype of the input; every tensor has its place."""
    with torch.device("meta"):
        model = sewdsl.compile(found.network, optimize=0)
    assert {key: value.shape for key, value in model.state_dict().items()} == {
        key: value.shape for key, value in found.tensors.items()
    }
    model.load_state_dict(found.tensors, assign=True)
    with torch.no_grad():
        y: Tensor = model.to(x.dtype).eval()(x, return_sequence=True)
    return y


def reads(found: ImportedNetwork, text: str) -> None:
    """Return whether the network equals that of a layer string."""
    wanted = sewdsl.load(text, input=found.network.settings.input)
    ours, theirs = ([(str(node.op), node.inputs) for node in network.nodes[1:]] for network in (found.network, wanted))
    assert ours == theirs
