"""Tensors saved for the backward pass: unchanged, packed into a few bits, or recomputed.

Autograd saves the input of a layer unchanged, with four bytes per spike. The execution plan selects the values that are
packed or recomputed instead. Gradients are bit-identical.
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
    """Value recomputed by a function of its operands on first use, and stored as long as it is referenced."""

    def __init__(self, compute: Callable[[list[Tensor]], Tensor], operands: Sequence[SavedValue]) -> None:
        self._compute, self._operands, self._autocast = compute, operands, _current_autocast()
        self._value: Tensor | None = None

    def value(self) -> Tensor:
        """Return the value, computed under the autocast of the forward pass."""
        if self._value is None:
            # The graph of the forward pass is used for gradients. Recomputation restores values only.
            with torch.no_grad(), self._autocast():
                self._value = self._compute([*map(_restore, self._operands)])
        return self._value


def _current_autocast() -> Callable[[], AbstractContextManager[object]]:
    """Return a factory of contexts with the autocast in force."""
    for device in ("cpu", "cuda"):
        dtype = autocast_dtype(device)
        if dtype is not None:
            return partial(torch.autocast, device, dtype)
    return nullcontext


SavedValue = Tensor | PackedTensor | Recomputed
"""A value that can be restored bit-identically."""


def _restore(saved: SavedValue) -> Tensor:
    """Return the value in its own shape, layout and dtype."""
    if isinstance(saved, Tensor):
        return saved
    return saved.value() if isinstance(saved, Recomputed) else saved.unpack()


class SavedView(NamedTuple):
    """A saved value, with the shape, layout and dtype of a reader."""

    saved: SavedValue
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype

    def tensor(self) -> Tensor:
        """Return the tensor saved by the layer."""
        return _restore(self.saved).to(self.dtype).as_strided(self.shape, self.strides)


_Location = tuple[int, torch.dtype]
"""Address and dtype of a tensor, used to identify saved values."""


def _location(x: Tensor) -> _Location:
    """Return the location of a tensor. On ``meta``, which has no addresses, the storage identifies it."""
    return x.data_ptr() or x.untyped_storage()._cdata, x.dtype  # noqa: SLF001 -- no public equivalent


@final
class SavedTensors:
    """Saved values of one forward pass, shared by all readers."""

    def __init__(self, plan: ExecutionPlan) -> None:
        self._bits = plan.bits
        self._saved: dict[int, SavedValue] = {}

    @contextmanager
    def reading(self, operands: Mapping[int, Tensor], modules: Sequence[nn.Module]) -> Iterator[None]:
        """Return a context in which the operands of a step are saved compressed.

        Args:
            operands: Saved operands by node, as the step reads them. Equal time-steps may share memory.
            modules: Modules of the step. Their parameters are saved unchanged.
        """
        saved_by_location: dict[_Location, tuple[SavedValue, int]] = {}
        for index, x in operands.items():
            if index in self._saved or (_is_recorded(x) and self._is_packed(index, x)):
                saved_by_location[_location(x)] = self.save(index, x), x.numel()
        if not saved_by_location:
            yield
            return
        sizes = _parameter_sizes(modules)

        # The graph references this function, so it must not reference the input.
        def pack(tensor: Tensor) -> Tensor | SavedView:
            saved = _find_saved(tensor, saved_by_location, sizes)
            if saved is None:
                # An operator that saves its own output would otherwise form a reference cycle.
                return tensor.detach()
            return SavedView(saved, tensor.shape, tensor.stride(), tensor.dtype)

        with saved_tensors_hooks(pack, lambda packed: packed.tensor() if isinstance(packed, SavedView) else packed):
            yield

    def save(self, index: int, x_TN: Tensor) -> SavedValue:
        """Return the saved form of a value, and create it on first use."""
        if index not in self._saved:
            # Equal time-steps are saved once.
            x_TN = (x_TN if x_TN.stride(0) or len(x_TN) == 1 else x_TN[:1]).detach()
            is_packed = self._is_packed(index, x_TN)
            self._saved[index] = PackedTensor(x_TN, self._bits[index]) if is_packed else x_TN
        return self._saved[index]

    def add_recomputed(
        self,
        index: int,
        y_TN: Tensor,
        compute: Callable[[list[Tensor]], Tensor],
        operands: Sequence[tuple[int, Tensor]],
    ) -> None:
        """Register a new value as recomputed, if possible, from its operands in order, each with its node."""
        # Views with gaps or overlaps cannot be restored by strides.
        if _is_recorded(y_TN) and _dense(y_TN):
            self._saved[index] = Recomputed(compute, [self.save(i, x_TN) for i, x_TN in operands])

    def drop(self, index: int) -> None:
        """Drop a value without further readers. Earlier readers keep their reference."""
        self._saved.pop(index, None)

    def keep_unpacked(self, index: int) -> None:
        """Disable packing of a value outside its planned range."""
        self._bits = {i: width for i, width in self._bits.items() if i != index}

    def _is_packed(self, index: int, x_TN: Tensor) -> bool:
        """Return whether the plan packs a value and its layout allows it."""
        return index in self._bits and _dense(x_TN)


def _find_saved(
    tensor: Tensor, saved_by_location: Mapping[_Location, tuple[SavedValue, int]], sizes: set[int] | None
) -> SavedValue | None:
    """Return the saved value with a tensor as its view, or, under autocast, as its copy in another dtype."""
    exact = saved_by_location.get(_location(tensor))
    if exact or sizes is None or tensor.numel() in sizes or not autocast_dtype(tensor.device.type):
        return exact[0] if exact else None
    # Autocast copies the input to another dtype, at another address. The copy is identified by its size, if that is
    # unique.
    candidates = (entry for (_, dtype), entry in saved_by_location.items() if dtype != tensor.dtype)
    matches = [value for value, size in candidates if size == tensor.numel()]
    return matches[0] if len(matches) == 1 and tensor.is_floating_point() else None


def _parameter_sizes(modules: Sequence[nn.Module]) -> set[int] | None:
    """Return the sizes of weights and biases, which a layer may save in addition to its input.

    None: tensors of any size may be saved. Saved tensors are only known for layers of sewdsl with weights and without
    hooks.
    """
    layer, *more = modules
    is_fusible = any(fusible(layer, kind) for kind in (Conv2d, Conv1d, Linear))
    # A parametrization computes the weights from parameters in another module.
    if more or not is_fusible or hasattr(layer, "parametrizations"):
        return None
    parameters = [parameter for module in modules for parameter in module.parameters(recurse=False)]
    return {parameter.numel() for parameter in parameters} | {len(p) for p in parameters if p.ndim}


def _is_recorded(x: Tensor) -> bool:
    """Return whether autograd records an eager operation on a tensor.

    Fake tensors and subclasses are left to PyTorch's compiler.
    """
    return torch.is_grad_enabled() and type(x) is Tensor and not torch.compiler.is_compiling()


def _dense(x_TN: Tensor) -> bool:
    """Return whether the elements do not overlap and have no gaps. Equal time-steps count as one."""
    x_TN = x_TN if x_TN.stride(0) or len(x_TN) == 1 else x_TN[:1]
    return x_TN.numel() > 0 and memory_layout.has_no_gaps(x_TN.shape, x_TN.stride())
