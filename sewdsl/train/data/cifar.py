"""Small photographs, ``cifar10`` and ``cifar100``."""

from __future__ import annotations

from sewdsl.train.data.torchvision_dataset import VisionDataSet


class CIFAR10(VisionDataSet, name="cifar10"):
    """CIFAR-10 (Krizhevsky 2009): 50,000 photographs for training and 10,000 for the test.

    The usual augmentation is ``shift 4`` and ``flip on``.
    """

    shape = (3, 32, 32)
    classes = 10
    marker = "cifar-10-batches-py"
    files = "{data_batch_1,…,data_batch_5,test_batch}"
    counts = (50_000, 10_000)
    size = "170 MB"
    mean = (0.4914, 0.4822, 0.4465)
    deviation = (0.2470, 0.2435, 0.2616)


class CIFAR100(VisionDataSet, name="cifar100"):
    """CIFAR-100 (Krizhevsky 2009): the same for 100 classes."""

    shape = (3, 32, 32)
    classes = 100
    marker = "cifar-100-python"
    files = "{train,test}"
    counts = (50_000, 10_000)
    size = "170 MB"
    mean = (0.5071, 0.4865, 0.4409)
    deviation = (0.2673, 0.2564, 0.2762)
