"""What is measured while a network trains, in addition to loss and accuracy: firing rates and gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import rich
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from sewdsl.lower import SpikingNetwork
from sewdsl.lower.spiking_network import EventShares
from sewdsl.snn.neuron import SpikingModule
from sewdsl.train.store.measurements import BY_EVENTS, FIRING_RATE, GRADIENT_NORM
from sewdsl.train.store.result import DEAD, EDGES, Population

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer


class FiringRates:
    """The firing rate of every neuron node, over all that passes while it is watched; memory does not grow."""

    def __init__(self) -> None:
        self._spikes: dict[str, Tensor] = {}
        self._chances: dict[str, int] = {}

    @contextmanager
    def watch(self, model: nn.Module) -> Iterator[None]:
        """Count the spikes of each forward within."""
        neurons = {name: module for name, module in model.named_modules() if isinstance(module, SpikingModule)}
        hooks = [module.register_forward_hook(partial(self._count, name)) for name, module in neurons.items()]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _count(self, name: str, _module: nn.Module, _inputs: Any, spikes: Tensor) -> None:
        """Add a batch, without waiting for the device."""
        batch = self._batch(spikes.detach())
        self._spikes[name] = self._spikes[name] + batch if name in self._spikes else batch
        self._chances[name] = self._chances.get(name, 0) + spikes.numel()

    def _batch(self, spikes: Tensor) -> Tensor:
        """Sum all spikes, in float32, which is exact up to 2^24 a batch."""
        return spikes.sum(dtype=torch.float32).long()

    @property
    def rates(self) -> dict[str, float]:
        """Spikes per neuron, sample and time-step, in [0, 1], by the node's name, in order of computation."""
        return {name: spikes.sum().item() / self._chances[name] for name, spikes in self._spikes.items()}


SHOWN = 5
"""Layers that a warning names."""
CURE = "lower v_threshold, put a batch norm before it, or raise the gain or the learning rate"


class FiringRateLog(Callback):
    """Logs ``firing_rate/LAYER`` of the pass that judges each epoch: those samples are shown anyway.

    And ``by_events/LAYER``, the share of batches in which a convolution was computed from what is active of its input,
    of those that may be; of several processes, in the first.
    """

    def __init__(self) -> None:
        self._rates, self._events, self._watching = FiringRates(), EventShares(), ExitStack()

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count from zero."""
        self._rates, self._events = FiringRates(), EventShares()
        model = pl_module.get_submodule("model")
        self._watching.enter_context(self._rates.watch(model))
        if isinstance(model, SpikingNetwork):
            self._watching.enter_context(self._events.watch(model))

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the pass; of several processes, their mean."""
        self._watching.close()
        pl_module.log_dict({FIRING_RATE + name: rate for name, rate in self._rates.rates.items()}, sync_dist=True)
        # processes may have batches of different sizes, of which some are too small: none waits for another here
        pl_module.log_dict({BY_EVENTS + name: part for name, part in self._events.shares.items()}, rank_zero_only=True)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Stop counting."""
        self._watching.close()


class DeadLayers(Callback):
    """Says which layers hardly fire, each once, and what to do.

    Early in a training, layers are often silent for a while: one is named when its rate has not risen since the epoch
    before, or after the last epoch.

    Args:
        say: Takes a line of text; None: the console.
    """

    def __init__(self, say: Callable[[str], object] | None = None) -> None:
        self._say = say or _print
        self._before: dict[str, float] = {}
        self._said: set[str] = set()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say what is new."""
        logged = {
            name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith(FIRING_RATE)
        }
        dead = {name.removeprefix(FIRING_RATE): rate for name, rate in logged.items() if rate < DEAD}
        last = trainer.current_epoch + 1 == trainer.max_epochs
        stay = {name for name, rate in dead.items() if last or rate <= self._before.get(name, -1.0)}
        new = [name for name in dead if name in stay - self._said]
        self._before = dead
        self._said |= set(new)
        if new and trainer.is_global_zero:
            layers = ", ".join(f"{name} ({dead[name]:.2%})" for name in new[:SHOWN])
            layers += f" and {len(new) - SHOWN} more" if len(new) > SHOWN else ""
            self._say(f"warning: fires at less than {DEAD:.0%} in epoch {trainer.current_epoch + 1}: {layers}; {CURE}")


def _print(line: str) -> None:
    """Print a line, in a log as one; on a terminal, words are not cut where a line ends."""
    console = rich.get_console()
    console.print(line, style="yellow", highlight=False, markup=False, soft_wrap=not console.is_terminal)


class NeuronRates(FiringRates):
    """Firing rates of layers, and of each single neuron in them: 4 bytes a neuron, however many samples pass.

    It takes as long as counting all spikes of a layer together.
    """

    def _batch(self, spikes: Tensor) -> Tensor:
        """Sum the spikes ``[T, N, *]`` of each neuron.

        The axes are put in the order in which they are stored: maps that are stored channels-last would be summed
        thirty times slower.
        """
        order = [0, 1, *sorted(range(2, spikes.ndim), key=spikes.stride, reverse=True)]
        back = sorted(range(spikes.ndim), key=order.__getitem__)[2:]
        return spikes.permute(order).sum((0, 1), dtype=torch.float32).int().permute([axis - 2 for axis in back])

    @property
    def populations(self) -> dict[str, Population]:
        """The neurons by how much they fire, by the node's name, in order of computation."""
        return {
            name: count_population(spikes, self._chances[name] // spikes.numel())
            for name, spikes in self._spikes.items()
        }


def count_population(spikes: Tensor, chances: int) -> Population:
    """Count neurons by their rate.

    Args:
        spikes: How often each neuron has fired, ``[C, *]``.
        chances: How often it could have: time-steps of all samples.
    """
    rates_CP = spikes.cpu().reshape(len(spikes), -1).contiguous().double() / chances
    bins_CP = torch.bucketize(rates_CP, torch.tensor((0.0, *EDGES), dtype=torch.float64))
    dead, *histogram, saturated = torch.bincount(bins_CP.flatten(), minlength=len(EDGES) + 2).tolist()
    never_CP, full_CP = bins_CP == 0, bins_CP > len(EDGES)
    return Population(
        shape=tuple(spikes.shape),
        dead=dead,
        saturated=saturated,
        always=int((rates_CP == 1).sum()),
        dead_channels=int(never_CP.all(1).sum()),
        dead_places=int(never_CP.all(0).sum()),
        saturated_channels=int(full_CP.all(1).sum()),
        histogram=tuple(histogram),
    )


class GradientNorms(Callback):
    """Logs ``gradient_norm/LAYER`` and ``gradient_norm/total`` of each epoch's last batch, before any clipping.

    The norm is Euclidean, over all weights of a layer. To measure every step would cost more than it tells.
    """

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Measure, if it is the last batch."""
        if trainer.is_last_batch:
            pl_module.log_dict(
                {GRADIENT_NORM + name: norm for name, norm in gradient_norms(pl_module.get_submodule("model")).items()}
            )


def gradient_norms(model: nn.Module) -> dict[str, float]:
    """Return the norm of each layer's gradient by the layer's name, and ``total``; layers without one are left out."""
    layers: dict[str, list[Tensor]] = {}
    for name, weight in model.named_parameters():
        if weight.grad is not None:
            layer = name.rpartition(".")[0] or name
            layers.setdefault(layer, []).append(torch.linalg.vector_norm(weight.grad.float()))
    if not layers:
        return {}
    norms = torch.stack([torch.linalg.vector_norm(torch.stack(parts)) for parts in layers.values()])
    values: list[float] = torch.cat([norms, torch.linalg.vector_norm(norms)[None]]).tolist()
    return dict(zip([*layers, "total"], values, strict=True))
