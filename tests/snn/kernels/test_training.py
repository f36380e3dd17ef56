"""A network that trains on the kernels trains as it does on the reference."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

import sewdsl
from sewdsl.passes import plan
from sewdsl.snn import kernels
from tests.effort import factor
from tests.snn.kernels.cases import current

TEXT = "c8k3-BN-{}-{{SEW Block (c8)-MPk2s2}}*2-FC5"


def losses(neuron: str, kernel: kernels.Choice, dtype: torch.dtype, optimize: int) -> list[float]:
    """The losses of a few steps from the same weights on the same data."""
    torch.manual_seed(0)
    model = sewdsl.compile(TEXT.format(neuron), input="2x16x16", steps=6, optimize=optimize).to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    x_TN, y_N = current(6, 8, 2, 16, 16).to(dtype), torch.arange(8) % 5
    found = []
    with kernels.use_kernels(kernel):
        for _ in range(8):
            loss = functional.cross_entropy(model(x_TN), y_N)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            found.append(loss.item())
    return found


NEURONS = ["IF", "LIF(v_reset=none)", "PLIF", "PLIF(v_reset=-0.1, detach_reset=off)"]


@pytest.mark.parametrize("neuron", NEURONS)
def test_neurons_alone_change_no_spike(neuron: str) -> None:
    plain = losses(neuron, "reference", torch.float32, 0)
    assert losses(neuron, "fastest", torch.float32, 0) == pytest.approx(plain, rel=2e-5)
    assert plain[-1] < plain[0]


@pytest.mark.parametrize("neuron", NEURONS if factor() > 1 else NEURONS[1:3])
def test_all_passes_change_only_the_rounding(neuron: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In float64: in float32, a current that is rounded otherwise flips a spike within a few steps."""
    monkeypatch.setattr(plan, "LARGE_VALUE_ELEMENTS", 1)
    plain = losses(neuron, "reference", torch.float64, 0)
    assert losses(neuron, "fastest", torch.float64, 1) == pytest.approx(plain, rel=1e-8)
