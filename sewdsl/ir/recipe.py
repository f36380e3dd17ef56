"""How a network is trained: the ``train`` section of a file, defaults resolved."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from math import isfinite
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny, model_validator

from sewdsl.ir.kind import CATALOGUE, Kind, Natural, Positive
from sewdsl.ir.printed_values import parse_memory, parse_multiple

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer as TorchOptimizer


class Optimizer(Kind):
    """What changes the weights; its arguments are those of the torch.optim class of the same name.

    Attributes:
        lr: Learning rate, > 0.
    """

    lr: float = Field(gt=0)

    @property
    def states(self) -> int:
        """Numbers that it keeps for each weight."""
        return 0

    def build(self, optim: ModuleType, weights: Iterable[nn.Parameter] | Iterable[Mapping[str, Any]]) -> TorchOptimizer:
        """The optimizer of these weights, or of groups of them with settings of their own, from ``torch.optim``."""
        optimizer: TorchOptimizer = getattr(optim, self.kind)(weights, **dict(self))
        return optimizer


class Schedule(Kind):
    """How the learning rate changes from epoch to epoch."""

    each: ClassVar[Literal["epoch", "step"]] = "epoch"
    """When it changes: from epoch to epoch, or with every step of the optimizer."""
    by_validation: ClassVar[bool] = False
    """Whether what comes of the validation part decides, so that the rates are not known beforehand."""

    @abstractmethod
    def factor(self, epoch: int, epochs: int) -> float:
        """What the optimizer's learning rate is multiplied by in an epoch, counted from 0, of so many; or in a step."""


class Loss(Kind):
    """How wrong a network is, and what it is trained to make small."""

    each_step: ClassVar[bool] = False
    """Whether it reads the output of each time-step instead of the readout."""
    of_rates: ClassVar[bool] = False
    """Whether it can be zero where all outputs are rates."""
    readouts: ClassVar[tuple[str, ...]] = ("mean", "sum", "last")
    """What goes with it, of what ``readout`` can be."""

    @abstractmethod
    def value(self, functional: ModuleType, outputs: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
        """The loss of a batch, a scalar.

        Args:
            functional: The module ``torch.nn.functional``.
            outputs: The readout ``[N, classes]``, or with ``each_step`` the outputs ``[T, N, classes]``.
            target: Classes ``[N]``, integers from 0, or the share of each class, ``[N, classes]``.
            smoothing: Share of the target that all classes have in common, in [0, 1).
        """

    def judge(self, functional: ModuleType, readout: Tensor, target: Tensor) -> Tensor:
        """The loss of a readout ``[N, classes]`` of samples that judge: the cross-entropy."""
        loss: Tensor = functional.cross_entropy(readout, target)
        return loss


class Transform(Kind):
    """How training samples are changed at random: what ``augment`` lists."""


class ImageTransform(Transform):
    """One of an image's pixels, before they are scaled; the library is ``torchvision.transforms.v2``."""

    @abstractmethod
    def build(self, library: ModuleType) -> Any:
        """As a function of an image ``[C, H, W]`` of uint8; it draws from torch's generator."""


class SampleTransform(Transform):
    """One of a sample as a network gets it, all time-steps alike; the library is ``torchvision.transforms.v2``."""

    @abstractmethod
    def build(self, library: ModuleType) -> Any:
        """As a function of a sample ``[C, H, W]`` or ``[T, C, H, W]``; it draws from torch's generator."""


class BatchTransform(Transform):
    """One of a whole batch, whose samples have shares of several classes then.

    Attributes:
        p: Share of the batches that it is done to.
    """

    p: float

    @abstractmethod
    def build(self, library: ModuleType, classes: int) -> Any:
        """As a function of a batch and its classes ``[N]``; the library is ``torchvision.transforms.v2``."""


class EventTransform(Transform):
    """One of a recording's events, before frames are made of them; the library is ``tonic.transforms``."""

    @abstractmethod
    def build(self, library: ModuleType, sensor: tuple[int, int, int]) -> Any:
        """As a function of tonic's arrays of events, of a sensor of so many columns, rows and polarities."""


def _rate(rate: str | float) -> str | float:
    number = parse_multiple(rate) if isinstance(rate, str) else rate
    if number is None or not number > 0 or not isfinite(number):
        message = f"'{rate}' is no learning rate: write a number above 0, or a multiple of the optimizer's, such as 10x"
        raise ValueError(message)
    return rate


def _memory(text: str | None) -> str | None:
    if text is not None and not parse_memory(text):
        raise ValueError(f"'{text}' is no amount of memory: write 2GB, 1.5GB, 800MB or 512MiB")
    return text


def _usual_loss() -> Loss:
    """The cross-entropy of the readout; its class is known by the time that a file names an optimizer."""
    return cast("Loss", CATALOGUE["CrossEntropy"]())


LISTS = ("augment", "mean", "std")
"""Keys that take several values, with blanks between."""


class Recipe(BaseModel):
    """A resolved ``train`` section.

    Attributes:
        on: Name of the dataset.
        epochs: Passes over the training set.
        batch: Samples that are shown at once; with several processes, to each of them.
        accumulate: Batches per step of the optimizer: their gradients are averaged.
        T_train: Time-steps kept per training sample (random temporal delete, appendix A.2); None: all.
        optimizer: What changes the weights.
        schedule: How the learning rate changes; None: it does not.
        freeze: Layers and parts, by name or pattern, whose weights and running statistics stay as they are: they
            compute as in evaluation. ``freeze conv1 sew_block1 stem.*``.
        lr: Layers and parts with a learning rate of their own: a multiple of the optimizer's, or a number; the schedule
            changes all of them alike. Of several that name one layer the last counts. ``lr fc1 10x conv1 0.001``.
        ema: What an average of the weights keeps of itself in each step of the optimizer, such as ``0.999``; it is what
            is judged and kept. None: there is no average.
        warmup: Epochs before the schedule begins, in which the learning rate rises in equal steps.
        clip: Largest Euclidean norm of all gradients together; longer ones are shortened to it. None: any.
        loss: What is made small: ``CrossEntropy`` of the readout, also written ``mean``; ``TET``, also written ``tet``,
            of each time-step's output (Deng et al. 2022); ``MSE`` of rates.
        label_smoothing: Share of the target that all classes have in common, in training.
        precision: ``32``; ``mixed``: 16-bit floats where they are safe (bfloat16, or float16 on GPUs without it); or
            one of these by Lightning's name, ``bf16-mixed``, ``16-mixed``.
        tf32: Whether GPUs multiply 32-bit floats in TF32, with 10 bits after the point, which is faster; None: as torch
            has it, in convolutions and not in other products.
        sync_bn: Whether several processes compute the statistics of batch norm over all their samples.
        compile: Whether torch compiles the network for training, which takes a while and makes it faster; on CUDA GPUs
            it records CUDA graphs.
        optimize: 0: every layer by itself; 1: the same in less time, apart from rounding; 2: everything, which rounds
            otherwise in evaluation, and in the gradients of weights that follow from few active inputs.
        memory: What a training step may take, such as ``2GB``: as much as needed is recomputed in the backward
            pass instead of kept. None: whatever is fastest.
        seed: Of the initial weights, the order of the samples, their augmentation, the time-steps kept, the dropout
            masks and the validation part.
        shift: Training samples are moved by up to so many pixels each way, as in a random crop of the padded image.
        flip: Whether every other training sample, on average, is mirrored left to right.
        augment: What else is done to training samples at random, one after another: ``AutoAugment``, ``Mixup``, ``NDA``
            and others; see :class:`Transform`.
        resize: How frames of events are brought to the network's input where the sensor has another size: ``bilinear``;
            ``area``, the mean of what a pixel covers; ``sum``, which keeps the number of events. None: not at all.
        crop: What training takes of the files of an image folder: ``random``, a part of random size and place;
            ``middle``; ``whole``, the image pressed into the input's shape. With ``whole``, so does the test.
        mean: What is subtracted from each channel of an image folder, on the scale from 0 to 1; None: as of ImageNet.
        std: By what each channel is then divided, > 0; None: as of ImageNet.
        holdout: Share of each class that is for the test in a folder without a split, in (0, 1); always the same
            samples.
        validation: Share of each class of the training set by which the best epoch is chosen; 0: by the test set.
        subset: Whether a part of the dataset will do; otherwise it is an error if some of it is missing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    on: str
    epochs: Positive = 1
    batch: Positive = 32
    accumulate: Positive = 1
    T_train: Positive | None = None
    optimizer: SerializeAsAny[Optimizer]
    schedule: SerializeAsAny[Schedule] | None = None
    freeze: tuple[str, ...] = ()
    lr: tuple[tuple[str, Annotated[str | float, AfterValidator(_rate)]], ...] = ()
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    warmup: Natural = 0
    clip: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    loss: SerializeAsAny[Loss] = Field(default_factory=_usual_loss)
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    precision: Annotated[Literal["32", "mixed", "bf16-mixed", "16-mixed"], BeforeValidator(str)] = "32"
    tf32: bool | None = None
    sync_bn: bool = False
    compile: bool = False
    optimize: Literal[0, 1, 2] = 1
    memory: Annotated[str | None, AfterValidator(_memory)] = None
    seed: Annotated[int, Field(ge=0)] = 0
    shift: Natural = 0
    flip: bool = False
    augment: tuple[SerializeAsAny[Transform], ...] = ()
    resize: Literal["bilinear", "area", "sum"] | None = "bilinear"
    crop: Literal["random", "middle", "whole"] = "random"
    mean: tuple[float, ...] | None = None
    std: tuple[Annotated[float, Field(gt=0)], ...] | None = None
    holdout: Annotated[float, Field(gt=0, lt=1)] = 0.2
    validation: Annotated[float, Field(ge=0, lt=1)] = 0.0
    subset: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        schedule = self.schedule
        if self.warmup >= self.epochs:
            raise ValueError(f"a warmup of {self.warmup} leaves nothing of {self.epochs} epochs")
        if schedule is not None and schedule.by_validation and not self.validation:
            raise ValueError(
                f"the schedule {schedule.kind} goes by a validation part, and there is none: add 'validation 0.1'"
            )
        if schedule is not None and self.warmup and (schedule.by_validation or schedule.each == "step"):
            raise ValueError(f"'warmup' is not for the schedule {schedule.kind}: leave it out")
        if self.memory is not None and self.compile:
            raise ValueError("'memory' goes with 'compile off': torch's compiler plans memory by itself")
        return self

    @property
    def budget(self) -> int | None:
        """``memory`` in bytes."""
        return None if self.memory is None else parse_memory(self.memory)

    def rate(self, rate: str | float) -> float:
        """The learning rate that an entry of ``lr`` means, before the schedule."""
        times = parse_multiple(rate) if isinstance(rate, str) else None
        return float(rate) if times is None else times * self.optimizer.lr

    def factor(self, epoch: int) -> float:
        """What the optimizer's learning rate is multiplied by in an epoch, counted from 0.

        With ``warmup`` w, epoch e < w has (e + 1) / (w + 1); the schedule begins after them, and is as long as what
        is left.
        """
        if epoch < self.warmup:
            return (epoch + 1) / (self.warmup + 1)
        if self.schedule is None:
            return 1.0
        return self.schedule.factor(epoch - self.warmup, self.epochs - self.warmup)
