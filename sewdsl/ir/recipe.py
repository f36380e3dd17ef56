"""How a network is trained: the ``train`` section of a file, defaults resolved."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny

from sewdsl.ir.kind import Kind, Natural, Positive

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer as TorchOptimizer


class Optimizer(Kind):
    """What changes the weights; its arguments are those of the torch.optim class of the same name."""

    def build(self, optim: ModuleType, weights: Iterable[nn.Parameter]) -> TorchOptimizer:
        """The optimizer of these weights, from the module ``torch.optim``."""
        optimizer: TorchOptimizer = getattr(optim, self.kind)(weights, **dict(self))
        return optimizer


class Schedule(Kind):
    """How the learning rate changes from epoch to epoch."""

    @abstractmethod
    def factor(self, epoch: int, epochs: int) -> float:
        """What the optimizer's learning rate is multiplied by in an epoch, counted from 0, of so many."""


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
        seed: Of the initial weights, the order of the samples, their augmentation, the time-steps kept, the dropout
            masks and the validation part.
        shift: Training samples are moved by up to so many pixels each way, as in a random crop of the padded image.
        flip: Whether every other training sample, on average, is mirrored left to right.
        validation: Share of each class of the training set by which the best epoch is chosen; 0: by the test set.
        subset: Whether a part of the data set will do; otherwise it is an error if some of it is missing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    on: str
    epochs: Positive = 1
    batch: Positive = 32
    T_train: Positive | None = None
    optimizer: SerializeAsAny[Optimizer]
    schedule: SerializeAsAny[Schedule] | None = None
    precision: Annotated[Literal["32", "mixed"], BeforeValidator(str)] = "32"
    seed: Annotated[int, Field(ge=0)] = 0
    shift: Natural = 0
    flip: bool = False
    validation: Annotated[float, Field(ge=0, lt=1)] = 0.0
    subset: bool = False
