"""Random numbers of one's own for code that draws from generators of the whole process.

Threads read samples ahead while dropout masks are drawn: what all of them drew from torch's generator would depend on
who came first.
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
"""Functions of torch that take a generator, by name."""


class OwnGenerator(TorchFunctionMode):
    """Within it, and in this thread alone, torch's functions draw from another generator."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._generator = torch.Generator().manual_seed(seed)

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        """Call the function, with the generator where it takes one."""
        options = dict(kwargs or {})
        if getattr(func, "__name__", "") in DRAWING and options.get("generator") is None:
            options["generator"] = self._generator
        return func(*args, **options)


_NUMPY = threading.Lock()


@contextmanager
def own_numpy(seed: int) -> Iterator[None]:
    """Within it, numpy's generator of the whole process begins with a seed; afterwards it goes on where it was."""
    with _NUMPY:
        before = np.random.get_state()  # noqa: NPY002 -- what others draw from
        np.random.seed(seed % 2**32)  # noqa: NPY002 -- as above
        try:
            yield
        finally:
            np.random.set_state(before)  # noqa: NPY002 -- as above
