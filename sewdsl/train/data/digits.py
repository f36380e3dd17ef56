"""The small handwritten digits that travel with scikit-learn, ``digits``."""

from __future__ import annotations

from sewdsl.train.data.dataset import DataSet, Splits
from sewdsl.train.data.images import Images
from sewdsl.train.data.split import stratified


class Digits(DataSet, name="digits"):
    """1,797 digits of 8x8 pixels (Alpaydin and Kaynak 1998): small enough for a test.

    A fifth of each class is for the test, drawn once and for all. Pixels are scaled from 0..16 to [-1, 1].
    """

    shape = (1, 8, 8)
    classes = 10

    def load(self) -> Splits:
        """The digits."""
        import numpy as np
        import torch
        from sklearn.datasets import load_digits

        found = load_digits()
        x = torch.from_numpy(found.images.astype(np.uint8)).reshape(-1, *self.shape)
        y = torch.from_numpy(found.target.astype(np.int64))
        images = Images(x, y, (0.5,), (0.5,), white=16, augmentation=self.setup.augmentation)
        return stratified(images, test=0.2)
