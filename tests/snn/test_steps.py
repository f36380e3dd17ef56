"""Values that are the same at every time-step."""

from __future__ import annotations

import pytest
import torch

from sewdsl.snn.time_steps import expand_steps
from tests.snn.kernels.cases import LAYOUTS, current

STEPS = 5


@pytest.mark.parametrize("shape", [(1, 3, 4, 5, 6), (1, 3, 4, 1, 6), (1, 1, 4, 5, 5), (1, 3, 1, 1, 1), (1, 0, 4, 2, 2)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_repeated_without_a_copy(layout: str, shape: tuple[int, ...]) -> None:
    x_TN = LAYOUTS[layout](current(*shape, dtype=torch.float64)).detach().requires_grad_()
    repeated = expand_steps(x_TN, STEPS)
    assert torch.equal(repeated, x_TN.expand(STEPS, *shape[1:]))
    assert repeated.untyped_storage().data_ptr() == x_TN.untyped_storage().data_ptr()
    assert x_TN.numel() == 0 or repeated.stride(0) == 0
    long = [axis for axis in range(1, len(shape)) if shape[axis] > 1 and x_TN.numel()]
    assert [repeated.stride(axis) for axis in long] == [x_TN.stride(axis) for axis in long]

    g_TN = LAYOUTS[layout](current(STEPS, *shape[1:], dtype=torch.float64, seed=1))
    (found,) = torch.autograd.grad(repeated, x_TN, g_TN)
    torch.testing.assert_close(found, g_TN.sum(0, keepdim=True), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("shape", [(1, 3, 7), (1, 3)])
def test_without_maps(shape: tuple[int, ...]) -> None:
    x_TN = current(*shape)
    assert torch.equal(expand_steps(x_TN, STEPS), x_TN.expand(STEPS, *shape[1:]))


def test_a_sequence_stays_as_it_is() -> None:
    x_TN = current(STEPS, 3, 7)
    assert expand_steps(x_TN, STEPS) is x_TN
