"""A hole, ``RandomErasing``."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Self

from pydantic import Field, model_validator

from sewdsl.ir.recipe import SampleTransform


class RandomErasing(SampleTransform, kind="RandomErasing"):
    """Sets a rectangle of a sample to 0: the mean of an image, or no events (Zhong et al. 2020).

    In a file: ``augment RandomErasing(p=0.25)``; ``RandomErasing`` of torchvision. The hole is at one place in all
    time-steps.

    Attributes:
        p: Share of the samples that get a hole, in [0, 1].
        least: Smallest share of the area that it takes, in (0, 1).
        most: Largest share, in (0, 1).
    """

    p: float = Field(default=0.5, ge=0, le=1)
    least: float = Field(default=0.02, gt=0, lt=1)
    most: float = Field(default=0.33, gt=0, lt=1)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.least > self.most:
            message = f"the least area is {self.least}, and the most {self.most}"
            raise ValueError(message)
        return self

    def build(self, library: ModuleType) -> Any:
        """As a function of a sample ``[*, H, W]``."""
        return library.RandomErasing(self.p, (self.least, self.most))
