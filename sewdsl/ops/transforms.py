"""Transforms of training samples, what ``augment`` lists: torchvision's of images and batches, tonic's of events."""

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

    In a file: ``augment AutoAugment(policy=cifar10)``; ``AutoAugment`` of torchvision.

    Attributes:
        policy: By which dataset it was found: ``imagenet``, ``cifar10`` or ``svhn``.
    """

    policy: Literal["imagenet", "cifar10", "svhn"] = "imagenet"

    def build(self, library: ModuleType) -> Any:
        return library.AutoAugment(library.AutoAugmentPolicy(self.policy))


class ColorJitter(ImageTransform, kind="ColorJitter"):
    """Changes brightness, contrast, saturation and hue, in an order that is drawn.

    In a file: ``augment ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4)``; ``ColorJitter`` of torchvision. Of
    grey images, saturation and hue change nothing.

    Attributes:
        brightness: Factors are drawn from 1 less this to 1 and this, >= 0.
        contrast: Likewise.
        saturation: Likewise.
        hue: Shifts are drawn up to this each way, as a share of the circle, in [0, 0.5].
    """

    brightness: float = Field(default=0.0, ge=0)
    contrast: float = Field(default=0.0, ge=0)
    saturation: float = Field(default=0.0, ge=0)
    hue: float = Field(default=0.0, ge=0, le=0.5)

    def build(self, library: ModuleType) -> Any:
        return library.ColorJitter(self.brightness, self.contrast, self.saturation, self.hue)


class CutMix(BatchTransform, kind="CutMix"):
    """Puts a rectangle of another sample into each sample of a batch, and mixes classes by area (Yun et al. 2019).

    In a file: ``augment CutMix(alpha=1.0)``; ``CutMix`` of torchvision. The other is the one before it in the batch.
    One rectangle is drawn for a batch, and is at one place in all time-steps.

    Attributes:
        alpha: Of the distribution Beta(alpha, alpha) that the share is drawn from, > 0: 1 makes all shares as likely.
        p: Share of the batches that are mixed, in [0, 1].
    """

    alpha: float = Field(default=1.0, gt=0)
    p: float = Field(default=1.0, ge=0, le=1)

    def build(self, library: ModuleType, classes: int) -> Any:
        return library.CutMix(alpha=self.alpha, num_classes=classes)


class DropEvent(EventTransform, kind="DropEvent"):
    """Leaves out a share of the events.

    In a file: ``augment DropEvent(p=0.2)``; ``DropEvent`` of tonic.

    Attributes:
        p: The share, in [0, 1).
    """

    p: float = Field(default=0.1, ge=0, lt=1)

    def build(self, library: ModuleType, sensor: tuple[int, int, int]) -> Any:  # of any size
        return library.DropEvent(p=self.p)


class EventDrop(EventTransform, kind="EventDrop"):
    """Leaves out the events of a time, of a rectangle, or some at random, or none: one of the four (Gu et al. 2021).

    In a file: ``augment EventDrop``; ``EventDrop`` of tonic.
    """

    def build(self, library: ModuleType, sensor: tuple[int, int, int]) -> Any:
        return library.EventDrop(sensor_size=sensor)


class Mixup(BatchTransform, kind="Mixup"):
    """Mixes each sample of a batch with the one before it, and their classes in the same shares (Zhang et al. 2018).

    In a file: ``augment Mixup(alpha=0.8)``; ``MixUp`` of torchvision. One share λ is drawn for a batch::

        x = λ · x[n] + (1 - λ) · x[n-1]        y = λ · y[n] + (1 - λ) · y[n-1]

    Attributes:
        alpha: Of the distribution Beta(alpha, alpha) that the share is drawn from, > 0: 1 makes all shares as likely.
        p: Share of the batches that are mixed, in [0, 1].
    """

    alpha: float = Field(default=0.8, gt=0)
    p: float = Field(default=1.0, ge=0, le=1)

    def build(self, library: ModuleType, classes: int) -> Any:
        return library.MixUp(alpha=self.alpha, num_classes=classes)


class NDA(SampleTransform, kind="NDA"):
    """Rolls, turns or covers frames of events, all time-steps of a sample alike.

    In a file: ``augment NDA``, usually with ``flip on``. Of these, ``ops`` are drawn::

        roll    by up to 2 · level + 1 pixels each way; what leaves comes in again opposite
        rotate  by up to 15 · level degrees each way, to the nearest pixel
        cutout  a square of 8 · level pixels is 0, its middle anywhere

    Source: Li et al. 2022, Neuromorphic Data Augmentation for Training Spiking Neural Networks; the policy M = ops,
    N = level that training code for CIFAR10-DVS has, with M = 1 and N = 2.

    Attributes:
        ops: How many, one after another; the same one may come again, >= 1.
        level: How much, >= 1.
    """

    ops: Positive = 1
    level: int = Field(default=2, ge=1, le=12)

    def build(self, library: ModuleType) -> Any:
        reach, side = 2 * self.level + 1, 8 * self.level
        turn = library.RandomRotation(15 * self.level)

        def change(x: Tensor) -> Tensor:
            for _ in range(self.ops):
                highs = (3, 2 * reach + 1, 2 * reach + 1, *x.shape[-2:])
                shares = x.new_empty(len(highs)).uniform_().tolist()
                which, down, right, row, column = (int(share * high) for share, high in zip(shares, highs, strict=True))
                if which == 0:
                    x = x.roll((down - reach, right - reach), (-2, -1))
                elif which == 1:
                    x = turn(x)
                else:
                    top, left = max(row - side // 2, 0), max(column - side // 2, 0)
                    height, width = row + side // 2 - top, column + side // 2 - left
                    x = library.functional.erase(x, top, left, height, width, x.new_zeros(()))
            return x

        return change


class RandAugment(ImageTransform, kind="RandAugment"):
    """Some operations on an image, drawn from fourteen, all of one strength (Cubuk et al. 2020).

    In a file: ``augment RandAugment(ops=2, strength=9)``; ``RandAugment`` of torchvision.

    Attributes:
        ops: How many operations, >= 1.
        strength: Of each, from 0 to 30.
    """

    ops: Positive = 2
    strength: int = Field(default=9, ge=0, le=30)

    def build(self, library: ModuleType) -> Any:
        return library.RandAugment(self.ops, self.strength)


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
            raise ValueError(f"the least area is {self.least}, and the most {self.most}")
        return self

    def build(self, library: ModuleType) -> Any:
        return library.RandomErasing(self.p, (self.least, self.most))


class RandomFlipPolarity(EventTransform, kind="RandomFlipPolarity"):
    """Turns both polarities of a recording around.

    In a file: ``augment RandomFlipPolarity(p=0.5)``; ``RandomFlipPolarity`` of tonic.

    Attributes:
        p: Share of the recordings that it is done to, in [0, 1].
    """

    p: float = Field(default=0.5, ge=0, le=1)

    def build(self, library: ModuleType, sensor: tuple[int, int, int]) -> Any:  # of any size
        return library.RandomFlipPolarity(p=self.p)


class SpatialJitter(EventTransform, kind="SpatialJitter"):
    """Moves each event by a distance of its own; one that leaves the sensor is left out.

    In a file: ``augment SpatialJitter(var_x=1.0, var_y=1.0)``; ``SpatialJitter`` of tonic.

    Attributes:
        var_x: Variance of the distance along a row, in pixels², > 0.
        var_y: Likewise along a column.
    """

    var_x: float = Field(default=1.0, gt=0)
    var_y: float = Field(default=1.0, gt=0)

    def build(self, library: ModuleType, sensor: tuple[int, int, int]) -> Any:
        return library.SpatialJitter(sensor_size=sensor, var_x=self.var_x, var_y=self.var_y, clip_outliers=True)


class TrivialAugment(ImageTransform, kind="TrivialAugment"):
    """One operation on an image, of a strength that is drawn too (Müller and Hutter 2021).

    In a file: ``augment TrivialAugment``; ``TrivialAugmentWide`` of torchvision.
    """

    def build(self, library: ModuleType) -> Any:
        return library.TrivialAugmentWide()


class UniformNoise(EventTransform, kind="UniformNoise"):
    """Adds events at random places and times, and puts all of them in the order of their times.

    In a file: ``augment UniformNoise(n=500)``; ``UniformNoise`` of tonic.

    Attributes:
        n: How many, >= 1.
    """

    n: Positive = 100

    def build(self, library: ModuleType, sensor: tuple[int, int, int]) -> Any:
        return library.UniformNoise(sensor_size=sensor, n=self.n)
