"""Factors between layers become part of a layer's weights, so that the product is the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sewdsl.exchange.read.draft import OUTPUT, Draft, ScaleOp
from sewdsl.ops.joins import Add
from sewdsl.ops.layers.conv import Conv
from sewdsl.ops.layers.dropout import Dropout
from sewdsl.ops.layers.flatten import Flatten
from sewdsl.ops.layers.linear import Linear
from sewdsl.ops.layers.norms import BatchNorm
from sewdsl.ops.layers.pool import AvgPool, GlobalAvgPool
from sewdsl.ops.layers.scale import Scale

if TYPE_CHECKING:
    import torch
    from torch import Tensor

MAX_SCALE_FEATURES = 4096
"""Features of a linear layer that does nothing but multiply each by a number of its own."""


def absorb_scales(draft: Draft) -> None:
    """Takes the gains out of a draft.

    A factor goes into the weights of the layers before it, through what is linear, if nothing else reads them. Else it
    becomes a layer: of one number above 0 a ``SCALE``, of others a convolution of one weight per channel, or a linear
    layer.

    Raises:
        UnsupportedPart: it would be a linear layer of too many features.
    """
    for index, item in enumerate(draft.items):
        if not isinstance(item.op, ScaleOp):
            continue
        (source,), factor, readers = item.inputs, item.tensors["factor"].double().flatten(), draft.readers()
        places = _places(draft, source, factor, readers)
        if places is None:
            _as_layer(draft, index, factor)
            continue
        for place in places:
            _multiply(draft, place, factor)
        draft.change(index, inputs=())  # it reads nothing any more
        draft.outputs = {name: source if i == index else i for name, i in draft.outputs.items()}
        for reader in set(readers[index]) - {OUTPUT}:
            draft.reconnect(reader, index, source)


def _places(draft: Draft, index: int, factor: Tensor, readers: Sequence[Sequence[int]]) -> list[int] | None:
    """The items whose weights take the factor of what an item gives; None: there are none."""
    item = draft.items[index]
    if len(readers[index]) != 1:
        return None
    if isinstance(item.op, Conv | Linear | BatchNorm):
        return [index]
    if not isinstance(item.op, AvgPool | GlobalAvgPool | Flatten | Dropout | Add):
        return None
    if factor.numel() > 1 and draft.shape(item.inputs[0])[0] != item.output.channels:
        return None
    places: list[int] = []
    for source in item.inputs:
        found = _places(draft, source, factor, readers)
        if found is None:
            return None
        places += found
    return places


def _multiply(draft: Draft, index: int, factor: Tensor) -> None:
    """Multiplies weights and biases, each by the factor of its channel, in its own dtype."""
    tensors = dict(draft.items[index].tensors)
    for name in {"weight", "bias"} & tensors.keys():
        value = tensors[name]
        tensors[name] = (value.double() * factor.reshape(-1, *[1] * (value.ndim - 1))).to(value.dtype)
    draft.change(index, tensors=tensors)


def _shortest(number: float, dtype: torch.dtype) -> float:
    """The number of fewest digits that is the same in a dtype: 0.9, of the 0.8999999762 that float32 has."""
    import torch  # whoever asks only for the size of an input needs none

    tried = (float(f"{number:.{digits}g}") for digits in range(1, 17))
    wanted = torch.tensor(number, dtype=dtype)
    return next((near for near in tried if torch.equal(torch.tensor(near, dtype=dtype), wanted)), number)


def _as_layer(draft: Draft, index: int, factor: Tensor) -> None:
    item = draft.items[index]
    channels, dtype = item.output.channels, item.tensors["factor"].dtype
    numbers = {*factor.tolist()}
    if len(numbers) == 1 and min(numbers) > 0:
        draft.change(index, op=Scale(value=_shortest(numbers.pop(), dtype)), tensors={})
        return
    each = factor.expand(channels).to(dtype)
    if len(item.output.shape) > 1:
        op = Conv(channels=channels, kernel=(1, 1), padding=(0, 0), groups=channels, bias=False)
        draft.change(index, op=op, tensors={"weight": each.reshape(-1, 1, 1, 1).clone()})
    elif channels <= MAX_SCALE_FEATURES:
        draft.change(index, op=Linear(features=channels, bias=False), tensors={"weight": each.diag()})
    else:
        raise item.origin.refusal(f"multiplies {channels} features by numbers that no layer before it can take")
