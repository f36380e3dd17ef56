"""How much each layer fires, after every epoch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import rich
from lightning.pytorch import Callback, LightningModule, Trainer

from sewdsl.train.rates import FiringRates
from sewdsl.train.watch.names import DEAD, FIRING_RATE


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
    """Says which layers hardly fire, each once, after the first epoch in which they do not.

    Args:
        say: Takes a line of text; None: the console.
    """

    def __init__(self, say: Callable[[str], object] | None = None) -> None:
        self._say = say or _print
        self._said: set[str] = set()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002 -- a hook
        """Says what is new."""
        logged = {
            name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith(FIRING_RATE)
        }
        dead = {name.removeprefix(FIRING_RATE): rate for name, rate in logged.items() if rate < DEAD}
        new = {name: rate for name, rate in dead.items() if name not in self._said}
        self._said |= new.keys()
        if new and trainer.is_global_zero:
            layers = ", ".join(f"{name} ({rate:.2%})" for name, rate in new.items())
            self._say(f"warning: fires at less than {DEAD:.0%} in epoch {trainer.current_epoch + 1}: {layers}")


def _print(line: str) -> None:
    rich.get_console().print(line, style="yellow", highlight=False, markup=False, soft_wrap=True)
