"""Image datasets of torchvision: ``cifar10``, ``cifar100``, ``mnist`` and ``fashion-mnist``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from sewdsl.train.data import data_folders
from sewdsl.train.data.dataset import DataError, DataSet, Images, Normalisation, Splits
from sewdsl.train.data.digits import MNIST_DEVIATION, MNIST_MEAN


class VisionDataSet(DataSet):
    """Images and split of the torchvision dataset with the name of the class."""

    shape: ClassVar[tuple[int, int, int]]
    classes: ClassVar[int]
    marker: ClassVar[str]
    """Folder created by torchvision."""
    files: ClassVar[str]
    counts: ClassVar[tuple[int, int]]
    """Number of training and test images."""
    size: ClassVar[str]
    mean: ClassVar[Sequence[float]]
    """Mean per channel of the training images, after scaling to [0, 1]."""
    deviation: ClassVar[Sequence[float]]
    """Standard deviation per channel, on the same scale."""
    named: ClassVar[bool] = True
    """Whether the classes have names in torchvision that are more than numbers."""

    def find(self) -> str:
        return f"'{self._root / self.marker}'"

    def normalisation(self) -> Normalisation:
        return Normalisation(self.mean, self.deviation)

    def load(self) -> Splits:
        return Splits(self._images(train=True), self._images(train=False))

    @cached_property
    def _root(self) -> Path:
        """Parent folder of the marker."""
        folder = self.setup.folder
        for candidate in data_folders.candidate_folders(folder, (self.name,)):
            if (candidate / self.marker).is_dir():
                return candidate
            # Users may pass torchvision's folder itself.
            if candidate.name == self.marker:
                return candidate.parent
        python = f"torchvision.datasets.{type(self).__name__}('DIR', download=True)"
        patterns = [(f"{self.marker}/{self.files}", "torchvision")]
        source = f'{self.size}: python -c "import torchvision; {python}"'
        raise DataError(data_folders.missing_data_message(self.name, folder, (self.name,), patterns, source))

    def _images(self, *, train: bool) -> Images:
        import numpy as np
        import torch

        folder = self._root / self.marker
        try:
            from torchvision import datasets

            dataset = getattr(datasets, type(self).__name__)(self._root, train)
            pixels, y = np.asarray(dataset.data), np.asarray(dataset.targets)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 -- a damaged file can end in any of them
            # Remove the advice to pass download=True: it is an option of torchvision, not of sewdsl.
            complaint = str(error).partition(" You can use download")[0]
            reason = self._find_damaged_file() or complaint or "the size of a file differs from its header"
            raise DataError(f"'{folder}' is damaged or incomplete: {reason}") from None
        full_count = self.counts[0 if train else 1]
        part = "training" if train else "test"
        channels, *size = self.shape
        # torchvision stores channels last, and no channel axis for greyscale.
        expected = (len(y), *size, channels) if channels > 1 else (len(y), *size)
        if pixels.shape != expected or not ((y >= 0) & (y < self.classes)).all():
            message = (
                f"'{folder}' is damaged: its {part} images have the shape {pixels.shape}, expected {expected}, and "
                f"their classes are {y.min(initial=0)} to {y.max(initial=0)}, expected 0 to {self.classes - 1}"
            )
            raise DataError(message)
        if len(y) != full_count and not self.setup.subset:
            message = f"'{folder}' has {len(y):,} of {full_count:,} {part} images; to accept them, add 'subset on'"
            raise DataError(message)
        self.names = tuple(dataset.classes) if self.named else ()
        x = torch.as_tensor(pixels)
        x = x.movedim(-1, 1) if channels > 1 else x[:, None]
        labels = torch.as_tensor(y, dtype=torch.int64)
        return Images(x, labels, self.normalisation(), self.setup.augmentation)

    def _find_damaged_file(self) -> str:
        """Return a message for the first missing or modified file (empty without one)."""
        from torchvision import datasets
        from torchvision.datasets.utils import check_integrity

        kind = getattr(datasets, type(self).__name__)
        folder = self._root / self.marker
        # CIFAR has lists of files with digests, MNIST has resources without digests of the unpacked files.
        files = [*getattr(kind, "train_list", []), *getattr(kind, "test_list", [])]
        files += [(meta["filename"], meta["md5"]) for meta in [getattr(kind, "meta", None)] if meta]
        files += [(f"raw/{Path(url).stem}", None) for url, _ in getattr(kind, "resources", [])]
        for name, digest in files:
            if not (folder / name).is_file():
                return f"'{name}' is missing"
            if not check_integrity(str(folder / name), digest):
                return f"'{name}' differs from the published file"
        return ""


class CIFAR10(VisionDataSet, name="cifar10"):
    """CIFAR-10 (Krizhevsky 2009): 50,000 photographs for training and 10,000 for testing.

    The common augmentation is ``shift 4`` and ``flip on``.
    """

    shape = (3, 32, 32)
    classes = 10
    marker = "cifar-10-batches-py"
    files = "{data_batch_1,…,data_batch_5,test_batch}"
    counts = (50_000, 10_000)
    size = "170 MB"
    mean = (0.4914, 0.4822, 0.4465)
    deviation = (0.2470, 0.2435, 0.2616)


class CIFAR100(CIFAR10, name="cifar100"):
    """CIFAR-100 (Krizhevsky 2009): 100 classes, with 50,000 photographs for training and 10,000 for testing."""

    classes = 100
    marker = "cifar-100-python"
    files = "{train,test}"
    mean = (0.5071, 0.4865, 0.4409)
    deviation = (0.2673, 0.2564, 0.2762)


class MNIST(VisionDataSet, name="mnist"):
    """MNIST (LeCun et al. 1998): 60,000 digits for training and 10,000 for testing."""

    shape = (1, 28, 28)
    classes = 10
    marker = "MNIST"
    files = "raw/{train,t10k}-{images-idx3,labels-idx1}-ubyte"
    counts = (60_000, 10_000)
    size = "12 MB"
    mean = MNIST_MEAN
    deviation = MNIST_DEVIATION
    named = False


class FashionMNIST(MNIST, name="fashion-mnist"):
    """Fashion-MNIST (Xiao et al. 2017): 60,000 pieces of clothing for training and 10,000 for testing."""

    marker = "FashionMNIST"
    size = "31 MB"
    mean = (0.2860,)
    deviation = (0.3530,)
    named = True
