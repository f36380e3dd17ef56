"""A data set of ours as a ``torch.utils.data.Dataset``: sample by sample, for loaders and loops of one's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sewdsl.elaborate.suggestions import did_you_mean
from sewdsl.plugins import import_plugin_file, plugin_files
from sewdsl.train.data import make_dataset
from sewdsl.train.data.dataset import IN_MEMORY_BYTES, Reading, SampleSet

Split = Literal["train", "validation", "test"]

Sample = tuple[Tensor, int]
"""An input, ``[C, H, W]``, or where samples are sequences ``[T, C, H, W]``; and its class, from 0."""


class SampleDataset(Dataset[Sample]):
    """One split of a data set, as ``sewdsl train`` parts and scales it; its samples are as in a test, never augmented.

    What lies in files is read when it is asked for. It can be pickled, so the workers of a ``DataLoader`` may have it
    however they are started; they import the plugin files that this process has imported.

    Args:
        varies: Whether its samples are sequences.
        classes: How many classes there are; None: that is known to the network alone.
        names: Of the classes, in order; empty where they are numbers.
    """

    def __init__(self, samples: SampleSet, *, varies: bool, classes: int | None, names: Sequence[str]) -> None:
        self.samples, self.varies, self.classes, self.names = samples, varies, classes, tuple(names)

    def __len__(self) -> int:
        return len(self.samples.y)

    def __getitem__(self, index: int) -> Sample:
        """Return one sample and its class.

        Raises:
            IndexError: If there is none of that number.
            DataError: If it cannot be read.
        """
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Sample]:
        """Return several samples, which a ``DataLoader`` asks for: a batch of small images takes one step.

        Raises:
            IndexError, DataError: As for one.
        """
        length = len(self)
        for index in indices:
            if not -length <= index < length:
                raise IndexError(f"sample {index} of {length:,}")
        x, y = self.samples.batch(torch.tensor([index % length for index in indices], dtype=torch.int64))
        if self.varies:
            x = x.transpose(0, 1)
        return [(one, int(label)) for one, label in zip(x, y.tolist(), strict=True)]

    @property
    def targets(self) -> Tensor:
        """The classes ``[N]`` of all samples, without reading these."""
        return self.samples.y

    def loader(self, batch: int, *, shuffle: bool = False, **options: Any) -> DataLoader[Sample]:
        """Return a ``DataLoader`` of batches as networks take them, with time first.

        Args:
            batch: Samples in a batch; the last batch may have fewer.
            shuffle: Whether to draw a new order of the samples in each epoch.
            **options: Other options of ``DataLoader``: ``num_workers``, ``drop_last``, ``generator``, ….

        Returns:
            Pairs of inputs ``[N, C, H, W]``, or of sequences ``[T, N, C, H, W]``, and classes ``[N]``.
        """
        return DataLoader(self, batch, shuffle=shuffle, collate_fn=self.collate, **options)

    def collate(self, batch: Sequence[Sample]) -> tuple[Tensor, Tensor]:
        """Join samples as networks take them; :meth:`loader` does so.

        Returns:
            Inputs ``[N, C, H, W]``, or of sequences ``[T, N, C, H, W]``, and classes ``[N]``.
        """
        x = torch.stack([one for one, _ in batch], dim=1 if self.varies else 0)
        return x, torch.tensor([label for _, label in batch])

    def __getstate__(self) -> dict[str, Any]:
        """Return what pickle keeps; plugin files come first, as what follows may be of their classes."""
        kept = {name: value for name, value in self.__dict__.items() if name != "plugins"}
        return {"plugins": _Plugins([str(file.path) for file in plugin_files()]), **kept}


class _Plugins:
    """Plugin files, which are imported where this is unpickled."""

    def __init__(self, paths: list[str]) -> None:
        self.paths = paths
        for path in paths:
            import_plugin_file(Path(path))

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _Plugins, (self.paths,)


def dataset(
    name: str,
    split: Split = "train",
    data: str | Path | None = None,
    *,
    steps: int = 1,
    shape: tuple[int, ...] | None = None,
    subset: bool = False,
    in_memory: int = IN_MEMORY_BYTES,
) -> SampleDataset:
    """Return a split of a data set by its name, for a ``DataLoader``.

    Args:
        name: As written after ``train on``; also of one's own, once its class is defined or its file imported.
        split: ``train``, ``test``, or ``validation`` of data sets that have one of their own.
        data: Where the data lies, if it travels with no package; None: where the variable ``SEWDSL_DATA`` says.
        steps: Time-steps T of sequences.
        shape: ``(C, H, W)`` of a sample, for data sets that have none of their own.
        subset: Whether only a part of the data may be there.
        in_memory: Bytes that the frames of a split may take in memory once they are read; see
            :class:`sewdsl.train.data.Reading`. Each worker of a loader has its own.

    Returns:
        Pairs of an input, ``[C, H, W]`` or of sequences ``[T, C, H, W]``, and its class.

    Raises:
        ValueError: If there is no such data set or split, or it needs a shape.
        DataError: If its samples are missing, not all there, or damaged.
    """
    if split not in get_args(Split):
        hint = did_you_mean(str(split), get_args(Split)) or "there are: train, validation, test"
        raise ValueError(f"unknown split '{split}'; {hint}")
    made = make_dataset(name, data, steps, shape, Reading(in_memory=in_memory), subset=subset)
    train, test = made.load()
    if split == "validation" and made.validation is None:
        message = f"{name} has no validation set of its own; random_split of torch takes one from training samples"
        raise ValueError(message)
    parts: dict[str, SampleSet | None] = {"train": train, "test": test, "validation": made.validation}
    samples = parts[split]
    assert samples is not None  # noqa: S101 -- as was looked at above
    return SampleDataset(samples, varies=made.varies, classes=made.classes, names=made.names)
