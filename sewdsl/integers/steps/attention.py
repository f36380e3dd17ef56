"""Attention between spikes and counts."""

from __future__ import annotations

import numpy as np

from sewdsl.integers.steps.step import Step
from sewdsl.integers.value import Integers
from sewdsl.light_dataclass import dataclass


@dataclass(frozen=True)
class TokenAttention(Step):
    """Attention q (kᵀ v) within each head, with positions as tokens.

    Attributes:
        heads: Number of heads of consecutive channels.
    """

    heads: int

    def compute(self, *values: Integers) -> Integers:
        # Sums of integers below 2^53 are exact in float64.
        q, k, v = (x.reshape(len(x), -1, self.heads, x.shape[-1] // self.heads).astype(np.float64) for x in values)
        products = np.einsum("nphc,nhcd->nphd", q, np.einsum("nphc,nphd->nhcd", k, v))
        result: Integers = products.astype(np.int64).reshape(len(q), *self.value.shape)
        return result
