"""Neuromorphic data augmentation, ``NDA``."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

from pydantic import Field

from sewdsl.ir.kind import Positive
from sewdsl.ir.recipe import SampleTransform

if TYPE_CHECKING:
    from torch import Tensor


class NDA(SampleTransform, kind="NDA"):
    """Rolls, turns or covers frames of events, all time-steps of a sample alike.

    In a file: ``augment NDA``, usually with ``flip on``. Of these, ``ops`` are drawn::

        roll    by up to 2 · level + 1 pixels each way; what leaves comes in again opposite
        rotate  by up to 15 · level degrees each way, to the nearest pixel
        cutout  a square of 8 · level pixels is 0, its middle anywhere

    Source: Li et al. 2022, Neuromorphic Data Augmentation for Training Spiking Neural Networks; the policy M = ops,
    N = level that training code for CIFAR10-DVS has, with M = 1 and N = 2.

    Attributes:
        ops: How many, one after another; the same one may come again, >= 1.
        level: How much, >= 1.
    """

    ops: Positive = 1
    level: int = Field(default=2, ge=1, le=12)

    def build(self, library: ModuleType) -> Any:
        """As a function of a sample ``[T, C, H, W]``."""
        reach, side = 2 * self.level + 1, 8 * self.level
        turn = library.RandomRotation(15 * self.level)

        def change(x: Tensor) -> Tensor:
            for _ in range(self.ops):
                highs = (3, 2 * reach + 1, 2 * reach + 1, *x.shape[-2:])
                shares = x.new_empty(len(highs)).uniform_().tolist()
                which, down, right, row, column = (int(share * high) for share, high in zip(shares, highs, strict=True))
                if which == 0:
                    x = x.roll((down - reach, right - reach), (-2, -1))
                elif which == 1:
                    x = turn(x)
                else:
                    top, left = max(row - side // 2, 0), max(column - side // 2, 0)
                    height, width = row + side // 2 - top, column + side // 2 - left
                    x = library.functional.erase(x, top, left, height, width, x.new_zeros(()))
            return x

        return change
