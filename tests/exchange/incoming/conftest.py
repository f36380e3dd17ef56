"""Kernels are not compiled for the many neurons here, each of which runs once; elsewhere they are as ever."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sewdsl.snn import kernels


@pytest.fixture(autouse=True, scope="module")
def _reference() -> Iterator[None]:
    with kernels.use_kernels("reference"):
        yield
