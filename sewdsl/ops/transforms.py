"""Random transforms of training samples, listed by ``augment``: images, batches, samples and events."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from sewdsl.ir.kind import Positive
from sewdsl.ir.recipe import BatchTransform, EventTransform, ImageTransform, SampleTransform

if TYPE_CHECKING:
    from torch import Tensor


class AutoAugment(ImageTransform, kind="AutoAugment"):
    """Two operations on an image, drawn from a policy that was found by search (Cubuk et al. 2019).

    In a file: ``augment AutoAugment(policy=cifar10)``. torchvision: ``AutoAugment``.
    """

    policy: Literal["imagenet", "cifar10", "svhn"] = "imagenet"
    """Dataset of the search: ``imagenet``, ``cifar10`` or ``svhn``."""

    def build(self, library: ModuleType) -> Any:
        return library.AutoAugment(library.AutoAugmentPolicy(self.policy))


class ColorJitter(ImageTransform, kind="ColorJitter"):
    """Random changes of brightness, contrast, saturation and hue, in random order.

    In a file: ``augment ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4)``. torchvision: ``ColorJitter``.
    Saturation and hue have no effect on grey images.
    """

    brightness: float = Field(default=0.0, ge=0)
    """Maximum deviation of the factor from 1, >= 0."""
    contrast: float = Field(default=0.0, ge=0)
    """Maximum deviation of the factor from 1, >= 0."""
    saturation: float = Field(default=0.0, ge=0)
    """Maximum deviation of the factor from 1, >= 0."""
    hue: float = Field(default=0.0, ge=0, le=0.5)
    """Maximum shift in either direction, as a fraction of the colour circle, in [0, 0.5]."""

    def build(self, library: ModuleType) -> Any:
        return library.ColorJitter(self.brightness, self.contrast, self.saturation, self.hue)


class CutMix(BatchTransform, kind="CutMix"):
    """Replacement of a rectangle by that of another sample, with classes mixed by area (Yun et al. 2019).

    In a file: ``augment CutMix(alpha=1.0)``. torchvision: ``CutMix``. The other sample is the previous one in the
    batch. One rectangle is drawn per batch, and applies to all time-steps.
    """

    alpha: float = Field(default=1.0, gt=0)
    """Parameter of the distribution Beta(alpha, alpha) of the mixing fraction, > 0 (1: uniform)."""
    p: float = Field(default=1.0, ge=0, le=1)
    """Fraction of mixed batches, in [0, 1]."""

    def build(self, library: ModuleType, classes: int) -> Any:
        return library.CutMix(alpha=self.alpha, num_classes=classes)


class DropEvent(EventTransform, kind="DropEvent"):
    """Random removal of events.

    In a file: ``augment DropEvent(p=0.2)``. tonic: ``DropEvent``.
    """

    p: float = Field(default=0.1, ge=0, lt=1)
    """Fraction of events to remove, in [0, 1)."""

    def build(self, library: ModuleType, sensor: tuple[int, int, int]) -> Any:
        return library.DropEvent(p=self.p)


class EventDrop(EventTransform, kind="EventDrop"):
    """Removal of the events of a period, of a rectangle, of random events, or of none (Gu et al. 2021).

    In a file: ``augment EventDrop``. tonic: ``EventDrop``. One of the four is drawn per recording.
    """

    def build(self, library: ModuleType, sensor: tuple[int, int, int]) -> Any:
        return library.EventDrop(sensor_size=sensor)


class Mixup(BatchTransform, kind="Mixup"):
    """Mixture of each sample with the previous one in the batch, and of their classes (Zhang et al. 2018).

    In a file: ``augment Mixup(alpha=0.8)``. torchvision: ``MixUp``. One fraction λ is drawn per batch::

        x = λ · x[n] + (1 - λ) · x[n-1]        y = λ · y[n] + (1 - λ) · y[n-1]
    """

    alpha: float = Field(default=0.8, gt=0)
    """Parameter of the distribution Beta(alpha, alpha) of λ, > 0 (1: uniform)."""
    p: float = Field(default=1.0, ge=0, le=1)
    """Fraction of mixed batches, in [0, 1]."""

    def build(self, library: ModuleType, classes: int) -> Any:
        return library.MixUp(alpha=self.alpha, num_classes=classes)


class NDA(SampleTransform, kind="NDA"):
    """Neuromorphic data augmentation: roll, rotation or cutout of event frames, equal at all time-steps.

    In a file: ``augment NDA``, usually with ``flip on``. ``ops`` operations are drawn from::

        roll    by up to 2 · level + 1 pixels in each direction, re-entering on the opposite side
        rotate  by up to 15 · level degrees in each direction, to the nearest pixel
        cutout  a square of 8 · level pixels is set to 0, with its centre anywhere

    Source: Li et al. 2022, Neuromorphic Data Augmentation for Training Spiking Neural Networks. Published training code
    for CIFAR10-DVS uses M = ops = 1 and N = level = 2.
    """

    ops: Positive = 1
    """Number of operations, drawn with replacement, >= 1."""
    level: int = Field(default=2, ge=1, le=12)
    """Strength, from 1 to 12."""

    def build(self, library: ModuleType) -> Any:
        reach, side = 2 * self.level + 1, 8 * self.level
        rotate = library.RandomRotation(15 * self.level)

        def change(x: Tensor) -> Tensor:
            for _ in range(self.ops):
                highs = (3, 2 * reach + 1, 2 * reach + 1, *x.shape[-2:])
                # PyTorch's generator, whose state is part of checkpoints.
                fractions = x.new_empty(len(highs)).uniform_().tolist()
                operation, down, right, row, column = (
                    int(fraction * high) for fraction, high in zip(fractions, highs, strict=True)
                )
                if operation == 0:
                    x = x.roll((down - reach, right - reach), (-2, -1))
                elif operation == 1:
                    x = rotate(x)
                else:
                    # The square is cropped at the edges.
                    top, left = max(row - side // 2, 0), max(column - side // 2, 0)
                    height, width = row + side // 2 - top, column + side // 2 - left
                    x = library.functional.erase(x, top, left, height, width, x.new_zeros(()))
            return x

        return change


class RandAugment(ImageTransform, kind="RandAugment"):
    """Random operations on an image, drawn from fourteen, with equal strength (Cubuk et al. 2020).

    In a file: ``augment RandAugment(ops=2, strength=9)``. torchvision: ``RandAugment``.
    """

    ops: Positive = 2
    """Number of operations, >= 1."""
    strength: int = Field(default=9, ge=0, le=30)
    """Strength of each operation, from 0 to 30."""

    def build(self, library: ModuleType) -> Any:
        return library.RandAugment(self.ops, self.strength)


class RandomErasing(SampleTransform, kind="RandomErasing"):
    """Random rectangle set to 0, which is the mean of an image, or no events (Zhong et al. 2020).

    In a file: ``augment RandomErasing(p=0.25)``. torchvision: ``RandomErasing``. The rectangle is equal at all
    time-steps.
    """

    p: float = Field(default=0.5, ge=0, le=1)
    """Fraction of samples with a rectangle, in [0, 1]."""
    least: float = Field(default=0.02, gt=0, lt=1)
    """Minimum area, as a fraction of the image, in (0, 1)."""
    most: float = Field(default=0.33, gt=0, lt=1)
    """Maximum area, as a fraction of the image, in (0, 1)."""

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        # torchvision only prints a warning.
        if self.least > self.most:
            raise ValueError(f"'least' must not exceed 'most': got {self.least} and {self.most}")
        return self

    def build(self, library: ModuleType) -> Any:
        return library.RandomErasing(self.p, (self.least, self.most))


class RandomFlipPolarity(EventTransform, kind="RandomFlipPolarity"):
    """Random exchange of the two polarities of a recording.

    In a file: ``augment RandomFlipPolarity(p=0.5)``. tonic: ``RandomFlipPolarity``.
    """

    p: float = Field(default=0.5, ge=0, le=1)
    """Fraction of changed recordings, in [0, 1]."""

    def build(self, library: ModuleType, sensor: tuple[int, int, int]) -> Any:
        return library.RandomFlipPolarity(p=self.p)


class SpatialJitter(EventTransform, kind="SpatialJitter"):
    """Random shift of each event, which removes events outside the sensor.

    In a file: ``augment SpatialJitter(var_x=1.0, var_y=1.0)``. tonic: ``SpatialJitter``.
    """

    var_x: float = Field(default=1.0, gt=0)
    """Variance of the horizontal shift in pixels², > 0."""
    var_y: float = Field(default=1.0, gt=0)
    """Variance of the vertical shift in pixels², > 0."""

    def build(self, library: ModuleType, sensor: tuple[int, int, int]) -> Any:
        # Without clip_outliers, tonic would keep events outside the sensor.
        return library.SpatialJitter(sensor_size=sensor, var_x=self.var_x, var_y=self.var_y, clip_outliers=True)


class TrivialAugment(ImageTransform, kind="TrivialAugment"):
    """One random operation on an image, with random strength (Müller and Hutter 2021).

    In a file: ``augment TrivialAugment``. torchvision: ``TrivialAugmentWide``.
    """

    def build(self, library: ModuleType) -> Any:
        return library.TrivialAugmentWide()


class UniformNoise(EventTransform, kind="UniformNoise"):
    """Additional events at random positions and times, merged in time order.

    In a file: ``augment UniformNoise(n=500)``. tonic: ``UniformNoise``.
    """

    n: Positive = 100
    """Number of events, >= 1."""

    def build(self, library: ModuleType, sensor: tuple[int, int, int]) -> Any:
        return library.UniformNoise(sensor_size=sensor, n=self.n)
