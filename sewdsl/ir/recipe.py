"""How a network is trained: the ``train`` section of a file, defaults resolved."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny

from sewdsl.ir.kind import Kind, Positive


class Optimizer(Kind):
    """What changes the weights; its arguments are those of the torch.optim class of the same name."""


class Schedule(Kind):
    """How the learning rate changes from epoch to epoch."""


class Recipe(BaseModel):
    """A resolved ``train`` section.

    Attributes:
        on: Name of the data set.
        epochs: Passes over the training set.
        batch: Samples per step.
        T_train: Time-steps kept per training sample (random temporal delete, appendix A.2); None: all.
        optimizer: What changes the weights.
        schedule: How the learning rate changes; None: it does not.
        precision: ``32``, or ``mixed``: 16-bit floats where they are safe (bfloat16 on CPU, float16 on CUDA).
        seed: Of the split, the initial weights, the order of the samples and the dropout masks.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    on: str
    epochs: Positive = 1
    batch: Positive = 32
    T_train: Positive | None = None
    optimizer: Annotated[SerializeAsAny[Optimizer], Field()]
    schedule: SerializeAsAny[Schedule] | None = None
    precision: Literal["32", "mixed"] = "32"
    seed: Annotated[int, Field(ge=0)] = 0
