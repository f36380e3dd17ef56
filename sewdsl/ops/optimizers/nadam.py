"""Adam with Nesterov's momentum, ``NAdam``."""

from __future__ import annotations

from pydantic import Field

from sewdsl.ir.recipe import Optimizer


class NAdam(Optimizer, kind="NAdam"):
    """Adam that looks ahead along its momentum (Dozat 2016).

    In a file: ``optimizer NAdam(lr=0.002)``: the step of Adam, with m̂ made of the momentum after next and the gradient,
    and a momentum that begins low::

        μ[k] = 0.9 · (1 - 0.5 · 0.96 ^ (k · momentum_decay))        of step k

    Attributes:
        lr: Learning rate, > 0.
        weight_decay: Pull of every weight towards zero, >= 0.
        momentum_decay: How fast the momentum comes up, >= 0.
        decoupled_weight_decay: Whether the decay passes the moments by, as in AdamW.
    """

    lr: float = Field(default=0.002, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    momentum_decay: float = Field(default=0.004, ge=0)
    decoupled_weight_decay: bool = False

    @property
    def states(self) -> int:
        """Both moments."""
        return 2
