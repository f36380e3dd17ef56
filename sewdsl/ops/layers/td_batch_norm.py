"""Threshold-dependent batch normalisation, ``tdBN``."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from sewdsl.ir.op import Downstream, Spiking
from sewdsl.ops.layers.batch_norm import BatchNorm


class TdBatchNorm(BatchNorm, kind="tdBN"):
    """Batch norm that brings the current to the neuron's threshold (Zheng et al. 2021, reference 64).

    In a network: ``tdBN``, ``tdBN(alpha=0.7071)``::

        y = weight · alpha · v_threshold · (x - mean) / sqrt(var + eps) + bias

    Attributes:
        alpha: 1; 1/sqrt(2) where two normalised currents are added before one neuron.
        v_threshold: Threshold of the neuron it feeds; None: that of the nearest neuron after it.

    Shape: ``[C, H, W]``, ``[C, L]`` or ``[F]``, unchanged.
    """

    alpha: float = Field(default=1.0, gt=0)
    v_threshold: float | None = Field(default=None, gt=0)

    @property
    def scale(self) -> float:
        """alpha · v_threshold."""
        return self.alpha * (1.0 if self.v_threshold is None else self.v_threshold)

    def settle(self, downstream: Downstream) -> Self:
        """Takes the threshold of the neuron it feeds."""
        if self.v_threshold is not None:
            return self
        neuron = downstream.nearest(Spiking)
        return self.replace(v_threshold=neuron.v_threshold if isinstance(neuron, Spiking) else 1.0)
