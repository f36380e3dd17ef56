"""Adam whose first steps are held back, ``RAdam``."""

from __future__ import annotations

from pydantic import Field

from sewdsl.ir.recipe import Optimizer


class RAdam(Optimizer, kind="RAdam"):
    """Adam that takes steps of momentum alone until its second moment is worth dividing by (Liu et al. 2020).

    In a file: ``optimizer RAdam(lr=0.001)``. It does in the first steps what a warmup does.

    Attributes:
        lr: Learning rate, > 0.
        weight_decay: Pull of every weight towards zero, >= 0.
        decoupled_weight_decay: Whether the decay passes the moments by, as in AdamW.
    """

    lr: float = Field(default=0.001, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    decoupled_weight_decay: bool = False

    @property
    def states(self) -> int:
        """Both moments."""
        return 2
