"""Tensors saved for the backward pass: as they are, packed into a few bits, or recomputed.

Autograd saves a layer's input as it is: four bytes for a spike. Where the plan says so, a value is packed, or not saved
but recomputed. Gradients are the same bits either way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import NamedTuple, final

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from sewdsl.passes.plan import ExecutionPlan
from sewdsl.snn.autocast import autocast_dtype
from sewdsl.snn.hooks import fusible
from sewdsl.snn.kernels import memory_layout
from sewdsl.snn.kernels.packed_bits.packed_tensor import PackedTensor
from sewdsl.snn.layers import Conv1d, Conv2d, Linear


@final
class Recomputed:
    """A value that is recomputed when it is first needed, and then stays as long as anybody may need it.

    Args:
        compute: Gives it, from its operands' values.
    """

    def __init__(self, compute: Callable[[list[Tensor]], Tensor], operands: Sequence[SavedValue]) -> None:
        self._compute, self._operands, self._cast = compute, operands, _casting()
        self._value: Tensor | None = None

    def value(self) -> Tensor:
        """The value, computed under the autocast of the forward pass."""
        if self._value is None:
            with torch.no_grad(), self._cast():
                self._value = self._compute([*map(_restore, self._operands)])
        return self._value


def _casting() -> Callable[[], AbstractContextManager[object]]:
    """The autocast in force, to be entered again."""
    for device in ("cpu", "cuda"):
        dtype = autocast_dtype(device)
        if dtype is not None:
            return partial(torch.autocast, device, dtype)
    return nullcontext


SavedValue = Tensor | PackedTensor | Recomputed
"""A value that can be restored, the same to the bit."""


def _restore(saved: SavedValue) -> Tensor:
    """The value, in its own shape, layout and dtype."""
    if isinstance(saved, Tensor):
        return saved
    return saved.value() if isinstance(saved, Recomputed) else saved.unpack()


class SavedView(NamedTuple):
    """How a layer saw a value that it keeps: under which shape, layout and dtype."""

    kept: SavedValue
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype

    def tensor(self) -> Tensor:
        """What the layer keeps."""
        return _restore(self.kept).to(self.dtype).as_strided(self.shape, self.strides)


_Place = tuple[int, torch.dtype]
"""Address and dtype of a tensor, by which a layer is seen to keep a value."""


def _place(x: Tensor) -> _Place:
    """The place of a tensor; one without numbers, on ``meta``, has no address, but a storage."""
    return x.data_ptr() or x.untyped_storage()._cdata, x.dtype  # noqa: SLF001 -- there is no other name for it


@final
class SavedTensors:
    """What one forward pass keeps of its values; layers that keep the same value share it."""

    def __init__(self, plan: ExecutionPlan) -> None:
        self._bits = plan.bits
        self._known: dict[int, SavedValue] = {}

    @contextmanager
    def reading(self, operands: Mapping[int, Tensor], modules: Sequence[nn.Module]) -> Iterator[None]:
        """While a step runs, what it keeps of values is kept small.

        Args:
            operands: The values that it keeps, by their nodes, as it reads them: time-steps may be one memory.
            modules: What runs. Their parameters are kept as they are.
        """
        kept: dict[_Place, tuple[SavedValue, int]] = {}
        for index, x in operands.items():
            if index in self._known or (_learns(x) and self._packs(index, x)):
                kept[_place(x)] = self.keep(index, x), x.numel()
        if not kept:
            yield
            return
        sizes = _sizes(modules)

        # It lives as long as what is kept, so it must not hold the input.
        def pack(tensor: Tensor) -> Tensor | SavedView:
            found = _find(tensor, kept, sizes)
            if found is None:
                return tensor.detach()  # an operator that keeps its own output would else be kept by it, for ever
            return SavedView(found, tensor.shape, tensor.stride(), tensor.dtype)

        with saved_tensors_hooks(pack, lambda packed: packed.tensor() if isinstance(packed, SavedView) else packed):
            yield

    def keep(self, index: int, x_TN: Tensor) -> SavedValue:
        """What is kept of a value, from now on."""
        if index not in self._known:
            x_TN = (x_TN if x_TN.stride(0) or len(x_TN) == 1 else x_TN[:1]).detach()  # equal time-steps are kept once
            packs = self._packs(index, x_TN)
            self._known[index] = PackedTensor(x_TN, self._bits[index]) if packs else x_TN
        return self._known[index]

    def given(
        self,
        index: int,
        y_TN: Tensor,
        compute: Callable[[list[Tensor]], Tensor],
        operands: Sequence[tuple[int, Tensor]],
    ) -> None:
        """Takes note of a new value that is recomputed, where it can be kept so.

        Args:
            operands: What it is computed from, in order, each with its node.
        """
        if _learns(y_TN) and _dense(y_TN):
            self._known[index] = Recomputed(compute, [self.keep(i, x_TN) for i, x_TN in operands])

    def forget(self, index: int) -> None:
        """Drops a value that will not be read again; the layers that have read it keep it."""
        self._known.pop(index, None)

    def distrust(self, index: int) -> None:
        """Keeps a value as it is: it is not what the plan takes it for."""
        self._bits = {i: width for i, width in self._bits.items() if i != index}

    def _packs(self, index: int, x_TN: Tensor) -> bool:
        """Whether a value is to be kept in bits, and can be."""
        return index in self._bits and _dense(x_TN)


def _find(tensor: Tensor, kept: Mapping[_Place, tuple[SavedValue, int]], sizes: set[int] | None) -> SavedValue | None:
    """The value that a layer keeps: a view of it, or, under autocast, a copy in another dtype."""
    same = kept.get(_place(tensor))
    if same or sizes is None or tensor.numel() in sizes or not autocast_dtype(tensor.device.type):
        return same[0] if same else None
    others = (found for (_, dtype), found in kept.items() if dtype != tensor.dtype)
    copied = [value for value, numbers in others if numbers == tensor.numel()]
    return copied[0] if len(copied) == 1 and tensor.is_floating_point() else None


def _sizes(modules: Sequence[nn.Module]) -> set[int] | None:
    """How many numbers weights and biases have, that a layer keeps in addition to its input.

    None: anything of any size may be kept in addition. What is kept is known only of a layer with weights that only
    we call; a parametrization makes weights of parameters that lie elsewhere.
    """
    layer, *more = modules
    known = any(fusible(layer, kind) for kind in (Conv2d, Conv1d, Linear))
    if more or not known or hasattr(layer, "parametrizations"):
        return None
    parameters = [parameter for module in modules for parameter in module.parameters(recurse=False)]
    return {parameter.numel() for parameter in parameters} | {len(p) for p in parameters if p.ndim}


def _learns(x: Tensor) -> bool:
    """Whether there will be a backward pass of our own; a tensor that represents another is for torch's compiler."""
    return torch.is_grad_enabled() and type(x) is Tensor and not torch.compiler.is_compiling()


def _dense(x_TN: Tensor) -> bool:
    """Whether every number has a place of its own, and there are no gaps; equal time-steps count as one."""
    x_TN = x_TN if x_TN.stride(0) or len(x_TN) == 1 else x_TN[:1]
    return x_TN.numel() > 0 and memory_layout.has_no_gaps(x_TN.shape, x_TN.stride())
