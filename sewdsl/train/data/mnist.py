"""Handwritten digits and clothes, ``mnist`` and ``fashion-mnist``."""

from __future__ import annotations

from sewdsl.train.data import mnist5k
from sewdsl.train.data.torchvision_dataset import VisionDataSet

FILES = "raw/{train,t10k}-{images-idx3,labels-idx1}-ubyte"


class MNIST(VisionDataSet, name="mnist"):
    """MNIST (LeCun et al. 1998): 60,000 digits for training and 10,000 for the test."""

    shape = (1, 28, 28)
    classes = 10
    marker = "MNIST"
    files = FILES
    counts = (60_000, 10_000)
    size = "12 MB"
    mean = (mnist5k.MEAN,)
    deviation = (mnist5k.DEVIATION,)
    named = False


class FashionMNIST(VisionDataSet, name="fashion-mnist"):
    """Fashion-MNIST (Xiao et al. 2017): 60,000 pieces of clothing for training and 10,000 for the test."""

    shape = (1, 28, 28)
    classes = 10
    marker = "FashionMNIST"
    files = FILES
    counts = (60_000, 10_000)
    size = "31 MB"
    mean = (0.2860,)
    deviation = (0.3530,)
