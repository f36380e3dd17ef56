"""Losses of a few steps of training, written down: whatever makes a network faster moves none of them.

``UPDATE_GOLDEN=1`` writes them again, which is a change of behaviour and belongs into the changelog.
"""

import json
import os
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

import sewdsl
from sewdsl.passes import plan
from tests.effort import factor

GOLDEN = Path(__file__).parents[1] / "golden" / "losses.json"
STEPS = 6
SPECS = {
    "sew-plif": ("c8k3-BN-PLIF-{SEW Block (c16)-MPk2s2}*2-FC10", {}),
    "sew-and": ("c8k3-BN-LIF(tau=2.0)-{SEW Block}*2-APk2-FC10", {"join": "AND", "init": "zero"}),
    "sew-iand-soft": ("c8k3-BN-SN-{SEW Block}*2-GAP-FC10", {"join": "IAND", "neuron": "IF(v_reset=none)"}),
    "spiking-rectangular": (
        "c8k5s2-BN-SN-{Spiking Block (c8)}*3-FC10",
        {"neuron": "IF(surrogate=Rectangular(width=2.0), detach_reset=off)"},
    ),
    "bottleneck-direct": ("c8k3-BN-SN-SEW Bottleneck (c4s2)-SEW Bottleneck (c4)-GAP-FC10", {"encode": "direct"}),
    "plain-tdbn": ("c8k3-tdBN-SN-c8k3-tdBN-SN-MPk2s2-DP0.25-FC10", {"neuron": "LIF(tau=3.0)"}),
    "ann": ("c8k3-BN-ReLU-{Basic Block (c8)}*2-GAP-FC10", {"encode": "direct"}),
}


def losses(name: str, dtype: torch.dtype) -> list[float]:
    """The losses of the first steps of SGD on three batches of noise, shown in turn."""
    body, settings = SPECS[name]
    changes = {"neuron": "PLIF(tau=2.0)", **settings}
    model = sewdsl.compile(body, input="2x12x12", steps=4, seed=1, set=changes).to(dtype)
    torch.manual_seed(2)
    shape = (3, 5, 2, 12, 12) if changes.get("encode") == "direct" else (3, 4, 5, 2, 12, 12)
    batches = (torch.rand(shape, dtype=torch.float64) * 3).to(dtype)
    labels = torch.randint(10, (3, 5))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    found = []
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = cross_entropy(model(batches[step % 3]), labels[step % 3])
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        found.append(loss.item())
    return found


@pytest.mark.parametrize("large", [1, plan.LARGE_VALUE_ELEMENTS])
@pytest.mark.parametrize("name", SPECS)
def test_no_loss_moves(name: str, large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with what is done for large tensors only."""
    monkeypatch.setattr(plan, "LARGE_VALUE_ELEMENTS", large)
    found = losses(name, torch.float64)
    known = json.loads(GOLDEN.read_text("utf-8")) if GOLDEN.exists() else {}
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(json.dumps({**known, name: found}, indent=2) + "\n", "utf-8")
        return
    assert found == pytest.approx(known[name], rel=1e-9)
    assert len(set(found)) == STEPS, "the weights change"


@pytest.mark.parametrize("name", SPECS if factor() > 1 else ["sew-plif", "plain-tdbn"])
def test_in_single_precision(name: str) -> None:
    """The first step, before a rounding can have flipped a spike."""
    known = json.loads(GOLDEN.read_text("utf-8"))[name]
    assert losses(name, torch.float32)[0] == pytest.approx(known[0], rel=1e-5)
