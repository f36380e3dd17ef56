"""The 3x3 convolutions before attention in Spike-driven Transformer V2, whose padding is what a norm makes of 0."""

from __future__ import annotations

import torch
from torch.nn import functional

import sewdsl
from sewdsl.compiler import shipped_networks


def test_zeros_padded_before_the_norm_are_the_same_in_evaluation() -> None:
    text = shipped_networks()["sdt-v2"].read_text(encoding="utf-8")
    block = next(line for line in text.splitlines() if line.startswith("block Rep Conv"))
    model = sewdsl.compile(f"sewdsl 1\n{block}\ninput 6x5x7\nbody Rep Conv\n", seed=0).double().eval()
    torch.manual_seed(0)
    state = {
        key: torch.rand_like(value) + 0.2 if value.ndim == 1 else torch.randn_like(value)
        for key, value in model.state_dict().items()
        if value.is_floating_point()
    }
    model.load_state_dict(state, strict=False)
    x = torch.randn(2, 6, 5, 7, dtype=torch.float64)
    point, norm, depth, last, end = ("conv1", "bn1", "conv2", "conv3", "bn2")

    def normalised(y: torch.Tensor, name: str) -> torch.Tensor:
        of = {key: state[f"rep_conv1.{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")}
        return functional.batch_norm(y, of["running_mean"], of["running_var"], of["weight"], of["bias"])

    y = normalised(functional.conv2d(x, state[f"rep_conv1.{point}.weight"]), norm)
    border = normalised(torch.zeros(1, 6, 1, 1, dtype=torch.float64), norm)
    padded = border.expand(2, 6, 7, 9).clone()
    padded[:, :, 1:-1, 1:-1] = y
    y = functional.conv2d(padded, state[f"rep_conv1.{depth}.weight"], groups=6)
    y = normalised(functional.conv2d(y, state[f"rep_conv1.{last}.weight"]), end)
    torch.testing.assert_close(model(x), y, rtol=1e-12, atol=1e-12)
