"""Datasets as ``torch.utils.data.Dataset``, for loaders and custom training loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sewdsl.plugins import import_plugin_file, plugin_files
from sewdsl.syntax.suggestions import did_you_mean
from sewdsl.train.data import make_dataset
from sewdsl.train.data.dataset import IN_MEMORY_BYTES, Reading, SampleSet

Split = Literal["train", "validation", "test"]

Sample = tuple[Tensor, int]
"""Input ``[C, H, W]``, or ``[T, C, H, W]`` for sequences, and class, from 0."""


class SampleDataset(Dataset[Sample]):
    """One split of a dataset, split and scaled as in ``sewdsl train``, and never augmented.

    Samples in files are read on access. The dataset can be pickled for the workers of a ``DataLoader``, with any start
    method. The workers import the same plugin files as this process.

    Args:
        samples: Samples of the split.
        varies: Whether the samples are sequences.
        classes: Number of classes, or None if only the network defines it.
        names: Names of the classes, in order (empty if they are numbers).
    """

    def __init__(self, samples: SampleSet, *, varies: bool, classes: int | None, names: Sequence[str]) -> None:
        self.samples, self.varies, self.classes, self.names = samples, varies, classes, tuple(names)

    def __len__(self) -> int:
        return len(self.samples.y)

    def __getitem__(self, index: int) -> Sample:
        """Return a sample and its class.

        Raises:
            IndexError: If the index is out of range.
            DataError: If the sample cannot be read.
        """
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Sample]:
        """Return several samples at once, which is faster than one by one. ``DataLoader`` calls this method.

        Raises:
            IndexError, DataError: As for a single sample.
        """
        length = len(self)
        for index in indices:
            # Negative indices count from the end, as in lists.
            if not -length <= index < length:
                raise IndexError(f"sample index {index} is out of range for {length:,} samples")
        x, y = self.samples.batch(torch.tensor([index % length for index in indices], dtype=torch.int64))
        if self.varies:
            x = x.transpose(0, 1)
        return [(sample, int(label)) for sample, label in zip(x, y.tolist(), strict=True)]

    @property
    def targets(self) -> Tensor:
        """Classes ``[N]`` of all samples, without reading these."""
        return self.samples.y

    def loader(self, batch: int, *, shuffle: bool = False, **options: Any) -> DataLoader[Sample]:
        """Return a ``DataLoader`` of batches in the format of networks, with time first.

        Args:
            batch: Batch size. The last batch may be smaller.
            shuffle: Whether to reshuffle the samples in each epoch.
            **options: Further options of ``DataLoader``, e.g. ``num_workers``, ``drop_last`` or ``generator``.

        Returns:
            Batches of inputs ``[N, C, H, W]``, or sequences ``[T, N, C, H, W]``, with classes ``[N]``.
        """
        return DataLoader(self, batch, shuffle=shuffle, collate_fn=self.collate, **options)

    def collate(self, batch: Sequence[Sample]) -> tuple[Tensor, Tensor]:
        """Stack samples in the format of networks, as :meth:`loader` does.

        Returns:
            Inputs ``[N, C, H, W]``, or sequences ``[T, N, C, H, W]``, and classes ``[N]``.
        """
        x = torch.stack([sample for sample, _ in batch], dim=1 if self.varies else 0)
        return x, torch.tensor([label for _, label in batch])

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for pickle, with the plugin files."""
        attributes = {name: value for name, value in self.__dict__.items() if name != "plugins"}
        # Plugin files come first: unpickling the other attributes may need their classes.
        return {"plugins": _Plugins([str(file.path) for file in plugin_files()]), **attributes}


class _Plugins:
    """Plugin files that are imported on unpickling."""

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
    """Load a split of a dataset by name, for a ``DataLoader``.

    Args:
        name: Name as in ``train on NAME``, also of a custom dataset that is defined or imported before.
        split: ``train``, ``test``, or ``validation`` for datasets that have a validation set.
        data: Dataset folder, or folder of several datasets. The default is the environment variable ``SEWDSL_DATA``.
            Datasets that come with a package need no folder.
        steps: Number of time-steps T of a sequence.
        shape: ``(C, H, W)`` of a sample, for datasets without a fixed shape.
        subset: Whether to accept an incomplete dataset.
        in_memory: Largest split to cache in memory, in bytes (see :class:`sewdsl.train.data.Reading`). Each worker of a
            loader has its own cache.

    Returns:
        Samples ``[C, H, W]``, or sequences ``[T, C, H, W]``, with their class.

    Raises:
        ValueError: If the dataset or the split is unknown, or if the dataset requires a shape.
        DataError: If samples are missing or damaged.
    """
    if split not in get_args(Split):
        hint = did_you_mean(str(split), get_args(Split)) or "expected train, validation or test"
        raise ValueError(f"unknown split '{split}'; {hint}")
    source = make_dataset(name, data, steps, shape, Reading(in_memory=in_memory), subset=subset)
    train, test = source.load()
    if split == "validation" and source.validation is None:
        message = f"dataset {name} has no validation set; split one off the training samples, e.g. by random_split"
        raise ValueError(message)
    parts: dict[str, SampleSet | None] = {"train": train, "test": test, "validation": source.validation}
    samples = parts[split]
    assert samples is not None  # noqa: S101 -- checked above
    return SampleDataset(samples, varies=source.varies, classes=source.classes, names=source.names)
