"""How samples are parted where the data set itself does not say."""

from __future__ import annotations

import numpy as np
import torch

from sewdsl.train.data.dataset import Samples, Splits

SEED = 2021
"""Fixed, and not the recipe's: all runs on a data set are judged by the same samples."""


def stratified(samples: Samples, test: float) -> Splits:
    """Parts the samples so that each class gives the same share of its own to the test set.

    The order within each class is drawn by numpy's PCG64 from a fixed seed; both parts keep the order of the samples.

    Args:
        samples: All of them.
        test: Share of each class that goes to the test set, in (0, 1), rounded to whole samples.
    """
    generator = np.random.default_rng(SEED)
    labels = samples.y.numpy()
    chosen = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        chosen[members[: round(test * len(members))]] = True
    mask = torch.from_numpy(chosen)
    return Splits(Samples(samples.x[~mask], samples.y[~mask]), Samples(samples.x[mask], samples.y[mask]))
