"""Callbacks of a run: those that show its progress, the one that tells a study of it, and those of plugin files."""

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
"""Of the bar, a second."""
SHORTEST, LONGEST = 8, 40
"""Characters of the bar."""
GAP = 1
"""Characters between the parts of its line."""


class ProgressLine(NamedTuple):
    """What the line of a bar shows: a name, how many batches of how many, and figures, the most important first."""

    name: str
    done: int
    total: int
    figures: tuple[str, ...]


class EpochLines(Callback):
    """One line for each epoch: loss, accuracy on the training and the test samples, seconds."""

    def __init__(self) -> None:
        self._start = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock, also in the middle of an epoch."""
        self._start = perf_counter()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock again."""
        self._start = perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the line, above the bar if there is one."""
        module = cast("Classifier", pl_module)
        train, test, epochs = module.train_tally, module.test_tally, str(trainer.max_epochs)
        console = rich.get_console()
        line = (
            f"epoch {trainer.current_epoch + 1:>{len(epochs)}}/{epochs}   loss {train.loss:.4f}   "
            f"accuracy {train.accuracy:7.2%}   {module.judge} {test.accuracy:7.2%}   "
            f"{perf_counter() - self._start:5.1f} s"
        )
        console.print(line if len(line) <= console.width else re.sub(" +", " ", line), highlight=False)


class KernelLine(Callback):
    """A line that says that kernels are being compiled, where there is no bar to show it."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start to print."""
        compile_ahead.set_listener(self.show_kernels)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop printing."""
        compile_ahead.set_listener(None)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Stop printing."""
        compile_ahead.set_listener(None)

    def show_kernels(self, done: int, total: int) -> None:
        """Print the line before the first kernel."""
        if not done:
            rich.get_console().print(f"Compiling {total} kernels; cached for next time", highlight=False)


class Bar(Callback):
    """A line at the end of the terminal that shows how far the epoch is; it fits any width, and leaves nothing there.

    It is on rich's own console: what else is printed there goes above it. Its times begin after the first batch of an
    epoch, which compiles kernels in a new installation.
    """

    def __init__(self) -> None:
        self._live: Live | None = None
        self._state: ProgressLine | None = None
        self._start: float | None = None
        self._batches, self._samples = 0, 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the line; start the clock, also in the middle of an epoch."""
        self._clear()
        compile_ahead.set_listener(self.show_kernels)
        self._live = Live(
            get_renderable=self._line, refresh_per_second=REFRESHES, transient=True, redirect_stdout=False
        )
        self._live.start()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock again."""
        self._clear()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take the figures of the epoch so far, and the samples a second."""
        tally, total = cast("Classifier", pl_module).train_tally, int(trainer.num_training_batches)
        figures = [f"loss {tally.loss:.4f}", f"accuracy {tally.accuracy:5.1%}"]
        if self._start is None:
            self._start = perf_counter()
        else:
            self._batches += 1
            self._samples += len(batch[1]) * trainer.world_size
            seconds = perf_counter() - self._start
            minutes, rest = divmod(round(seconds / self._batches * (total - batch_idx - 1)), 60)
            figures += [f"{minutes}:{rest:02} left", f"{self._samples / seconds:.0f} samples/s"]
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
        """Show how much has been judged."""
        judge = cast("Classifier", pl_module).judge
        self._show(trainer, f" {judge}", batch_idx + 1, int(sum(trainer.num_val_batches)))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remove the line."""
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Remove the line."""
        self._stop()

    def _clear(self) -> None:
        self._start, self._batches, self._samples = None, 0, 0

    def _stop(self) -> None:
        compile_ahead.set_listener(None)
        if self._live is not None:
            self._live.stop()

    def show_kernels(self, done: int, total: int) -> None:
        """Show how many kernels are compiled."""
        if done < total:
            self._state = ProgressLine("compiling kernels", done, total, ("cached for next time",))

    def _show(self, trainer: Trainer, phase: str, done: int, total: int, *figures: str) -> None:
        self._state = ProgressLine(
            f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}{phase}", done, total, figures
        )

    def _line(self) -> Table | Text:
        """Return what fits: how many batches, then as many of the figures as there is room for next to a short bar."""
        if self._state is None:
            return Text()
        name, done, total, figures = self._state
        words = [f"{done:>{len(str(total))}}/{total}"]
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
    """Tells the accuracies that judge a run when an epoch has been saved, and before a run goes on.

    It is a checkpoint to Lightning, which calls these last, in the order in which they are given: the epoch is saved.
    """

    def __init__(self, watch: Callable[[Mapping[int, float]], bool]) -> None:
        self._watch = watch

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tell of the epochs before, if there were any."""
        if cast("Classifier", pl_module).history:
            self._tell(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tell of the epoch too."""
        self._tell(trainer, pl_module)

    def _tell(self, trainer: Trainer, pl_module: LightningModule) -> None:
        module = cast("Classifier", pl_module)
        epochs = {epoch: figures[module.monitor] for epoch, figures in sorted(module.history.items())}
        last = max(epochs)
        if not self._watch(epochs) and last < (trainer.max_epochs or last):
            raise RunPruned(f"ended early, after epoch {last} of {trainer.max_epochs}")


def progress_callbacks() -> list[Callback]:
    """Return a line for each epoch, warnings of layers that hardly fire, and on a terminal a bar."""
    rich.reconfigure(stderr=True)
    bar = is_terminal(err=True) and not rich.get_console().is_dumb_terminal
    return [Bar() if bar else KernelLine(), EpochLines(), DeadLayers()]


def plugin_callbacks() -> list[Callback]:
    """Make callbacks by the function ``callbacks`` of each plugin file that has one, in the order of the files.

    Raises:
        RunError: If it raises, or gives something else.
    """
    callbacks: list[Callback] = []
    for file in plugin_files():
        make = getattr(file.module, "callbacks", None)
        if make is None:
            continue
        if not callable(make):
            raise RunError(
                f"'{file.path}': 'callbacks' is a function that gives a list, so that each run has callbacks of "
                "its own: def callbacks(): return [...]"
            )
        try:
            made = list(make())
        except Exception as error:  # noqa: BLE001 -- whatever the code of others does
            raise RunError(describe_failure(file.path, error)) from None
        callbacks += made
        for each in made:
            if not isinstance(each, Callback):
                raise RunError(
                    f"'{file.path}': callbacks() gives objects of classes derived from lightning.pytorch.Callback, "
                    f"not {type(each).__module__}.{type(each).__qualname__}"
                )
    return callbacks
