"""Train, validation and test splits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from sewdsl.train.data.dataset import DataError, SampleSet, Splits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Item = TypeVar("Item")
SPLIT_SEED = 2021
"""Fixed seed, independent of the recipe: all runs on a dataset use the same test samples."""


class Parts(NamedTuple):
    """Training, validation and test set of a run."""

    train: SampleSet
    validation: SampleSet | None
    test: SampleSet


def split_stratified(samples: SampleSet, test: float) -> Splits:
    """Split samples so that each class contributes the fraction ``test``, in (0, 1), to the test set."""
    return Splits(*_split(samples, test, SPLIT_SEED))


def split_off_validation(splits: Splits, share: float, seed: int, own: SampleSet | None = None) -> Parts:
    """Split a validation set off the training set, to select an epoch without the test set.

    Args:
        splits: Splits of the dataset. The test set is unchanged.
        share: Fraction of each class of the training set, in [0, 1) (0 disables validation).
        own: Validation set of the dataset, used for any share except 0, or None without one.

    Raises:
        DataError: If the training or the test set is empty.
    """
    parts = Parts(splits.train, None, splits.test)
    if share and own is not None:
        parts = Parts(splits.train, own, splits.test)
    elif share:
        parts = Parts(*_split(splits.train, share, seed), splits.test)
    for part, name in ((parts.train, "training"), (parts.test, "test")):
        if not len(part.y):
            cause = f": 'validation {share:g}' takes all {len(splits.train.y)}" if len(splits.train.y) else ""
            raise DataError(f"no {name} samples{cause if part is parts.train else ''}")
    return parts


def draw_share(labels: NDArray[np.int64], share: float, seed: int = SPLIT_SEED) -> NDArray[np.bool_]:
    """Draw a fraction of all samples, with nearly the same fraction of each class.

    The total is rounded, but at least 1. The count of each class is rounded down, and the remaining samples are drawn
    from the classes with the largest remainders. numpy's PCG64 selects the samples within a class.

    Args:
        labels: Class of each sample, ``[N]``.
        share: Fraction in (0, 1).
    """
    import numpy as np

    # PCG64 gives the same draw on every platform.
    generator = np.random.default_rng(seed)
    classes, sizes = np.unique(labels, return_counts=True)
    exact = share * sizes
    counts = np.floor(exact).astype(int)
    remaining = max(round(share * len(labels)), 1) - counts.sum()
    # A stable sort resolves ties in the same way on every platform.
    counts[np.argsort(counts - exact, kind="stable")[:remaining]] += 1
    is_drawn = np.zeros(len(labels), dtype=bool)
    for label, count in zip(classes, counts, strict=True):
        members = generator.permutation(np.flatnonzero(labels == label))
        is_drawn[members[:count]] = True
    return is_drawn


def hold_out(items: Sequence[Item], labels: Iterable[int], share: float) -> tuple[list[Item], list[Item]]:
    """Return the remaining and the held-out items, both in order (see :func:`draw_share`)."""
    import numpy as np

    is_held_out = draw_share(np.array(list(labels)), share).tolist()
    train, test = (
        [item for item, is_test in zip(items, is_held_out, strict=True) if is_test is part] for part in (False, True)
    )
    return train, test


def _split(samples: SampleSet, share: float, seed: int) -> tuple[SampleSet, SampleSet]:
    """Return the remaining and the drawn samples, both in order."""
    import torch

    is_drawn = torch.from_numpy(draw_share(samples.y.numpy(), share, seed))
    return samples.part(torch.nonzero(~is_drawn).flatten()), samples.part(torch.nonzero(is_drawn).flatten())
