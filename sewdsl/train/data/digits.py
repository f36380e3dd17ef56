"""The small handwritten digits that travel with scikit-learn, ``digits``."""

from __future__ import annotations

from sewdsl.train.data.dataset import DataSet, Splits
from sewdsl.train.data.image_samples import Images, scaling
from sewdsl.train.data.split import split_stratified

PIXEL_MEAN = (0.5,)
"""Subtracted from pixels on the scale from 0 to 1, which are then divided by it."""


class Digits(DataSet, name="digits"):
    """1,797 digits of 8x8 pixels (Alpaydin and Kaynak 1998): small enough for a test.

    A fifth of each class is for the test, drawn once and for all. Pixels are scaled from 0..16 to [-1, 1].
    """

    shape = (1, 8, 8)
    classes = 10

    def scaling(self) -> str:
        """To [-1, 1]; the whitest pixel is 16."""
        return scaling(PIXEL_MEAN, PIXEL_MEAN)

    def load(self) -> Splits:
        """The digits."""
        import numpy as np
        import torch
        from sklearn.datasets import load_digits

        found = load_digits()
        x = torch.from_numpy(found.images.astype(np.uint8)).reshape(-1, *self.shape)
        y = torch.from_numpy(found.target.astype(np.int64))
        images = Images(x, y, PIXEL_MEAN, PIXEL_MEAN, white=16, augmentation=self.setup.augmentation)
        return split_stratified(images, test=0.2)
