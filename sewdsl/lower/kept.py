"""What is kept of a value between a forward pass and its backward: the value, its bits, or how to compute it again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple, Protocol, final

import torch
from torch import Tensor

from sewdsl.snn.kernels.bits import PackedTensor


class SavedValue(Protocol):
    """A value that can be had back, the same to the bit."""

    def value(self) -> Tensor:
        """The value, in its own shape, layout and number format."""


class AsIs(NamedTuple):
    """A value as it is."""

    tensor: Tensor

    def value(self) -> Tensor:
        """The tensor."""
        return self.tensor


class BitPacked(NamedTuple):
    """A value in few bits a number."""

    packed: PackedTensor

    def value(self) -> Tensor:
        """What was packed."""
        return self.packed.unpack()


@final
class Recomputed:
    """A value that is computed again when it is first needed, and then stays as long as anybody may need it.

    Args:
        compute: Gives it, from its operands' values.
        operands: What it is computed from.
    """

    def __init__(self, compute: Callable[[list[Tensor]], Tensor], operands: Sequence[SavedValue]) -> None:
        self._compute, self._operands, self._cast = compute, operands, _casting()
        self._value: Tensor | None = None

    def value(self) -> Tensor:
        """The value, computed under the autocast of the forward pass."""
        if self._value is None:
            with torch.no_grad(), self._cast():
                self._value = self._compute([operand.value() for operand in self._operands])
        return self._value


def _casting() -> Callable[[], AbstractContextManager[object]]:
    """The autocast in force, to be entered again."""
    for device in ("cpu", "cuda"):
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
            return lambda: torch.autocast(device, dtype)
    return nullcontext


class SavedView(NamedTuple):
    """How a layer saw a value that it keeps: under which shape, layout and number format.

    Attributes:
        kept: The value.
        shape: Of what the layer keeps.
        strides: Likewise.
        dtype: Likewise.
    """

    kept: SavedValue
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype

    def tensor(self) -> Tensor:
        """What the layer keeps."""
        return self.kept.value().to(self.dtype).as_strided(self.shape, self.strides)
