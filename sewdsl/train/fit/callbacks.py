"""Callbacks of a run: progress display, notification of a study, and callbacks of plugin files."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, NamedTuple, cast

import rich
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sewdsl.plugins import describe_failure, plugin_files
from sewdsl.snn.kernels import compile_ahead
from sewdsl.terminal import is_terminal
from sewdsl.train.fit.classifier import Classifier
from sewdsl.train.store.run_folder import RunError, RunPruned
from sewdsl.train.watch import DeadLayers

REFRESHES = 4
"""Refreshes of the progress bar per second."""
SHORTEST, LONGEST = 8, 40
"""Minimum and maximum width of the bar, in characters."""
GAP = 1
"""Width of the gaps between the parts of the line, in characters."""


class ProgressLine(NamedTuple):
    """Contents of a progress line, with the most important metric first in ``figures``."""

    name: str
    done: int
    total: int
    figures: tuple[str, ...]


class EpochLines(Callback):
    """Line per epoch: loss, accuracy on the training and the evaluation samples, duration."""

    def __init__(self) -> None:
        self._start = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock, also when a run is resumed within an epoch."""
        self._start = perf_counter()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restart the clock."""
        self._start = perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the line, above the progress bar if there is one."""
        module = cast("Classifier", pl_module)
        train, test, epochs = module.train_tally, module.test_tally, str(trainer.max_epochs)
        console = rich.get_console()
        accuracies = f"accuracy {train.accuracy:7.2%}   {module.evaluation_split} {test.accuracy:7.2%}"
        if not module.classifies:
            accuracies = f"{module.evaluation_split} {test.loss:.4f}"
        others = "".join(f"   {name} {tally.accuracy:7.2%}" for name, tally in module.others.items())
        line = (
            f"epoch {trainer.current_epoch + 1:>{len(epochs)}}/{epochs}   loss {train.loss:.4f}   "
            f"{accuracies}{others}   {perf_counter() - self._start:5.1f} s"
        )
        # A narrow terminal would break the aligned line.
        console.print(line if len(line) <= console.width else re.sub(" +", " ", line), highlight=False)


class KernelLine(Callback):
    """Line that announces the compilation of kernels, for output without a progress bar."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Register for notifications of the kernel compiler."""
        compile_ahead.set_listener(self.show_kernels)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Unregister."""
        compile_ahead.set_listener(None)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Unregister."""
        compile_ahead.set_listener(None)

    def show_kernels(self, done: int, total: int) -> None:
        """Print the line before the first kernel."""
        if not done:
            rich.get_console().print(f"Compiling {total} kernels; cached for next time", highlight=False)


class Bar(Callback):
    """Progress bar of an epoch in the last line of the terminal, adapted to its width and removed at the end.

    The bar uses rich's global console, so that other output appears above the bar. The clock starts after the first
    batch of an epoch, because that batch compiles kernels in a new installation.
    """

    def __init__(self) -> None:
        self._live: Live | None = None
        self._state: ProgressLine | None = None
        self._start: float | None = None
        self._batches, self._samples = 0, 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar, and start the clock, also when a run is resumed within an epoch."""
        self._clear()
        compile_ahead.set_listener(self.show_kernels)
        # Standard output remains untouched: it may have results in JSON.
        self._live = Live(
            get_renderable=self._line, refresh_per_second=REFRESHES, transient=True, redirect_stdout=False
        )
        self._live.start()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restart the clock."""
        self._clear()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the metrics of the epoch, the remaining time and the samples per second."""
        module, total = cast("Classifier", pl_module), int(trainer.num_training_batches)
        figures = [f"loss {module.train_tally.loss:.4f}"]
        if module.classifies:
            figures.append(f"accuracy {module.train_tally.accuracy:5.1%}")
        # The first batch compiles kernels, so the clock starts after it.
        if self._start is None:
            self._start = perf_counter()
        else:
            self._batches += 1
            self._samples += len(batch[1]) * trainer.world_size
            seconds = perf_counter() - self._start
            minutes, remainder = divmod(round(seconds / self._batches * (total - batch_idx - 1)), 60)
            figures += [f"{minutes}:{remainder:02} left", f"{self._samples / seconds:.0f} samples/s"]
        self._show(trainer, "", batch_idx + 1, total, *figures)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Show the progress of the evaluation."""
        split = cast("Classifier", pl_module).evaluation_split
        self._show(trainer, f" {split}", batch_idx + 1, int(sum(trainer.num_val_batches)))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remove the bar."""
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Remove the bar."""
        self._stop()

    def _clear(self) -> None:
        self._start, self._batches, self._samples = None, 0, 0

    def _stop(self) -> None:
        compile_ahead.set_listener(None)
        if self._live is not None:
            self._live.stop()

    def show_kernels(self, done: int, total: int) -> None:
        """Show the number of compiled kernels."""
        if done < total:
            self._state = ProgressLine("compiling kernels", done, total, ("cached for next time",))

    def _show(self, trainer: Trainer, phase: str, done: int, total: int, *figures: str) -> None:
        self._state = ProgressLine(
            f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}{phase}", done, total, figures
        )

    def _line(self) -> Table | Text:
        """Return the line, with as many metrics as fit next to the shortest bar."""
        if self._state is None:
            return Text()
        name, done, total, figures = self._state
        words = [f"{done:>{len(str(total))}}/{total}"]
        # Some terminals wrap a line that fills the last column.
        room = rich.get_console().width - 1 - len(name) - GAP - SHORTEST - GAP - len(words[0])
        for figure in figures:
            if room < GAP + len(figure):
                break
            room -= GAP + len(figure)
            words.append(figure)
        line = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False)
        line.add_row(name, ProgressBar(total, done, width=min(LONGEST, SHORTEST + max(room, 0))), *words)
        return line


class EpochWatch(Checkpoint):
    """Reports the metric of the best epoch to a study after each saved epoch, and before a run is resumed.

    The class derives from ``Checkpoint`` because Lightning calls such callbacks last, in their order: the epoch is
    already saved.

    Args:
        watch: Receives the metric of each epoch so far, and returns whether the run may continue.
    """

    def __init__(self, watch: Callable[[Mapping[int, float]], bool]) -> None:
        self._watch = watch

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the epochs before an interruption, if any."""
        if cast("Classifier", pl_module).history:
            self._tell(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the epochs so far, including this one."""
        self._tell(trainer, pl_module)

    def _tell(self, trainer: Trainer, pl_module: LightningModule) -> None:
        module = cast("Classifier", pl_module)
        epochs = {epoch: figures[module.monitor] for epoch, figures in sorted(module.history.items())}
        last = max(epochs)
        # After the last epoch, there is nothing left to stop.
        if not self._watch(epochs) and last < (trainer.max_epochs or last):
            raise RunPruned(f"stopped early after epoch {last} of {trainer.max_epochs}")


def progress_callbacks() -> list[Callback]:
    """Return callbacks for a line per epoch, warnings of silent layers, and a bar on a terminal."""
    # Standard output is reserved for results.
    rich.reconfigure(stderr=True)
    bar = is_terminal(err=True) and not rich.get_console().is_dumb_terminal
    return [Bar() if bar else KernelLine(), EpochLines(), DeadLayers()]


def plugin_callbacks() -> list[Callback]:
    """Create the callbacks of each plugin file with its function ``callbacks``, in the order of the files.

    Raises:
        RunError: If the function fails, or does not return callbacks.
    """
    callbacks: list[Callback] = []
    for file in plugin_files():
        make = getattr(file.module, "callbacks", None)
        if make is None:
            continue
        # A list would share its callbacks between the runs of a study.
        if not callable(make):
            raise RunError(
                f"'{file.path}': 'callbacks' must be a function that returns new callbacks for each run: "
                "def callbacks(): return [...]"
            )
        try:
            own_callbacks = list(make())
        except Exception as error:  # noqa: BLE001 -- plugin code can raise anything
            raise RunError(describe_failure(file.path, error)) from None
        callbacks += own_callbacks
        for each in own_callbacks:
            if not isinstance(each, Callback):
                raise RunError(
                    f"'{file.path}': callbacks() must return lightning.pytorch.Callback objects, "
                    f"got {type(each).__module__}.{type(each).__qualname__}"
                )
    return callbacks
