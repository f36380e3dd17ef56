"""Notebook support: display of networks and runs, training with a progress bar.

>>> from sewdsl import notebook  # doctest: +SKIP
>>> notebook.train("tiny.net")  # doctest: +SKIP
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from sewdsl.analysis.listing import block_rows
from sewdsl.compiler import Options
from sewdsl.draw import RenderingError, render
from sewdsl.draw import dot as as_dot
from sewdsl.draw.picture_items import drawn_layers, picture_items
from sewdsl.html_templates import render_html
from sewdsl.ir.network import Network

if TYPE_CHECKING:
    from lightning.pytorch import Callback

    from sewdsl.lower import SpikingNetwork
    from sewdsl.train.store.result import Result
    from sewdsl.train.store.run_notes import LoggerName

ROWS, BOXES, NODES = 200, 200, 20_000
"""Limits: rows of the table, layers of the diagram, and nodes of a network that is drawn."""


def network_html(network: Network) -> str:
    """Return HTML with the diagram and the table of a network, or the table alone if drawing fails.

    The table has at most :data:`ROWS` rows, and diagrams of more than :data:`BOXES` layers are omitted. A note states
    the omission.
    """
    # Notebooks store the output of every cell, so it must stay small.
    boxes = None if len(network) > NODES else sum(1 for _ in drawn_layers(picture_items(network)))
    svg = ""
    if boxes is not None and boxes <= BOXES:
        with suppress(RenderingError):
            svg = b64encode(render(as_dot(network), "svg")).decode()
    rows = block_rows(network)
    return render_html(
        "notebook_network.html",
        network=network,
        boxes=boxes,
        svg=svg,
        rows=list(islice(rows, ROWS)),
        rows_left=sum(1 for _ in rows),
        BOXES=BOXES,
        NODES=NODES,
    )


class NotebookRun:
    """Finished run: its result, curves and network.

    Raises:
        RunError: If the path is not the folder of a finished run.
    """

    def __init__(self, path: str | Path) -> None:
        from sewdsl.train.store.run_folder import RunFolder

        self._folder = RunFolder(Path(path).absolute())
        self.result: Result = self._folder.read_result()

    @property
    def path(self) -> Path:
        """Run folder."""
        return self._folder.path

    def model(self, *, best: bool = False) -> SpikingNetwork:
        """Return the trained network in evaluation mode, from the last or the best epoch."""
        from sewdsl.train.fit.load_run import load_model

        return load_model(self._folder, best=best)

    def __repr__(self) -> str:
        result = self.result
        if result.loss is None:
            scores = f"{result.accuracy:.2%} in the last epoch, {result.best_accuracy:.2%} in the best"
        else:
            scores = f"loss {result.loss:.4f} in the last epoch, {result.best_loss:.4f} in the best"
        here = Path.cwd()
        path = self.path.relative_to(here) if self.path.is_relative_to(here) else self.path
        return f"{result.network} on {result.data}: {scores} of {result.epochs}, {result.seconds:g} s; {path}"

    def _repr_html_(self) -> str:
        curves = b64encode(self._folder.curves.read_bytes()).decode()
        return render_html("notebook_run.html", run=self, curves=curves)


def train(  # noqa: PLR0913 -- the options of the command
    spec: str | Path,
    out: str | Path | None = None,
    *,
    overwrite: bool = False,
    data: str | Path | None = None,
    callbacks: Sequence[Callback] = (),
    loggers: Sequence[LoggerName] | None = None,
    **options: Unpack[Options],
) -> NotebookRun:
    """Train a network with its recipe and a progress bar, as ``sewdsl train`` does.

    Args:
        spec: Path, name of a shipped network, or layer string.
        out: Run folder to create. None for the next free folder in ``runs``.
        overwrite: Whether to replace an existing run in ``out``, e.g. if the cell runs again.
        data: Dataset folder, or folder of several datasets.
        callbacks: Lightning callbacks, called after those of sewdsl and of plugin files.
        loggers: Any of ``tensorboard``, ``wandb`` and ``mlflow``. None for TensorBoard.
        **options: Options of :func:`sewdsl.load`, e.g. ``set={"train.epochs": "3"}``.

    Raises:
        SewdslError: If the spec has errors or no recipe.
        RunError: If the folder cannot be used, or the training fails.
        DataError: If the dataset is missing or damaged.
    """
    from sewdsl.train.fit.callbacks import EpochLines
    from sewdsl.train.fit.from_python import train_network
    from sewdsl.train.store.run_folder import RunError
    from sewdsl.train.store.run_lookup import is_run

    if out is not None and not overwrite and is_run(Path(out)):
        message = f"'{out}' already contains a run; set overwrite=True to replace it, or omit 'out' for a new folder"
        raise RunError(message)
    bar = _progress_bar()
    progress = [EpochLines()] if bar is None else [bar, EpochLines()]
    run = train_network(
        *(spec, out),
        overwrite=overwrite,
        data=data,
        callbacks=[*progress, *callbacks],
        loggers=loggers,
        progress_bar=False,
        **options,
    )
    return NotebookRun(run.folder)


def _progress_bar() -> Callback | None:
    try:
        from IPython import get_ipython  # IPython is installed with notebooks only.
        from IPython.display import ProgressBar
    except ImportError:
        return None
    if get_ipython() is None:
        return None
    from lightning.pytorch import Callback

    class Bar(Callback):
        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            self._bar = ProgressBar(int(trainer.estimated_stepping_batches))
            self._bar.display()

        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            self._bar.progress = min(trainer.global_step, self._bar.total)

    return Bar()
