"""Plain PyTorch in place of kernels, which would be compiled for many neurons that each run once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sewdsl.snn import kernels


@pytest.fixture(autouse=True, scope="module")
def _reference() -> Iterator[None]:
    with kernels.use_kernels("reference"):
        yield
