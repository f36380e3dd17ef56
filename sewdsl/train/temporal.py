"""Random temporal delete: training on fewer time-steps than the test has (appendix A.2)."""

from __future__ import annotations

import torch
from torch import Tensor


def temporal_delete(x_TN: Tensor, keep: int, generator: torch.Generator | None = None) -> Tensor:
    """Some of the time-steps of a sequence, drawn without replacement, in their order.

    All samples of the batch lose the same steps; which ones is drawn anew for each batch.

    Args:
        x_TN: A sequence ``[T, N, *]``.
        keep: How many steps to keep, T_train, in 1..T.
        generator: Where the draw comes from; None: torch's own.

    Returns:
        ``[keep, N, *]``.

    Raises:
        ValueError: there are not so many steps.
    """
    T = len(x_TN)
    if not 1 <= keep <= T:
        message = f"cannot keep {keep} of {T} time-steps"
        raise ValueError(message)
    kept = torch.randperm(T, generator=generator)[:keep].sort().values
    if x_TN.stride(0) == 0:
        return x_TN[:keep]  # all steps are one: which are kept makes no difference
    return x_TN[kept.to(x_TN.device)]
