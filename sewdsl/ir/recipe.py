"""Training recipe: the ``train`` section of a file, with defaults resolved."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from math import isfinite
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, Self, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny, model_validator

from sewdsl.ir.kind import CATALOGUE, Kind, Natural, OmittedDefault, Positive
from sewdsl.ir.printed_values import format_value, parse_memory, parse_multiple

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer as TorchOptimizer


class Optimizer(Kind):
    """Optimizer, with the arguments of the class of the same name in torch.optim."""

    noun = "optimizer"
    reserves_name = False

    lr: float = Field(gt=0)
    """Learning rate, > 0."""

    @property
    def states(self) -> int:
        """Number of state tensors per weight tensor."""
        return 0

    def build(self, optim: ModuleType, weights: Iterable[nn.Parameter] | Iterable[Mapping[str, Any]]) -> TorchOptimizer:
        """Build the optimizer from ``torch.optim``.

        Args:
            weights: Parameters, or parameter groups with their own settings.
        """
        # The fields of a kind are the arguments of the class in torch.optim.
        optimizer: TorchOptimizer = getattr(optim, self.kind)(weights, **dict(self))
        return optimizer


class Schedule(Kind):
    """Learning-rate schedule."""

    noun = "schedule"
    reserves_name = False

    each: ClassVar[Literal["epoch", "step"]] = "epoch"
    """Unit of the schedule: the learning rate changes with every epoch, or with every optimizer step."""
    by_validation: ClassVar[bool] = False
    """Whether the schedule depends on validation metrics, so that its factors are not known in advance."""

    @abstractmethod
    def factor(self, epoch: int, epochs: int) -> float:
        """Return the factor of the learning rate in an epoch or step.

        Args:
            epoch: Index of the epoch or step, from 0.
            epochs: Number of epochs or steps.
        """


class DelayWidth(Kind):
    """Schedule of the width of learned delays: the standard deviation of their kernels in training."""

    noun = "delay width"
    reserves_name = False

    @abstractmethod
    def width(self, first: float, epoch: int, epochs: int) -> float:
        """Return the width in an epoch, in time-steps.

        Args:
            first: Width of a new layer.
            epoch: Index of the epoch, from 0.
            epochs: Number of epochs.
        """


class Loss(Kind):
    """Training loss."""

    noun = "loss"
    reserves_name = False

    each_step: ClassVar[bool] = False
    """Whether the loss reads the output of each time-step instead of the readout."""
    of_rates: ClassVar[bool] = False
    """Whether the loss can reach zero if all outputs are firing rates."""
    readouts: ClassVar[tuple[str, ...]] = ("mean", "sum", "last")
    """Values of ``readout`` that the loss can be combined with."""

    @property
    def target(self) -> str:
        """Target: ``input``, ``next``, ``teacher``, ``teacher.NAME``, the name of an output, or empty for the class."""
        return getattr(self, "to", None) or ""

    @property
    def classifies(self) -> bool:
        """Whether the target is a class, of a sample or of a token, so that outputs have an accuracy."""
        return not self.target

    @abstractmethod
    def value(self, functional: ModuleType, outputs: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
        """Return the loss of a batch, a scalar.

        Args:
            functional: The module ``torch.nn.functional``.
            outputs: The readout ``[N, classes]``, or with ``each_step`` the outputs ``[T, N, classes]``.
            target: Classes ``[N]``, integers from 0, or class probabilities ``[N, classes]``.
            smoothing: Label smoothing, in [0, 1).
        """

    def judge(self, functional: ModuleType, readout: Tensor, target: Tensor) -> Tensor:
        """Return the evaluation loss of a readout ``[N, classes]``: the cross-entropy."""
        # Losses of different trainings are compared, so the evaluation loss does not depend on the training loss.
        loss: Tensor = functional.cross_entropy(readout, target)
        return loss


class LossTerm(NamedTuple):
    """A ``loss`` line of a recipe. An empty output is the only output, and the factor is positive."""

    output: str
    loss: SerializeAsAny[Loss]
    factor: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0

    def __str__(self) -> str:
        factor = "" if self.factor == 1 else f"{format_value(self.factor)}x"
        return " ".join(filter(None, (self.output, str(self.loss), factor)))


class Transform(Kind):
    """Random transform of training samples, listed by ``augment``."""

    noun = "transform"
    reserves_name = False


class ImageTransform(Transform):
    """Transform of image pixels before scaling, from ``torchvision.transforms.v2``."""

    @abstractmethod
    def build(self, library: ModuleType) -> Any:
        """Return a function of an image ``[C, H, W]`` of uint8, which uses PyTorch's random generator."""


class SampleTransform(Transform):
    """Transform of a network input, equal for all time-steps, from ``torchvision.transforms.v2``."""

    @abstractmethod
    def build(self, library: ModuleType) -> Any:
        """Return a function of a sample ``[C, H, W]`` or ``[T, C, H, W]``, which uses PyTorch's random generator."""


class BatchTransform(Transform):
    """Transform of a batch, which mixes the classes of its samples."""

    p: float
    """Fraction of transformed batches."""

    @abstractmethod
    def build(self, library: ModuleType, classes: int) -> Any:
        """Return a function of a batch and its classes ``[N]``, from ``torchvision.transforms.v2``."""


class EventTransform(Transform):
    """Transform of events before they are binned into frames, from ``tonic.transforms``."""

    @abstractmethod
    def build(self, library: ModuleType, sensor: tuple[int, int, int]) -> Any:
        """Return a function of tonic's event arrays.

        Args:
            sensor: Number of columns, rows and polarities of the sensor.
        """


def _rate(rate: str | float) -> str | float:
    factor_or_rate = parse_multiple(rate) if isinstance(rate, str) else rate
    # The negated comparison also rejects NaN.
    if factor_or_rate is None or not factor_or_rate > 0 or not isfinite(factor_or_rate):
        message = f"'{rate}' is not a learning rate; use a number above 0, or a multiple of the optimizer's, e.g. 10x"
        raise ValueError(message)
    return rate


def _memory(text: object) -> object:
    if text is not None and not (isinstance(text, str) and parse_memory(text)):
        raise ValueError(f"'{text}' is not an amount of memory; use e.g. 2GB, 1.5GB, 800MB or 512MiB")
    return text


def _default_loss() -> Loss:
    # The class is defined in sewdsl.ops, which imports this module.
    return cast("Loss", CATALOGUE["CrossEntropy"]())


LISTS = ("augment", "mean", "std")
"""Keys with several values, separated by blanks."""


class Recipe(BaseModel):
    """A resolved ``train`` section."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    on: str
    """Name of the dataset."""
    epochs: Positive = 1
    """Number of passes over the training set."""
    batch: Positive = 32
    """Batch size, per process."""
    accumulate: Positive = 1
    """Batches per optimizer step. Their gradients are averaged."""
    T_train: Positive | None = None
    """Time-steps kept per training sample (random temporal delete, appendix A.2). None keeps all."""
    optimizer: SerializeAsAny[Optimizer]
    """Optimizer, with its arguments."""
    schedule: SerializeAsAny[Schedule] | None = None
    """Learning-rate schedule. None keeps the learning rate constant."""
    freeze: tuple[str, ...] = ()
    """Layers and groups, by name or pattern, computed as in evaluation: their weights and running statistics do not
    change. ``freeze conv1 sew_block1 stem.*``."""
    lr: tuple[tuple[str, Annotated[str | float, AfterValidator(_rate)]], ...] = ()
    """Learning rates of single layers and groups, as a multiple of the optimizer's rate or as a number. The schedule
    scales all of them. If several entries match a layer, the last one applies. ``lr fc1 10x conv1 0.001``. Patterns can
    end in the name of a parameter: ``lr *.delay 100x``."""
    delay_width: Annotated[SerializeAsAny[DelayWidth] | None, OmittedDefault()] = None
    """Width of the kernels of learned delays (``DFC``), e.g. ``Shrink(to=0.5, until=0.25)``. None: half the reach."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Decay of the exponential moving average of the weights per optimizer step, e.g. ``0.999``. The averaged weights
    are evaluated and saved. None: no average."""
    quantize: Annotated[Literal["int8", "int7", "int6", "int5", "int4", "int3", "int2"] | None, OmittedDefault()] = None
    """Integers of the weights of convolutions and fully connected layers: ``int8`` to ``int2``. Training computes with
    weights on the grid of a C export, and saves rounded weights. None: floats."""
    quantize_epochs: Annotated[Positive | None, OmittedDefault()] = None
    """Number of last epochs with rounded weights. None: all epochs."""
    warmup: Natural = 0
    """Epochs before the schedule starts, in which the learning rate increases in equal steps."""
    clip: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Maximum Euclidean norm of all gradients together. Larger gradients are scaled down. None: no clipping."""
    loss: SerializeAsAny[Loss] = Field(default_factory=_default_loss)
    """Training loss: ``CrossEntropy`` of the readout (or ``mean``), ``TET`` of the output of each time-step (or
    ``tet``, Deng et al. 2022), or ``MSE`` of firing rates. The line can be repeated, with an output and a factor:
    ``loss early KL(to=last) 0.3x``."""
    losses: Annotated[tuple[LossTerm, ...], OmittedDefault()] = ()
    """All ``loss`` lines, if there are several, or one with an output or a factor. ``loss`` is then the first."""
    teacher: Annotated[str | None, OmittedDefault()] = None
    """Folder of a run whose outputs are targets of losses with ``to=teacher``. The folder is relative to the working
    directory."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Label smoothing in training: fraction of the target spread evenly over all classes."""
    precision: Annotated[Literal["32", "mixed", "bf16-mixed", "16-mixed"], BeforeValidator(str)] = "32"
    """``32``, ``mixed`` (16-bit floats where they are safe: bfloat16, or float16 on GPUs without bfloat16), or a name
    of Lightning, ``bf16-mixed`` or ``16-mixed``."""
    tf32: bool | None = None
    """TF32 arithmetic on GPUs: 32-bit floats are multiplied with 10 bits after the point, which is faster. None:
    PyTorch's default, for convolutions only."""
    sync_bn: bool = False
    """Batch norm with statistics over the samples of all processes."""
    compile: bool = False
    """Compile the network with PyTorch's compiler for training: a slower start, then faster steps. On CUDA GPUs, CUDA
    graphs are recorded."""
    optimize: Literal[0, 1, 2] = 1
    """Optimization level. 0: compute layer by layer. 1: default passes. 2: all passes. Results are equal up to
    rounding."""
    memory: Annotated[str | None, BeforeValidator(_memory)] = None
    """Memory budget of a training step, e.g. ``2GB``. To meet it, values are recomputed in the backward pass instead of
    stored. None: no budget."""
    seed: Natural = 0
    """Seed of the initial weights, sample order, augmentation, selected time-steps, dropout masks and validation
    split."""
    shift: Natural = 0
    """Maximum random shift of training samples in pixels, in each direction, as in a random crop of the padded
    image."""
    flip: bool = False
    """Random horizontal flip of training samples, with probability 1/2."""
    augment: tuple[SerializeAsAny[Transform], ...] = ()
    """Further random transforms of training samples, in order: ``AutoAugment``, ``Mixup``, ``NDA`` and others."""
    resize: Literal["bilinear", "area", "sum"] | None = "bilinear"
    """Resampling of event frames if the sensor size differs from the network's input: ``bilinear``, ``area`` (the mean
    over the covered pixels), or ``sum`` (which preserves the number of events). None: no resampling."""
    crop: Literal["random", "middle", "whole"] = "random"
    """Training crop of the images of an image folder: ``random`` (a region of random size and position), ``middle``, or
    ``whole`` (the full image, resized to the input shape, for test images too)."""
    mean: tuple[float, ...] | None = None
    """Mean of each channel of an image folder on a scale from 0 to 1, which is subtracted. None: values of ImageNet."""
    std: tuple[Annotated[float, Field(gt=0)], ...] | None = None
    """Standard deviation of each channel, > 0, by which the difference is divided. None: values of ImageNet."""
    holdout: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Fraction of each class used as the test set of a folder without a split, in (0, 1). The selection is always the
    same."""
    validation: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Fraction of each class of the training set used to select the best epoch. 0: the test set is used."""
    subset: bool = False
    """Accept an incomplete dataset. Otherwise missing files are an error."""

    @model_validator(mode="after")
    def _check_combination(self) -> Self:
        schedule = self.schedule
        if self.warmup >= self.epochs:
            raise ValueError(f"'warmup' must be less than 'epochs': got {self.warmup} of {self.epochs} epochs")
        if schedule is not None and schedule.by_validation and not self.validation:
            raise ValueError(f"schedule {schedule.kind} requires a validation set; add 'validation 0.1'")
        # Warm-up is implemented by Recipe.factor, which schedules by step or by validation do not use.
        if schedule is not None and self.warmup and (schedule.by_validation or schedule.each == "step"):
            raise ValueError(f"'warmup' cannot be combined with schedule {schedule.kind}; remove it")
        # An explicit 'quantize none' is the control of a study over bits.
        if self.quantize_epochs is not None and "quantize" not in self.model_fields_set:
            raise ValueError("'quantize_epochs' requires 'quantize'; add 'quantize int4'")
        if self.quantize_epochs is not None and self.quantize_epochs > self.epochs:
            raise ValueError(
                f"'quantize_epochs' must be at most 'epochs': got {self.quantize_epochs} of {self.epochs} epochs"
            )
        if self.memory is not None and self.compile:
            raise ValueError("'memory' requires 'compile off': PyTorch's compiler plans memory itself")
        return self

    @property
    def terms(self) -> tuple[LossTerm, ...]:
        """Terms of the loss. The first one is the main term."""
        return self.losses or (LossTerm("", self.loss),)

    @property
    def budget(self) -> int | None:
        """``memory`` in bytes."""
        return None if self.memory is None else parse_memory(self.memory)

    def rate(self, rate: str | float) -> float:
        """Return the learning rate of an entry of ``lr``, before the schedule."""
        multiple = parse_multiple(rate) if isinstance(rate, str) else None
        # A number is an absolute rate.
        return float(rate) if multiple is None else multiple * self.optimizer.lr

    @property
    def grid_bits(self) -> int | None:
        """Bits of the saved weights, or None for floats."""
        return None if self.quantize is None else int(self.quantize.removeprefix("int"))

    def weight_bits(self, epoch: int) -> int | None:
        """Return the bits of the weights in an epoch, counted from 0, or None for floats."""
        begins = self.epochs - (self.quantize_epochs or self.epochs)
        return self.grid_bits if epoch >= begins else None

    def factor(self, epoch: int) -> float:
        """Return the factor of the learning rate in an epoch, counted from 0.

        With a warm-up of w epochs, epoch e < w has the factor (e + 1) / (w + 1). The schedule covers the remaining
        epochs.
        """
        if epoch < self.warmup:
            return (epoch + 1) / (self.warmup + 1)
        if self.schedule is None:
            return 1.0
        return self.schedule.factor(epoch - self.warmup, self.epochs - self.warmup)
