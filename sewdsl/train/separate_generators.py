"""Separate random generators for code that draws from global ones.

Prefetching threads augment samples while the main thread draws e.g. dropout masks. With a shared generator, the results
would depend on the timing of the threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

DRAWING = {
    "rand",
    "randn",
    "randint",
    "randperm",
    "multinomial",
    "bernoulli",
    "bernoulli_",
    "uniform_",
    "normal_",
    "random_",
    "exponential_",
    "_sample_dirichlet",
}
"""Names of PyTorch functions that accept a generator."""


class SeparateGenerator(TorchFunctionMode):
    """Context in which PyTorch functions of this thread draw from a separate generator."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._generator = torch.Generator().manual_seed(seed)

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        """Call the function, with the generator if the function accepts a generator."""
        options = dict(kwargs or {})
        if getattr(func, "__name__", "") in DRAWING and options.get("generator") is None:
            options["generator"] = self._generator
        return func(*args, **options)


_NUMPY = threading.Lock()


@contextmanager
def seeded_numpy(seed: int) -> Iterator[None]:
    """Seed numpy's global generator within a context, and restore its state afterwards."""
    # The state is global: only one thread at a time may replace it.
    with _NUMPY:
        before = np.random.get_state()  # noqa: NPY002 -- the global generator is the purpose
        np.random.seed(seed % 2**32)  # noqa: NPY002 -- as above
        try:
            yield
        finally:
            np.random.set_state(before)  # noqa: NPY002 -- as above
