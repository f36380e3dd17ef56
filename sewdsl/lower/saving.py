"""What a layer keeps of its input for its gradient, kept small.

Autograd keeps a layer's input as it is: four bytes for a spike. Where the compiler knows that the input is spikes or
small counts, it is kept in a few bits each and comes back, the same to the bit, when the gradient is computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, final

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from sewdsl.snn import kernels
from sewdsl.snn.kernels.bits import Packed
from sewdsl.snn.layers import Conv2d, Linear
from sewdsl.snn.pooling import MaxPool2d

KEEPS = (Conv2d, Linear, MaxPool2d)
"""Layers that keep their input."""


class _Narrow(NamedTuple):
    """Places of maxima, as narrow whole numbers."""

    places: Tensor


@final
class Savings:
    """The packed values of one forward pass; layers that keep the same of a value share it.

    Args:
        bits: In how many bits a value of a node is kept, by the node's index.
    """

    def __init__(self, bits: Mapping[int, int]) -> None:
        self._bits = bits
        self._known: dict[int, dict[Any, Packed]] = {}

    @contextmanager
    def of(self, module: nn.Module, index: int, x_TN: Tensor) -> Iterator[None]:
        """While a layer runs, its input is kept packed.

        Args:
            module: The layer.
            index: The node whose value it reads.
            x_TN: That value.
        """
        if not (index in self._bits and _worthwhile(x_TN) and _keeps(module, x_TN)):
            yield
            return
        size = x_TN.numel()

        def keep(tensor: Tensor) -> Any:  # it lives as long as what is kept, so it must not hold the input
            if tensor.is_floating_point() and tensor.numel() == size:
                return self._packed(index, tensor)
            return _Narrow(tensor.to(torch.int32)) if tensor.dtype is torch.int64 else tensor

        with saved_tensors_hooks(keep, _give_back):
            yield

    def forget(self, index: int) -> None:
        """Drops a value that nobody will read again; the layers that have read it keep it."""
        self._known.pop(index, None)

    def _packed(self, index: int, tensor: Tensor) -> Packed:
        known = self._known.setdefault(index, {})
        key = tensor.dtype, tensor.shape, tensor.stride()
        if key not in known:
            known[key] = Packed(tensor.detach(), self._bits[index])
        return known[key]


def watched(module: nn.Module) -> bool:
    """Whether somebody looks at what a module is given or gives, and may change it."""
    return bool(module._forward_hooks or module._forward_pre_hooks)  # noqa: SLF001 -- torch has no other way to ask


def _keeps(module: nn.Module, x_TN: Tensor) -> bool:
    """Whether a layer keeps its input, and nothing else of its size: not its weights, not what a batch norm makes them.

    Whoever watches it may have something else kept in its place.
    """
    weight = getattr(module, "weight", None)
    others = {weight.numel(), len(weight)} if isinstance(weight, Tensor) else set()
    return isinstance(module, KEEPS) and not watched(module) and x_TN.numel() not in others


def _worthwhile(x_TN: Tensor) -> bool:
    """Whether there is anything to keep, and kernels to pack it."""
    return (
        torch.is_grad_enabled()
        and kernels.large(x_TN)
        and x_TN.device.type == "cpu"
        and type(x_TN) is Tensor  # not one that stands for another while a program is traced
        and not torch.compiler.is_compiling()
        and kernels.fast()
    )


def _give_back(kept: Any) -> Tensor:
    if isinstance(kept, Packed):
        return kept.unpack()
    tensor: Tensor = kept.places.to(torch.int64) if isinstance(kept, _Narrow) else kept
    return tensor
