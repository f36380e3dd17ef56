"""How large the gradients are, layer by layer, once an epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from sewdsl.train.store.neuron_populations import GRADIENT_NORM

if TYPE_CHECKING:
    from torch.optim import Optimizer


class GradientNorms(Callback):
    """Logs ``gradient_norm/LAYER`` and ``gradient_norm/total`` of each epoch's last batch, before any clipping.

    The norm is Euclidean, over all weights of a layer. To measure every step would cost more than it tells.
    """

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:  # noqa: ARG002 -- a hook
        """Measures, if it is the last batch."""
        if trainer.is_last_batch:
            pl_module.log_dict(
                {GRADIENT_NORM + name: norm for name, norm in gradient_norms(pl_module.get_submodule("model")).items()}
            )


def gradient_norms(model: torch.nn.Module) -> dict[str, float]:
    """The norm of each layer's gradient by the layer's name, and ``total``; layers without one are left out."""
    layers: dict[str, list[Tensor]] = {}
    for name, weight in model.named_parameters():
        if weight.grad is not None:
            layer = name.rpartition(".")[0] or name
            layers.setdefault(layer, []).append(torch.linalg.vector_norm(weight.grad.float()))
    if not layers:
        return {}
    found = torch.stack([torch.linalg.vector_norm(torch.stack(parts)) for parts in layers.values()])
    values: list[float] = torch.cat([found, torch.linalg.vector_norm(found)[None]]).tolist()
    return dict(zip([*layers, "total"], values, strict=True))
