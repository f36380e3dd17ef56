"""How samples are parted where the dataset itself does not say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from sewdsl.train.data.dataset import DataError, SampleSet, Splits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Item = TypeVar("Item")
SPLIT_SEED = 2021
"""Fixed, and not the recipe's: all runs on a dataset are judged by the same samples."""


class Parts(NamedTuple):
    """What a network learns from, what its best epoch is chosen by if there is such a part, and what judges it."""

    train: SampleSet
    validation: SampleSet | None
    test: SampleSet


def split_stratified(samples: SampleSet, test: float) -> Splits:
    """Split samples so that each class gives the same share of its own to the test set.

    Args:
        test: Share that goes to the test set, in (0, 1); see :func:`draw_share`.
    """
    return Splits(*_parted(samples, test, SPLIT_SEED))


def split_off_validation(splits: Splits, share: float, seed: int, own: SampleSet | None = None) -> Parts:
    """Take a part out of the training set, by which an epoch can be chosen without a look at the test set.

    Args:
        splits: The dataset's own; the test set stays as it is.
        share: Share of the training set, and of each class in it, in [0, 1); with 0 there is no validation set.
        own: The validation set that the dataset itself has; with any share but 0 it is taken as it is. None: none.

    Raises:
        DataError: If there is nothing to learn from, or nothing to judge by.
    """
    parts = Parts(splits.train, None, splits.test)
    if share and own is not None:
        parts = Parts(splits.train, own, splits.test)
    elif share:
        parts = Parts(*_parted(splits.train, share, seed), splits.test)
    for part, purpose in ((parts.train, "to learn from"), (parts.test, "for the test")):
        if not len(part.y):
            taken = f": 'validation {share:g}' takes all {len(splits.train.y)}" if len(splits.train.y) else ""
            raise DataError(f"there are no samples {purpose}{taken if part is parts.train else ''}")
    return parts


def draw_share(labels: NDArray[np.int64], share: float, seed: int = SPLIT_SEED) -> NDArray[np.bool_]:
    """Draw a share of all samples, to which each class gives nearly the same share of its own.

    The whole is rounded to a number of samples, but at least one; what is left over when each class's share is rounded
    down comes from the classes with the largest rests. Who is drawn within a class is decided by numpy's PCG64.

    Args:
        labels: Class of each sample, ``[N]``.
        share: In (0, 1).
    """
    import numpy as np

    generator = np.random.default_rng(seed)
    classes, sizes = np.unique(labels, return_counts=True)
    exact = share * sizes
    counts = np.floor(exact).astype(int)
    left = max(round(share * len(labels)), 1) - counts.sum()
    counts[np.argsort(counts - exact, kind="stable")[:left]] += 1
    chosen = np.zeros(len(labels), dtype=bool)
    for label, count in zip(classes, counts, strict=True):
        members = generator.permutation(np.flatnonzero(labels == label))
        chosen[members[:count]] = True
    return chosen


def hold_out(items: Sequence[Item], labels: Iterable[int], share: float) -> tuple[list[Item], list[Item]]:
    """Return what is left of some items and a share that is held out, both in order; see :func:`draw_share`."""
    import numpy as np

    held = draw_share(np.array(list(labels)), share).tolist()
    train, test = (
        [item for item, is_test in zip(items, held, strict=True) if is_test is part] for part in (False, True)
    )
    return train, test


def _parted(samples: SampleSet, share: float, seed: int) -> tuple[SampleSet, SampleSet]:
    """Return what is left and the share, both in the order of the samples."""
    import torch

    chosen = torch.from_numpy(draw_share(samples.y.numpy(), share, seed))
    return samples.part(torch.nonzero(~chosen).flatten()), samples.part(torch.nonzero(chosen).flatten())
