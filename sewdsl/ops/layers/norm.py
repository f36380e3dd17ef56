"""What layers that normalise have in common."""

from __future__ import annotations

from pydantic import Field

from sewdsl.ir.op import Layer


class Norm(Layer):
    """Normalises each channel, then scales and shifts it: a convolution before it needs no bias.

    Attributes:
        eps: Added to the variance, > 0.
        momentum: Weight of the newest batch in the running statistics, in [0, 1].
    """

    eps: float = Field(default=1e-5, gt=0)
    momentum: float = Field(default=0.1, ge=0, le=1)
