"""Firing rates and gradient norms, measured during training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING

import rich
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from sewdsl.lower import SpikingNetwork
from sewdsl.lower.spiking_network import EventShares, watch_nodes
from sewdsl.snn.neuron import SpikingModule
from sewdsl.train.store.measurements import BY_EVENTS, FIRING_RATE, GRADIENT_NORM
from sewdsl.train.store.result import DEAD, EDGES, Population

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer


class FiringRates:
    """Firing rates of layers and of single neurons over all samples in a context, with 4 bytes per neuron.

    Each call of a part has neurons and rates of its own.
    """

    def __init__(self) -> None:
        self._spikes: dict[str, Tensor] = {}
        self._chances: dict[str, int] = {}

    def watch(self, model: SpikingNetwork) -> AbstractContextManager[None]:
        """Return a context in which the spikes of each forward pass are counted."""
        spiking = {name for name, module in model.named_modules() if isinstance(module, SpikingModule)}
        network = model.network
        return watch_nodes(model, [node.name for node in network if network.owner(node).name in spiking], self._count)

    def _count(self, name: str, _inputs: Sequence[Tensor], spikes: Tensor) -> None:
        """Add the spikes of a batch, without synchronising with the device."""
        batch = self._batch(spikes.detach())
        self._spikes[name] = self._spikes[name] + batch if name in self._spikes else batch
        self._chances[name] = self._chances.get(name, 0) + spikes.numel()

    @staticmethod
    def _batch(spikes: Tensor) -> Tensor:
        """Return the number of spikes of each neuron in a batch ``[T, N, *]``."""
        # Sum in the order of the strides: summing channels-last feature maps in logical order is 30 times slower.
        order = [0, 1, *sorted(range(2, spikes.ndim), key=spikes.stride, reverse=True)]
        back = sorted(range(spikes.ndim), key=order.__getitem__)[2:]
        return spikes.permute(order).sum((0, 1), dtype=torch.float32).int().permute([axis - 2 for axis in back])

    @property
    def rates(self) -> dict[str, float]:
        """Spikes per neuron, sample and time-step, in [0, 1], by node name in order of computation."""
        return {name: spikes.sum().item() / self._chances[name] for name, spikes in self._spikes.items()}

    @property
    def populations(self) -> dict[str, Population]:
        """Neurons of each layer by firing rate, by node name in order of computation."""
        return {
            name: count_population(spikes, self._chances[name] // spikes.numel())
            for name, spikes in self._spikes.items()
        }


SHOWN = 5
"""Maximum number of layers listed in a warning."""
CURE = "lower v_threshold, raise the gain or the learning rate, or add a batch norm before neurons without one"


class FiringRateLog(Callback):
    """Logs ``firing_rate/LAYER`` and ``by_events/LAYER`` of each epoch's evaluation.

    ``by_events`` is the fraction of batches in which an eligible convolution ran its event-driven kernel. With several
    processes, it is that of the first.
    """

    def __init__(self) -> None:
        self._rates, self._events, self._watching = FiringRates(), EventShares(), ExitStack()

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start counting."""
        self._rates, self._events = FiringRates(), EventShares()
        model = pl_module.get_submodule("model")
        if isinstance(model, SpikingNetwork):
            self._watching.enter_context(self._rates.watch(model))
            self._watching.enter_context(self._events.watch(model))

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the rates of the evaluation, averaged over processes."""
        self._watching.close()
        pl_module.log_dict({FIRING_RATE + name: rate for name, rate in self._rates.rates.items()}, sync_dist=True)
        # Not averaged: with small batches, some processes may have no eligible convolutions and would not take part.
        pl_module.log_dict({BY_EVENTS + name: part for name, part in self._events.shares.items()}, rank_zero_only=True)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Stop counting."""
        self._watching.close()


class DeadLayers(Callback):
    """Warns once about each layer with a low firing rate, and suggests a remedy.

    Early in a training, layers are often silent for a few epochs. A layer is reported when its rate has not risen since
    the previous epoch, or after the last epoch.

    Args:
        say: Receives the warning. None prints it to the console.
    """

    def __init__(self, say: Callable[[str], object] | None = None) -> None:
        self._say = say or _print
        self._before: dict[str, float] = {}
        self._reported: set[str] = set()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Warn about newly silent layers."""
        logged = {
            name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith(FIRING_RATE)
        }
        dead = {name.removeprefix(FIRING_RATE): rate for name, rate in logged.items() if rate < DEAD}
        last = trainer.current_epoch + 1 == trainer.max_epochs
        stuck = {name for name, rate in dead.items() if last or rate <= self._before.get(name, -1.0)}
        new = [name for name in dead if name in stuck - self._reported]
        self._before = dead
        self._reported |= set(new)
        if new and trainer.is_global_zero:
            layers = ", ".join(f"{name} ({dead[name]:.2%})" for name in new[:SHOWN])
            layers += f" and {len(new) - SHOWN} more" if len(new) > SHOWN else ""
            epoch = trainer.current_epoch + 1
            self._say(f"warning: firing rate below {DEAD:.0%} in epoch {epoch}: {layers}; {CURE}")


def _print(line: str) -> None:
    """Print a warning: in one line to a file, and wrapped at word boundaries on a terminal."""
    console = rich.get_console()
    console.print(line, style="yellow", highlight=False, markup=False, soft_wrap=not console.is_terminal)


def count_population(spikes: Tensor, chances: int) -> Population:
    """Classify neurons by firing rate.

    Args:
        spikes: Number of spikes of each neuron, ``[C, *]``.
        chances: Maximum number of spikes per neuron: time-steps of all samples.
    """
    # In float32, a rate could be rounded across the edge of a bin.
    rates_CP = spikes.cpu().reshape(len(spikes), -1).contiguous().double() / chances
    bins_CP = torch.bucketize(rates_CP, torch.tensor((0.0, *EDGES), dtype=torch.float64))
    dead, *histogram, saturated = torch.bincount(bins_CP.flatten(), minlength=len(EDGES) + 2).tolist()
    is_dead_CP, is_saturated_CP = bins_CP == 0, bins_CP > len(EDGES)
    return Population(
        shape=tuple(spikes.shape),
        dead=dead,
        saturated=saturated,
        always=int((rates_CP == 1).sum()),
        dead_channels=int(is_dead_CP.all(1).sum()),
        dead_places=int(is_dead_CP.all(0).sum()),
        saturated_channels=int(is_saturated_CP.all(1).sum()),
        histogram=tuple(histogram),
    )


class GradientNorms(Callback):
    """Logs ``gradient_norm/LAYER`` and ``gradient_norm/total`` of each epoch's last batch, before clipping.

    The norm is Euclidean, over all weights of a layer. The gradients of the calls of a part add up.
    """

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Measure the last batch of an epoch, because measuring every step would slow down the training."""
        if trainer.is_last_batch:
            pl_module.log_dict(
                {GRADIENT_NORM + name: norm for name, norm in gradient_norms(pl_module.get_submodule("model")).items()}
            )


def gradient_norms(model: nn.Module) -> dict[str, float]:
    """Return the norm of each layer's gradient by layer name, and ``total``, omitting layers without gradients."""
    layers: dict[str, list[Tensor]] = {}
    for name, weight in model.named_parameters():
        if weight.grad is not None:
            layer = name.rpartition(".")[0] or name
            # The squares of 16-bit gradients could overflow.
            layers.setdefault(layer, []).append(torch.linalg.vector_norm(weight.grad.float()))
    if not layers:
        return {}
    norms = torch.stack([torch.linalg.vector_norm(torch.stack(parts)) for parts in layers.values()])
    # One transfer from the device for all norms.
    values: list[float] = torch.cat([norms, torch.linalg.vector_norm(norms)[None]]).tolist()
    return dict(zip([*layers, "total"], values, strict=True))
