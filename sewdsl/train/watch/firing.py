"""How much each layer fires, after every epoch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import rich
from lightning.pytorch import Callback, LightningModule, Trainer

from sewdsl.train.rates import FiringRates
from sewdsl.train.watch.names import DEAD, FIRING_RATE

SHOWN = 5
"""Layers that a warning names."""
CURE = "lower v_threshold, put a batch norm before it, or raise the gain or the learning rate"


class FiringRateLog(Callback):
    """Logs ``firing_rate/LAYER`` of the pass that judges each epoch: those samples are shown anyway."""

    def __init__(self) -> None:
        self._rates, self._watching = FiringRates(), ExitStack()

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002 -- a hook
        """Counts from zero."""
        self._rates = FiringRates()
        self._watching.enter_context(self._rates.watch(pl_module.get_submodule("model")))

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002 -- a hook
        """Logs the pass; of several processes, their mean."""
        self._watching.close()
        pl_module.log_dict({FIRING_RATE + name: rate for name, rate in self._rates.rates.items()}, sync_dist=True)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:  # noqa: ARG002 -- a hook
        """Stops counting."""
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

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002 -- a hook
        """Says what is new."""
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
    """In a log, as one line; on a terminal, words are not cut where a line ends."""
    console = rich.get_console()
    console.print(line, style="yellow", highlight=False, markup=False, soft_wrap=not console.is_terminal)
