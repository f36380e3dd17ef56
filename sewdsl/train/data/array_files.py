"""Arrays of custom samples, ``numpy-files``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sewdsl.ir.settings import InputSetting
from sewdsl.light_dataclass import dataclass
from sewdsl.train.data import data_folders
from sewdsl.train.data.augmentation import RandomSource
from sewdsl.train.data.dataset import DataError, DataMismatch, DataSet, Samples, SampleSet, Splits
from sewdsl.train.data.numpy_files import read_arrays
from sewdsl.train.data.split import split_stratified

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

INPUT, CLASSES = "x", "y"
"""Names of the arrays of an input without a name, and of the classes."""
PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Arrays:
    """Samples in memory, with one array per input."""

    arrays: Mapping[str, Tensor]
    """``[N, *]``, or ``[N, T, *]`` for a sequence, by name."""
    y: Tensor
    """Classes ``[N]``."""
    sequences: frozenset[str] = frozenset()
    named: bool = False
    """Whether a batch is a dictionary of the inputs."""
    readers: int = 0

    def batch(self, indices: Tensor, draw: RandomSource | None = None) -> Samples:
        """Return a batch, with time as the first axis of sequences."""
        x = {name: array[indices] for name, array in self.arrays.items()}
        x |= {name: x[name].transpose(0, 1).contiguous() for name in self.sequences}
        return Samples(x if self.named else x[INPUT], self.y[indices])

    def part(self, indices: Tensor) -> Arrays:
        """Return a subset of the samples, in the order of the indices."""
        arrays = {name: array[indices] for name, array in self.arrays.items()}
        return Arrays(arrays, self.y[indices], self.sequences, self.named)


class NumpyFiles(DataSet, name="numpy-files"):
    """Arrays in ``train.npz`` and ``test.npz``: the inputs by name, or ``x``, and the classes ``y``.

    A static input is ``[N, *]``, and a sequence ``[N, T, *]``, or ``[N, T]`` for single numbers. Without ``test.npz``,
    a part of the training samples is held out. ``validation.npz`` is optional. Without a loss whose target is the
    class, so is ``y``.
    """

    shape = None
    classes = None
    has_names = True

    @property
    def varies(self) -> bool:  # type: ignore[override]
        """Whether an input is a sequence."""
        return any(map(self._is_sequence, self._sources))

    @property
    def _sources(self) -> tuple[InputSetting, ...]:
        return self.setup.inputs or (InputSetting("", self.setup.shape or ()),)

    def _is_sequence(self, source: InputSetting) -> bool:
        return source.encode == "none" and self.setup.steps > 1

    def find(self) -> str:
        return f"arrays in '{self._folder()}'"

    def scaling(self) -> str:
        return "values as in the files"

    def load(self) -> Splits:
        folder = self._folder()
        parts = {part: self._read(folder / f"{part}.npz") for part in PARTS if (folder / f"{part}.npz").is_file()}
        self.validation = parts.get("validation")
        if "test" in parts:
            return Splits(parts["train"], parts["test"])
        return split_stratified(parts["train"], self.setup.holdout)

    def _folder(self) -> Path:
        """Return the folder with the files, or raise DataError if train.npz is missing."""
        folders = [*data_folders.candidate_folders(self.setup.folder, (self.name,))]
        data_folder = next((folder for folder in folders if (folder / "train.npz").is_file()), None)
        if data_folder is None:
            names = ", ".join(source.name or INPUT for source in self._sources)
            names += f" and {CLASSES}" if self.setup.labelled else ""
            patterns = [("train.npz", f"arrays by name: {names} (write them with numpy.savez)")]
            raise DataError(data_folders.missing_data_message(self.name, self.setup.folder, (self.name,), patterns, ""))
        return data_folder

    def _read(self, path: Path) -> SampleSet:
        """Read one file, or raise DataError if an array is damaged, and DataMismatch if it does not fit."""
        import numpy as np
        import torch

        names = [source.name or INPUT for source in self._sources]
        try:
            arrays = read_arrays(path, [*names, *([CLASSES] if self.setup.labelled else [])])
        except (OSError, ValueError) as error:
            raise DataError(f"'{path}' cannot be read: {error}") from None
        y = arrays.pop() if self.setup.labelled else np.zeros(len(np.atleast_1d(arrays[0])), np.int64)
        if y.ndim != 1 or y.dtype.kind not in "iu" or not len(y):
            raise DataError(f"{CLASSES} in '{path}' must have one integer per sample, got {_layout(y)}")
        classes = self.setup.classes
        if y.min() < 0 or (classes is not None and y.max() >= classes):
            valid = "at least 0" if classes is None else f"0 to {classes - 1}"
            raise DataMismatch(f"{CLASSES} in '{path}' has the classes {y.min()} to {y.max()}, expected {valid}")
        tensors: dict[str, Tensor] = {}
        for source, name, array in zip(self._sources, names, arrays, strict=True):
            time = (self.setup.steps,) if self._is_sequence(source) else ()
            expected = (len(y), *time, *source.shape)
            if source.shape == (1,) and array.shape == expected[:-1]:
                array = array[..., None]  # noqa: PLW2901 -- the same numbers
            if array.dtype.kind not in "fiub" or (source.shape and array.shape != expected):
                raise DataMismatch(f"{name} in '{path}' must be numbers {list(expected)}, got {_layout(array)}")
            low, high, limit = float(array.min()), float(array.max()), float(np.finfo(np.float32).max)
            # The comparison with NaN is false.
            if not -limit <= low <= high <= limit:
                raise DataError(f"{name} in '{path}' contains values that are not numbers in the range of float32")
            if source.of is not None and not (low >= 0 and high < source.of and (array == np.rint(array)).all()):
                raise DataMismatch(
                    f"{name} in '{path}' has values from {array.min()} to {array.max()}, expected integers from 0 to "
                    f"{source.of - 1}"
                )
            native = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
            tensors[name] = torch.from_numpy(native.astype(np.float32) if native.dtype.kind == "f" else native.copy())
        sequences = frozenset(
            name for source, name in zip(self._sources, names, strict=True) if self._is_sequence(source)
        )
        return Arrays(
            tensors, torch.from_numpy(y.astype(np.int64)), sequences, any(source.name for source in self._sources)
        )


def _layout(array: NDArray[Any]) -> str:
    return f"{array.dtype} {list(array.shape)}"
